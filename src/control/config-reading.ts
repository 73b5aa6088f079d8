import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Config } from "../config/config.ts";
import type { Problem } from "../config/parse.ts";

/** What the config file and the files it names say, read as one. */
export type ConfigReading = GoodReading | BadReading;

/** A config that parsed, with the content of every file it names. */
export interface GoodReading {
  readonly ok: true;
  /** SHA-256, hex, over the text and the files: equal hashes mean the same config. */
  readonly hash: string;
  readonly text: string;
  readonly config: Config;
  /** Content by path as written in the config. */
  readonly files: ReadonlyMap<string, string>;
  readonly warnings: readonly string[];
  /** Absolute paths of everything that was read, the config file first. */
  readonly paths: readonly string[];
}

/** A config that cannot be used, and why. */
export interface BadReading {
  readonly ok: false;
  /** Null when the files never held still. */
  readonly hash: string | null;
  readonly problems: readonly Problem[];
  readonly paths: readonly string[];
}

/** How to read a config; the pure parts come from config/. */
export interface ReadOptions {
  /** Path of the config file. Relative paths inside it count from its folder. */
  readonly path: string;
  readonly parse: (
    text: string,
  ) =>
    | { readonly ok: true; readonly config: Config; readonly warnings: readonly string[] }
    | { readonly ok: false; readonly problems: readonly Problem[] };
  /** Files that the config names and that are part of it, as written. */
  readonly referencedFiles: (config: Config) => readonly string[];
  /** Problems that only the content of the files shows, such as a key that is not the certificate's. */
  readonly checkFiles: (config: Config, files: ReadonlyMap<string, string>) => readonly Problem[];
  /** Pause between two looks, in milliseconds; default 10. */
  readonly settleMs?: number;
}

/** The largest accepted file, in bytes. */
export const MAX_CONFIG_FILE_BYTES = 16 * 2 ** 20;

/** Looks before a file that keeps changing is given up: one second with the default pause. */
const MAX_LOOKS = 100;

/**
 * Reads the config file and everything it names until two looks in a row agree, so that a half-written file or a
 * folder in the middle of a swap is not taken for a config. Never rejects: what cannot be read is a problem.
 */
export async function readConfig(options: ReadOptions): Promise<ConfigReading> {
  let last: Look | null = null;
  for (let count = 0; count < MAX_LOOKS; count++) {
    if (last !== null) await sleep(options.settleMs ?? 10);
    const look: Look = await lookOnce(options, last);
    if (look.hash === last?.hash) return readingFrom(options, look);
    last = look;
  }
  const problems = [fileProblem(options.path, "kept changing while it was read")];
  return { ok: false, hash: null, problems, paths: last?.paths ?? [resolve(options.path)] };
}

/** The hash of a set of files as they are now; what cannot be read counts by its error code. */
export async function hashOfFiles(paths: readonly string[]): Promise<string> {
  return hashOf(paths, await readAll(paths));
}

/** Where a path written in the config points to. */
export function resolveBeside(configPath: string, path: string): string {
  return resolve(dirname(configPath), path);
}

type FileContent =
  | { readonly ok: true; readonly bytes: Buffer }
  | { readonly ok: false; readonly code: string; readonly message: string };

/** One look at all files; `parsed` is null when the config file itself cannot be read as text. */
interface Look {
  readonly hash: string;
  readonly paths: readonly string[];
  readonly contents: readonly FileContent[];
  readonly text: string | null;
  readonly parsed: ReturnType<ReadOptions["parse"]> | null;
  /** As written in the config; `paths` and `contents` from index 1 on are theirs. */
  readonly references: readonly string[];
}

async function lookOnce(options: ReadOptions, last: Look | null): Promise<Look> {
  const path = resolve(options.path);
  const main = await readOne(path);
  const text = main.ok ? textFrom(main.bytes) : null;
  const usable = text !== null && text.trim() !== "";
  const parsed = !usable ? null : text === last?.text ? last.parsed : options.parse(text);
  const references = parsed?.ok === true ? [...new Set(options.referencedFiles(parsed.config))] : [];
  const paths = [path, ...references.map((reference) => resolveBeside(path, reference))];
  const contents = [main, ...(await readAll(paths.slice(1)))];
  return { hash: hashOf(paths, contents), paths, contents, text, parsed, references };
}

function readingFrom(options: ReadOptions, look: Look): ConfigReading {
  const refused = (problems: readonly Problem[]): BadReading => {
    return { ok: false, hash: look.hash, problems, paths: look.paths };
  };
  const main = look.contents[0] as FileContent;
  if (!main.ok) return refused([fileProblem(options.path, main.message)]);
  if (look.text === null) return refused([fileProblem(options.path, "is not UTF-8 text")]);
  if (look.parsed === null) {
    return refused([fileProblem(options.path, "is empty; an empty file is not taken for a config")]);
  }
  if (!look.parsed.ok) return refused(look.parsed.problems);
  const { files, problems } = filesOf(look);
  const { config, warnings } = look.parsed;
  const all = problems.length > 0 ? problems : options.checkFiles(config, files);
  if (all.length > 0) return refused(all);
  return { ok: true, hash: look.hash, text: look.text, config, files, warnings, paths: look.paths };
}

function filesOf(look: Look): { files: Map<string, string>; problems: Problem[] } {
  const files = new Map<string, string>();
  const problems: Problem[] = [];
  for (const [index, reference] of look.references.entries()) {
    const content = look.contents[index + 1] as FileContent;
    const text = content.ok ? textFrom(content.bytes) : null;
    if (text !== null) files.set(reference, text);
    else problems.push(fileProblem(reference, content.ok ? "is not UTF-8 text" : content.message));
  }
  return { files, problems };
}

function fileProblem(path: string, message: string): Problem {
  return { path: "config", value: JSON.stringify(path), message };
}

function textFrom(bytes: Buffer): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}

function readAll(paths: readonly string[]): Promise<FileContent[]> {
  return Promise.all(paths.map(readOne));
}

async function readOne(path: string): Promise<FileContent> {
  try {
    return await readBounded(path);
  } catch (error) {
    const { code = "EUNKNOWN", message } = error as NodeJS.ErrnoException;
    return { ok: false, code, message: code === "ENOENT" ? "does not exist" : `cannot be read: ${message}` };
  }
}

async function readBounded(path: string): Promise<FileContent> {
  const handle = await open(path, "r");
  try {
    const { size } = await handle.stat();
    if (size > MAX_CONFIG_FILE_BYTES) {
      return { ok: false, code: "EFBIG", message: `has ${size} bytes; at most ${MAX_CONFIG_FILE_BYTES} are read` };
    }
    return { ok: true, bytes: await handle.readFile() };
  } finally {
    await handle.close();
  }
}

function hashOf(paths: readonly string[], contents: readonly FileContent[]): string {
  const hash = createHash("sha256");
  for (const [index, content] of contents.entries()) {
    const bytes = content.ok ? content.bytes : Buffer.from(content.code);
    hash.update(`${content.ok ? "file" : "error"} ${bytes.length} ${JSON.stringify(paths[index])}\n`).update(bytes);
  }
  return hash.digest("hex");
}
