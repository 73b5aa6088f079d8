import fs from "node:fs";
import path from "node:path";
import { subjectOf, type Contestant, type Place } from "../contestant.ts";
import { findProgram, freePort, startListening } from "../processes.ts";

/** A rival that is a program with a config file. */
export interface ConfiguredRival {
  /** Also the program on the PATH. */
  readonly name: string;
  /** What is switched on in it. */
  readonly settings: string;
  readonly fileName: string;
  /** The text of the file, for a proxy that listens on this port. */
  configOf(port: number, place: Place): string;
  argumentsFor(file: string): readonly string[];
  /** Beside our own environment; `folder` is where the file is. */
  environmentFor(folder: string): Readonly<Record<string, string>>;
}

/** Makes it a contestant: its file is written and it is started when its turn comes. */
export function configured(rival: ConfiguredRival): Contestant {
  const { name, settings, fileName } = rival;
  return {
    name,
    settings,
    program: name,
    start: async (place) => {
      const port = await freePort();
      const folder = fs.mkdtempSync(path.join(place.folder, `${name}-`));
      const file = path.join(folder, fileName);
      fs.writeFileSync(file, rival.configOf(port, place));
      const [program, args] = [findProgram(name) ?? name, rival.argumentsFor(file)];
      const running = await startListening(place.core, program, args, port, rival.environmentFor(folder));
      return subjectOf({ name, settings }, port, running);
    },
  };
}
