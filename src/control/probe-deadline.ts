/**
 * Calls back when the time of a probe is over, and never keeps the process alive; gives what calls it off. After a time in
 * which this thread stood still, timers run before what came from the network meanwhile is read: so that is waited for, or
 * a pause of ours would count as a failure of every endpoint.
 */
export function startDeadline(timeoutMs: number, onOver: () => void): () => void {
  let turn: NodeJS.Immediate | null = null;
  const timer = setTimeout(() => {
    turn = setImmediate(onOver);
  }, timeoutMs).unref();
  return () => {
    clearTimeout(timer);
    if (turn !== null) clearImmediate(turn);
  };
}
