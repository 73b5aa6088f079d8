/** Calls again and again, each `periodMs`, without keeping the process alive; gives back how to stop. */
export type Every = (periodMs: number, call: () => void) => () => void;

/** `Every` by the timers of the process. */
export const everyUnheld: Every = (periodMs, call) => {
  const timer = setInterval(call, periodMs).unref();
  return () => clearInterval(timer);
};
