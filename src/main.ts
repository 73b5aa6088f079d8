/** The command line. `bin/crossfade.js` starts it under a Node that can run it. */
import type { CliStreams } from "./cli/streams.ts";
import { VERSION } from "./version.ts";

const HELP = `crossfade ${VERSION} - moves callers from v1 to v2 a share at a time, and back at once

usage:
  crossfade run --config FILE        serve; SIGHUP reloads, SIGTERM drains, a second SIGTERM ends now
  crossfade check FILE               is the config valid? prints every problem, each with its path
  crossfade explain FILE --request 'GET /path' [--header 'name: value']... [--client-ip IP]
                                     which route, key, bucket and arm a request would get, and why
  crossfade ctl VERB ...             talk to a running sidecar: status, split, rollback, kill, unkill, reload,
                                     routes, config, audit, events (crossfade ctl --help)
  crossfade --version

exit codes: 0 ok, 1 refused config, 2 usage, 70 internal
`;

const streams: CliStreams = {
  stdout: (text) => void process.stdout.write(text),
  stderr: (text) => void process.stderr.write(text),
  env: process.env,
};

// Each command loads what it needs: ctl should answer at once and not start a proxy's worth of modules.
async function main(args: readonly string[]): Promise<number> {
  const [command, ...rest] = args;
  switch (command) {
    case "run": {
      const path = configArgument(rest);
      if (path === null) return usage("run needs --config FILE");
      const { run } = await import("./cli/run.ts");
      return run(path, streams);
    }
    case "check":
      return checkFile(rest);
    case "explain":
      return (await import("./cli/explain.ts")).explain(rest, streams);
    case "ctl":
      return (await import("./cli/ctl.ts")).ctl(rest, streams);
    case "--version":
    case "version":
      streams.stdout(`${VERSION}\n`);
      return 0;
    case "--help":
    case "-h":
    case "help":
      streams.stdout(HELP);
      return 0;
    case undefined:
      return usage("which command?");
    default:
      return usage(`there is no command ${JSON.stringify(command)}`);
  }
}

async function checkFile(args: readonly string[]): Promise<number> {
  const [path] = args;
  if (path === undefined || args.length > 1) return usage("check needs one FILE");
  const { check } = await import("./cli/check.ts");
  return check(path, streams);
}

function configArgument(args: readonly string[]): string | null {
  const [flag, value] = args;
  if (args.length === 2 && flag === "--config" && value !== undefined) return value;
  return args.length === 1 && flag?.startsWith("--config=") ? flag.slice("--config=".length) : null;
}

function usage(problem: string): number {
  streams.stderr(`crossfade: ${problem}\n\n${HELP}`);
  return 2;
}

process.on("uncaughtException", (error) => {
  streams.stderr(`crossfade: this should never happen: ${error.stack ?? String(error)}\n`);
  process.exit(70);
});

process.exitCode = await main(process.argv.slice(2));
// Whatever the command left behind must not keep the process: everything that matters was awaited.
process.exit();
