import { parseArgs } from "node:util";
import type { RouteView, StatusView, UpstreamView } from "../admin/views.ts";
import { shareFromText } from "../config/units.ts";
import { verifyAuditLog } from "../journal/audit-log.ts";
import type { AuditRecord } from "../journal/audit-record.ts";
import { callApi, CallError, readEvents } from "./ctl-client.ts";
import type { Call, ClientOptions } from "./ctl-client.ts";
import { circuitText } from "./ctl-upstreams.ts";
import { auditText, changeText, routesText, statusText } from "./ctl-print.ts";
import type { ChangeAnswer } from "./ctl-print.ts";
import type { CliStreams } from "./streams.ts";

const HELP = `usage: crossfade ctl [--admin URL] [--token-file FILE] [--json] VERB ...

  status                             what is in force, with counts
  routes                             the routes alone
  split ROUTE 25% [--reason TEXT]    send this share of callers to the candidate
  rollback ROUTE [--reason TEXT]     all callers of the route back to the baseline, at once
  kill [ROUTE...] [--reason TEXT]    all callers of all (or these) routes to the baseline until unkill
  unkill [ROUTE...] [--reason TEXT]  lift the kill
  circuit UPSTREAM reset|trip [--reason TEXT]
                                     close the circuits of an upstream now, or open its circuit
  reload [--reason TEXT]             read the config file now
  config                             the config in force, secrets masked
  audit [--limit N]                  the last changes, newest first
  audit --verify FILE                is the chain of this audit log whole?
  events                             changes of state as they happen

The admin address is --admin, else CROSSFADE_ADMIN_URL, else http://127.0.0.1:9901; the token is read from
--token-file, else CROSSFADE_ADMIN_TOKEN_FILE. Exit codes: 0 done, 1 refused or not reached, 2 usage.
`;

/** `crossfade ctl`: the control API from a terminal. Resolves with the exit code: 0, 1 refused or not reached, 2 usage. */
export async function ctl(args: readonly string[], streams: CliStreams): Promise<number> {
  const asked = askedFrom(args);
  if (typeof asked === "string") {
    streams.stderr(`crossfade ctl: ${asked}\n\n${HELP}`);
    return 2;
  }
  if (asked.kind === "help") {
    streams.stdout(HELP);
    return 0;
  }
  try {
    return await perform(asked, streams);
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    streams.stderr(`crossfade ctl: ${error.message}\n`);
    return 1;
  }
}

/** What the arguments ask for: a call whose answer is printed, or one of the few other things. */
type Asked =
  | { readonly kind: "help" }
  | { readonly kind: "verify"; readonly file: string }
  | { readonly kind: "events"; readonly options: Options }
  | {
      readonly kind: "call";
      readonly options: Options;
      readonly call: Call;
      readonly print: (answer: unknown) => string;
    };

interface Options {
  readonly admin: string | null;
  readonly tokenFile: string | null;
  readonly json: boolean;
}

async function perform(asked: Exclude<Asked, { kind: "help" }>, streams: CliStreams): Promise<number> {
  switch (asked.kind) {
    case "verify":
      return verify(asked.file, streams);
    case "events":
      await readEvents(clientOptions(asked.options, streams), streams.stdout);
      return 0;
    case "call": {
      const answer = await callApi(clientOptions(asked.options, streams), asked.call);
      streams.stdout(asked.options.json ? `${JSON.stringify(answer, null, 2)}\n` : asked.print(answer));
      return 0;
    }
  }
}

function clientOptions({ admin, tokenFile }: Options, { env }: CliStreams): ClientOptions {
  return {
    url: admin ?? (env["CROSSFADE_ADMIN_URL"] || "http://127.0.0.1:9901"),
    tokenFile: tokenFile ?? (env["CROSSFADE_ADMIN_TOKEN_FILE"] || null),
  };
}

async function verify(file: string, { stdout, stderr }: CliStreams): Promise<number> {
  let verdict: Awaited<ReturnType<typeof verifyAuditLog>>;
  try {
    verdict = await verifyAuditLog(file);
  } catch (error) {
    throw new CallError(`--verify: ${JSON.stringify(file)} cannot be read: ${(error as Error).message}`);
  }
  if (!verdict.ok) {
    stderr(`crossfade ctl: ${file} line ${verdict.line}: ${verdict.problem}\n`);
    return 1;
  }
  const torn = verdict.torn ? "; its last line was cut short, as a crash does" : "";
  stdout(`${file}: ${verdict.records} records, the chain is whole${torn}\n`);
  return 0;
}

/** Reads the arguments; a text says what is wrong with them. */
function askedFrom(args: readonly string[]): Asked | string {
  try {
    const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options: OPTIONS });
    if (values.help === true) return { kind: "help" };
    return askedFromVerb(positionals, values);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const OPTIONS = {
  admin: { type: "string" },
  "token-file": { type: "string" },
  reason: { type: "string" },
  limit: { type: "string" },
  verify: { type: "string" },
  json: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

type Values = { readonly [Name in keyof typeof OPTIONS]?: string | boolean | undefined };

/** Options that only some verbs take. */
const VERB_OPTIONS: Readonly<Record<string, readonly (keyof Values)[]>> = {
  split: ["reason"],
  rollback: ["reason"],
  kill: ["reason"],
  unkill: ["reason"],
  circuit: ["reason"],
  reload: ["reason"],
  audit: ["limit", "verify"],
};

function askedFromVerb([verb, ...rest]: readonly string[], values: Values): Asked | string {
  if (verb === undefined) return "which verb?";
  for (const name of ["reason", "limit", "verify"] as const) {
    if (values[name] !== undefined && !VERB_OPTIONS[verb]?.includes(name)) return `${verb} takes no --${name}`;
  }
  const options = {
    admin: textOf(values.admin),
    tokenFile: textOf(values["token-file"]),
    json: values.json === true,
  };
  if (verb === "audit" && values.verify !== undefined) return { kind: "verify", file: String(values.verify) };
  if (verb === "events") return rest.length === 0 ? { kind: "events", options } : "events takes no arguments";
  const call = callFromVerb(verb, rest, values);
  if (typeof call === "string") return call;
  return { kind: "call", options, call, print: PRINTERS[verb] ?? ((answer) => changeText(answer as ChangeAnswer)) };
}

function textOf(value: string | boolean | undefined): string | null {
  return typeof value === "string" ? value : null;
}

const PRINTERS: Readonly<Record<string, (answer: unknown) => string>> = {
  status: (answer) => statusText(answer as StatusView),
  routes: (answer) => routesText((answer as { readonly routes: readonly RouteView[] }).routes),
  audit: (answer) => auditText((answer as { readonly records: readonly AuditRecord[] }).records),
  circuit: (answer) => circuitText(answer as { readonly upstream: UpstreamView }),
  config: (answer) => `${JSON.stringify(answer, null, 2)}\n`,
};

function callFromVerb(verb: string, rest: readonly string[], values: Values): Call | string {
  const reason = values.reason === undefined ? {} : { reason: String(values.reason) };
  switch (verb) {
    case "status":
    case "routes":
    case "config":
      return rest.length === 0 ? { method: "GET", path: verb } : `${verb} takes no arguments`;
    case "audit":
      return rest.length === 0 ? auditCall(textOf(values.limit) ?? "20") : "audit takes no arguments";
    case "split":
      return splitCall(rest, reason);
    case "rollback": {
      const [route, ...more] = rest;
      if (route === undefined || more.length > 0) return "rollback needs one ROUTE";
      return { method: "POST", path: `routes/${encodeURIComponent(route)}/rollback`, body: reason };
    }
    case "kill":
    case "unkill": {
      const body = { ...(rest.length > 0 && { routes: rest }), ...reason };
      return { method: verb === "kill" ? "PUT" : "DELETE", path: "kill", body };
    }
    case "circuit":
      return circuitCall(rest, reason);
    case "reload":
      return rest.length === 0 ? { method: "POST", path: "reload", body: reason } : "reload takes no arguments";
    default:
      return `there is no verb ${JSON.stringify(verb)}`;
  }
}

function auditCall(limit: string): Call | string {
  const valid = /^\d{1,4}$/.test(limit) && Number(limit) >= 1 && Number(limit) <= 1000;
  return valid ? { method: "GET", path: `audit?limit=${limit}` } : `--limit: "${limit}" is not a number from 1 to 1000`;
}

function circuitCall([upstream, deed, ...more]: readonly string[], reason: Record<string, string>): Call | string {
  const isDeed = deed === "reset" || deed === "trip";
  if (upstream === undefined || !isDeed || more.length > 0) return "circuit needs UPSTREAM and reset or trip";
  return { method: "POST", path: `upstreams/${encodeURIComponent(upstream)}/circuit/${deed}`, body: reason };
}

function splitCall(rest: readonly string[], reason: object): Call | string {
  const [route, share, ...more] = rest;
  if (route === undefined || share === undefined || more.length > 0) return "split needs ROUTE and a share such as 25%";
  const read = shareFromText(share);
  if (!read.ok) return `${JSON.stringify(share)} ${read.message}`;
  return { method: "PUT", path: `routes/${encodeURIComponent(route)}/split`, body: { share, ...reason } };
}
