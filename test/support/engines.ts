import type { Engine } from "../../src/model/snapshot.ts";

/** Every engine: what holds for one is tested in each. */
export const ENGINES: readonly Engine[] = ["native", "library"];
