import type { ClientConnection } from "./client-connection.ts";

const SWEEP_MS = 50;
/** A connection on which nothing was asked yet may have its first request on the way: it gets this long. */
const SILENT_GRACE_MS = 250;

/**
 * Ends client connections as they fall idle, from now until the function it gives back is called. Node's own
 * `closeIdleConnections` takes an answer that was written for one that was sent, and cuts what slow readers still wait
 * for. A connection in the middle of a head is left to the header timeout.
 */
export function endIdleConnections(clients: ReadonlySet<ClientConnection>): () => void {
  let sweeps = 0;
  const sweep = (): void => {
    const silentToo = sweeps++ * SWEEP_MS >= SILENT_GRACE_MS;
    for (const client of clients) {
      if (client.isIdle && (silentToo || client.hasServed)) client.destroy();
    }
  };
  sweep();
  const timer = setInterval(sweep, SWEEP_MS);
  return () => clearInterval(timer);
}
