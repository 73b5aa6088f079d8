const waiters = new Set<() => void>();

/** Longest that any wait of a test lasts unless it says otherwise. Only a failing test ever uses it up. */
export const DEADLINE_MS = 5_000;

/** Tells every wait in this process that something observable happened (bytes, a close, a log line). */
export function changed(): void {
  for (const check of waiters) check();
}

/**
 * Waits until `probe` gives something other than null, undefined or false, and resolves with it. It asks again after
 * each `changed()`, and every 20 ms for facts that announce themselves to nobody (a file in /proc). Rejects at the
 * deadline with what was waited for, and `detail` if given.
 */
export async function until<T>(
  probe: () => T | null | undefined | false,
  what: string,
  options: { readonly deadlineMs?: number; readonly detail?: () => string } = {},
): Promise<T> {
  const deadlineMs = options.deadlineMs ?? DEADLINE_MS;
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const check = (): void => {
    try {
      const found = probe();
      if (found !== null && found !== undefined && found !== false) resolve(found);
    } catch (error) {
      reject(error instanceof Error ? error : new Error(String(error)));
    }
  };
  const poll = setInterval(check, 20);
  const alarm = setTimeout(() => {
    const detail = options.detail === undefined ? "" : `\n${options.detail()}`;
    reject(new Error(`waited ${deadlineMs} ms in vain for: ${what}${detail}`));
  }, deadlineMs);
  waiters.add(check);
  check();
  try {
    return await promise;
  } finally {
    waiters.delete(check);
    clearInterval(poll);
    clearTimeout(alarm);
  }
}

/**
 * Resolves when `measure` has given the same value for `quietMs`: for "nothing more happens", which has no event. A
 * window that is too short can only let a fault through, never report one that is not there.
 */
export async function untilQuiet(
  measure: () => number,
  quietMs: number,
  deadlineMs: number = DEADLINE_MS,
): Promise<void> {
  let last = measure();
  let sinceMs = performance.now();
  const quiet = (): boolean => {
    const now = measure();
    if (now === last) return performance.now() - sinceMs >= quietMs;
    last = now;
    sinceMs = performance.now();
    return false;
  };
  await until(quiet, `${quietMs} ms of quiet`, { deadlineMs });
}
