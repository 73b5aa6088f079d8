import type { Path } from "./schema-walk.ts";

/** Something wrong at a place in the config, before it is printed. */
export interface Issue {
  readonly path: Path;
  /** The offending value; undefined when there is none to print. */
  readonly value: unknown;
  /** Continues the sentence that the printed value begins, and says what is allowed. */
  readonly message: string;
}

/** `routes[2].split.share`; names that are not plain words are quoted: `headers["x.y"]`; the whole file is `config`. */
export function textFromPath(path: Path): string {
  let text = "";
  for (const step of path) {
    if (typeof step === "number") text += `[${step}]`;
    else if (/^[\w-]+$/.test(step)) text += text === "" ? step : `.${step}`;
    else text += `[${JSON.stringify(step)}]`;
  }
  return text === "" ? "config" : text;
}

const LONGEST_PRINTED = 80;
const SECRET_NAME = /authorization|cookie|token|secret|passw|credential|api-?key|private/i;
const SECRET_FORMS = [
  /-----BEGIN/,
  /^(bearer|basic)\s/i,
  /^(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9+/]{32,}={0,2}$/,
  /^[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}$/,
  /^(gh[a-z]_|github_pat_|sk-|xox[a-z]-|AKIA)[\w-]{12,}$/,
];

/** Stands for a value that is not shown. */
const MASK = "***";

/** True when a value at this place may be a secret: its name says so, or it looks like a key, token or PEM text. */
export function looksSecret(path: Path, value: string): boolean {
  if (SECRET_FORMS[0]?.test(value) === true) return true;
  if (/^\.{0,2}\//.test(value)) return false;
  return hasSecretName(path) || SECRET_FORMS.some((form) => form.test(value));
}

/** A value as it is shown to operators: itself, unless it may be a secret. */
export function masked(path: Path, value: string): string {
  return looksSecret(path, value) ? MASK : value;
}

/** Header fields as they are shown to operators, name → value. */
export function maskedHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, masked(["headers", name], value)]));
}

/** Of our own settings `tokenFile` holds a path and `cookie` a cookie's name; a header called cookie holds cookies. */
function hasSecretName(path: Path): boolean {
  const at = path.findLastIndex((step) => typeof step === "string");
  const name = String(path[at]);
  const inHeaders = path[at - 1] === "headers" || path[at - 1] === "header";
  const isSetting = name === "tokenFile" || (name === "cookie" && !inHeaders);
  return SECRET_NAME.test(name) && !isSetting;
}

/** A value as it is printed in a problem: quoted, cut at 80 characters, secrets masked, maps and lists named. */
export function printedValue(path: Path, value: unknown): string {
  if (value === undefined || value === null) return "";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a map";
  if (typeof value !== "string") return JSON.stringify(value);
  if (looksSecret(path, value)) return `"${MASK}"`;
  const shown = value.replace(/\/\/[^/@\s]*@/g, `//${MASK}@`);
  return JSON.stringify(shown.length > LONGEST_PRINTED ? `${shown.slice(0, LONGEST_PRINTED)}…` : shown);
}
