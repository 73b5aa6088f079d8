import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import net from "node:net";
import type { Scope } from "./scope.ts";
import { until } from "./until.ts";

const LISTENER = `
const server = require("node:net").createServer();
server.listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => console.log(server.address().port));
process.stdin.on("end", () => process.exit()).resume();
`;

/** How many connections of this machine to a loopback port are still waiting for its first word. */
export function connecting(port: number): number {
  const peer = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const lines = fs.readFileSync("/proc/net/tcp", "utf8").split("\n");
  return lines.map((line) => line.trim().split(/\s+/)).filter((fields) => fields[2] === peer && fields[3] === SYN_SENT)
    .length;
}

const SYN_SENT = "02";

/**
 * A loopback port whose queue of connections is full and whose owner stands still: whoever connects hears nothing at all, as
 * from a host that drops packets. Linux only.
 */
export async function fullPort(scope: Scope): Promise<number> {
  const child = spawn(process.execPath, ["-e", LISTENER], { stdio: ["pipe", "pipe", "inherit"] });
  scope.after(() => {
    child.kill("SIGKILL");
  });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  const port = Number(line.toString("utf8"));
  child.kill("SIGSTOP");
  const fillers = Array.from({ length: 4 }, () => net.connect(port, "127.0.0.1").on("error", () => {}));
  scope.after(() => {
    for (const filler of fillers) filler.destroy();
  });
  // The kernel takes one more than the backlog says.
  await until(() => fillers.filter((filler) => filler.readyState === "open").length === 2, "the queue to fill");
  return port;
}
