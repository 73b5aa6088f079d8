import { parsed, refused } from "./units.ts";
import type { Parsed } from "./units.ts";

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Replaces `${NAME}` and `${NAME:-default}` in a text; `$$` gives one `$`, any other `$` stays. The default holds for a
 * variable that is missing or empty. A missing variable without a default is refused, so is a `${` that is no variable.
 */
export function withVariables(text: string, env: Environment): Parsed<string> {
  if (!text.includes("$")) return parsed(text);
  let problem: string | null = null;
  const replaced = text.replace(/\$\$|\$\{([^}]*)(\}|$)/g, (written, inner: string | undefined, end: string) => {
    if (inner === undefined) return "$";
    const result = end === "}" ? variableValue(inner, env) : refused(`has a \${ without its }; write $$ for a plain $`);
    if (result.ok) return result.value;
    problem ??= result.message;
    return written;
  });
  return problem === null ? parsed(replaced) : refused(problem);
}

function variableValue(inner: string, env: Environment): Parsed<string> {
  const match = /^([A-Za-z_][A-Za-z0-9_]*)(?::-([\s\S]*))?$/.exec(inner);
  if (match === null)
    return refused("holds ${…} that names no variable; write ${NAME}, ${NAME:-default}, or $$ for a plain $");
  const [, name = "", fallback] = match;
  const value = Object.hasOwn(env, name) ? env[name] : undefined;
  if (fallback !== undefined) return parsed(value === undefined || value === "" ? fallback : value);
  if (value === undefined)
    return refused(`names the environment variable ${name}, which is not set; set it or write \${${name}:-default}`);
  return parsed(value);
}
