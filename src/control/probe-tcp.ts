import type net from "node:net";
import { failed, PASS, type ProbeResult } from "../policy/health.ts";
import { startDeadline } from "./probe-deadline.ts";
import { dialPlain } from "./probe-dial.ts";
import { resultOfError } from "./probe-errors.ts";
import type { Probe, ProbeTarget } from "./probe.ts";

/** A probe that connects and closes; nothing is sent, not even a TLS handshake. */
export function openTcpProbe(target: ProbeTarget): Probe {
  return new TcpProbe(target);
}

class TcpProbe implements Probe {
  readonly #target: ProbeTarget;
  #socket: net.Socket | null = null;

  constructor(target: ProbeTarget) {
    this.#target = target;
  }

  async run(): Promise<ProbeResult> {
    const { promise, resolve } = Promise.withResolvers<ProbeResult>();
    const { timeoutMs } = this.#target.health;
    const socket = dialPlain(this.#target, () => resolve(PASS));
    this.#socket = socket;
    const late = (): void => resolve(failed("timeout", `no connection within ${timeoutMs} ms`));
    const stopDeadline = startDeadline(timeoutMs, late);
    socket.on("error", (error) => resolve(resultOfError(error)));
    socket.on("close", () => resolve(failed("reset", "the connection was given up")));
    const result = await promise;
    stopDeadline();
    // A FIN, not a reset: servers log resets as errors. The port that it holds for a minute is one of few.
    socket.destroy();
    this.#socket = null;
    return result;
  }

  close(): void {
    this.#socket?.destroy();
  }
}
