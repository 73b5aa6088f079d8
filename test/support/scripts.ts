import { answering, okText, type Handler, type RawUpstream, type SeenRequest } from "./raw-upstream.ts";

/** What a test's upstream does with the n-th request that it has whole; the last step goes on for all that follow. */
export function inTurn(...steps: readonly [Handler, ...Handler[]]): Handler {
  let next = 0;
  return (request) => {
    const step = steps[Math.min(next++, steps.length - 1)] as Handler;
    step(request);
  };
}

/** Forgets what was seen, says what comes next, and ends all connections, so that none of them can be stale. */
export async function plan(upstream: RawUpstream, ...steps: readonly [Handler, ...Handler[]]): Promise<void> {
  await fresh(upstream);
  upstream.onHead = null;
  upstream.onRequest = inTurn(...steps);
}

/** Ends all connections in a way that the other side has noticed when this resolves, and forgets what was seen. */
export async function fresh(upstream: RawUpstream): Promise<void> {
  for (const connection of upstream.connections) {
    connection.close();
    await connection.ended();
  }
  upstream.forget();
}

/** A whole answer without a body, with this status. */
export function status(code: number, fields: readonly string[] = []): Handler {
  const lines = [`HTTP/1.1 ${code} Told`, ...fields, "Content-Length: 0"];
  return answering(`${lines.join("\r\n")}\r\n\r\n`);
}

/** A whole 200 answer around this body. */
export function ok(body: string, fields: readonly string[] = []): Handler {
  return answering(okText(body, fields));
}

/** RST. */
export function resets({ connection }: SeenRequest): void {
  connection.reset();
}

/** FIN without a word. */
export function closes({ connection }: SeenRequest): void {
  connection.close();
}

/** Says nothing. */
export function silent(): void {}
