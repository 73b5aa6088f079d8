const MAX_DIGITS = 15;

/** The number that 1 to 15 decimal digits and nothing else say; -1 for any other text. Bench: bench/micro/codec.ts. */
export function numberFromDigits(text: string): number {
  if (text.length === 0 || text.length > MAX_DIGITS) return -1;
  let number = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return -1;
    number = number * 10 + digit;
  }
  return number;
}
