import { Composer, Lexer, LineCounter, Parser } from "yaml";
import type { CST, Document } from "yaml";

/** A YAML text as nodes, and its line starts; or why it was not read. */
export type YamlResult =
  | { readonly ok: true; readonly document: Document.Parsed; readonly lines: LineCounter }
  | { readonly ok: false; readonly message: string };

/** Ten thousand routes have about a million; each costs some hundred bytes while it is read. */
const MAX_LEXEMES = 2_500_000;

/** Levels of brackets, or of block indicators in one line: the reader recurses once per level. */
const MAX_LEVELS = 64;

/**
 * Reads the first document of a text into nodes; its errors and warnings are in the document. Texts that are made to
 * exhaust a reader (levels upon levels, millions of marks) are refused while they are read.
 */
export function yamlDocument(text: string): YamlResult {
  const lines = new LineCounter();
  const guard: Guard = { count: 0, flowLevel: 0, blockMarks: 0, inScalar: false, fault: null };
  const options = { uniqueKeys: false, prettyErrors: false, stringKeys: true, merge: false };
  const [document, second] = new Composer(options).compose(guardedTokens(text, lines, guard), true, text.length);
  if (guard.fault !== null) return { ok: false, message: guard.fault };
  if (second !== undefined) return { ok: false, message: "holds more than one document" };
  return document === undefined
    ? { ok: false, message: "is empty" }
    : { ok: true, document: asParsed(document), lines };
}

interface Guard {
  count: number;
  flowLevel: number;
  blockMarks: number;
  /** The next lexeme is the text of a scalar, whatever it looks like. */
  inScalar: boolean;
  fault: string | null;
}

function asParsed(document: Document.Parsed | Document): Document.Parsed {
  return document as Document.Parsed;
}

/** What `Parser.parse` does, with a look at each lexeme before the parser takes it. */
function* guardedTokens(text: string, lines: LineCounter, guard: Guard): Generator<CST.Token> {
  const parser = new Parser(lines.addNewLine);
  lines.addNewLine(0);
  for (const lexeme of new Lexer().lex(text)) {
    look(lexeme, guard);
    if (guard.fault !== null) return;
    yield* parser.next(lexeme);
  }
  yield* parser.end();
}

function look(lexeme: string, guard: Guard): void {
  if (++guard.count > MAX_LEXEMES) guard.fault = `has more than ${MAX_LEXEMES} words and marks`;
  if (guard.inScalar) {
    guard.inScalar = false;
    return;
  }
  switch (lexeme) {
    case "\u001f":
      guard.inScalar = true;
      return;
    case "[":
    case "{":
      guard.flowLevel++;
      break;
    case "]":
    case "}":
      guard.flowLevel--;
      break;
    case "\n":
    case "\r\n":
      guard.blockMarks = 0;
      break;
    case "-":
    case "?":
    case ":":
      if (guard.flowLevel <= 0) guard.blockMarks++;
      break;
    default:
  }
  if (Math.max(guard.flowLevel, guard.blockMarks) > MAX_LEVELS)
    guard.fault = `is nested deeper than ${MAX_LEVELS} levels`;
}
