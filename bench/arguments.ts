/** A whole number from 1 to 10 000 from the command line; ends the process when it is none. */
export function wholeNumber(option: string, value: string, help: string): number {
  const number = Number(value);
  if (!Number.isInteger(number) || number < 1 || number > 10_000)
    refuse(option, value, "a whole number from 1 to 10000", help);
  return number;
}

/** Says what is wrong with an option and what is allowed, and ends the process. */
export function refuse(option: string, value: string, allowed: string, help: string): never {
  process.stderr.write(`${option}: ${JSON.stringify(value)} is not ${allowed}\n\n${help}`);
  process.exit(2);
}
