/** What is wrong with a text as JSON, with its line where it can be told; null when nothing is. */
export function jsonFault(text: string): string | null {
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    const position = positionIn(error) ?? firstNonToken(text);
    return position === null ? "is not valid JSON" : `is not valid JSON (line ${lineOf(text, position)})`;
  }
}

/** The engine's own message quotes the text around the fault, which may be a secret: only a position is taken from it. */
function positionIn(error: unknown): number | null {
  const match = /at position (\d+)/.exec(error instanceof Error ? error.message : "");
  return match === null ? null : Number(match[1]);
}

/** Of a fault that is no token at all the engine tells no position. */
function firstNonToken(text: string): number | null {
  const token = /\s+|"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null|[[\]{}:,]/y;
  let position = 0;
  while (position < text.length) {
    token.lastIndex = position;
    if (!token.test(text)) return position;
    position = token.lastIndex;
  }
  return null;
}

function lineOf(text: string, position: number): number {
  return text.slice(0, position).split("\n").length;
}
