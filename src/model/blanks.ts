const TAB = 9;
const SPACE = 32;

/** Whether a character code is a blank, of which optional whitespace is made (RFC 9110 §5.6.3): SP or HTAB. */
export function isBlank(code: number): boolean {
  return code === SPACE || code === TAB;
}

/** Where text[start, end) ends without the blanks at its end. */
export function endBeforeBlanks(text: string, start: number, end: number): number {
  let at = end;
  while (at > start && isBlank(text.charCodeAt(at - 1))) at--;
  return at;
}

/** text[start, end) without the blanks around it, in linear time: a RegExp would try again at each blank inside. */
export function withoutBlanks(text: string, start: number, end: number): string {
  let from = start;
  while (from < end && isBlank(text.charCodeAt(from))) from++;
  return text.slice(from, endBeforeBlanks(text, from, end));
}
