import type { Problem } from "../config/parse.ts";

/** A problem as one line: `routes[2].split.share: "120%" is above 100%`. */
export function problemText({ path, value, message }: Problem): string {
  const sentence = value === "" ? message : `${value} ${message}`;
  return path === "" ? sentence : `${path}: ${sentence}`;
}
