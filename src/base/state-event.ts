/**
 * Something that changed the state of the process, once: a log line and an event for whoever listens. `name` is the
 * stable kebab-case label, `message` the log line in lower case and past tense.
 */
export interface StateEvent {
  readonly level: "info" | "warn" | "error";
  readonly name: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Takes state events; must not throw. */
export type StateEventSink = (event: StateEvent) => void;
