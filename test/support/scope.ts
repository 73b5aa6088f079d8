import { after } from "node:test";

/** Whatever runs clean-up when a test or a test file is over: a `TestContext`, or `fileScope`. */
export interface Scope {
  after(cleanUp: () => void | Promise<void>): void;
}

/** Ends with the test file. Use it at the top level only: inside a test, the test's own context is the scope. */
export const fileScope: Scope = {
  after: (cleanUp) => {
    after(cleanUp);
  },
};
