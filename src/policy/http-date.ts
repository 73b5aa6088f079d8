const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const MONTH = `(?<month>${MONTHS.join("|")})`;
const TIME = "(?<hour>[01][0-9]|2[0-3]):(?<minute>[0-5][0-9]):(?<second>[0-5][0-9]|60)";
const SHORT_DAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)";
const LONG_DAY = "(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)";

/** `Sun, 06 Nov 1994 08:49:37 GMT`, `Sunday, 06-Nov-94 08:49:37 GMT`, `Sun Nov  6 08:49:37 1994`. */
const FORMS = [
  new RegExp(`^${SHORT_DAY}, (?<day>[0-9]{2}) ${MONTH} (?<year>[0-9]{4}) ${TIME} GMT$`),
  new RegExp(`^${LONG_DAY}, (?<day>[0-9]{2})-${MONTH}-(?<year>[0-9]{2}) ${TIME} GMT$`),
  new RegExp(`^${SHORT_DAY} ${MONTH} (?<day>[0-9]{2}| [0-9]) ${TIME} (?<year>[0-9]{4})$`),
];

/** How far ahead of now a year of two digits may be. */
const YEARS_AHEAD = 50;

/**
 * Milliseconds since the Unix epoch that an HTTP-date says, in any of the three forms that RFC 9110 §5.6.7 wants read; null
 * for everything else, days that no calendar has among it. `wallMs` places years of two digits. The name of the day is not
 * compared with the date.
 */
export function timeFromHttpDate(text: string, wallMs: number): number | null {
  for (const form of FORMS) {
    const parts = form.exec(text)?.groups;
    if (parts !== undefined) return timeFromParts(parts, wallMs);
  }
  return null;
}

function timeFromParts(parts: Record<string, string>, wallMs: number): number | null {
  const day = Number(parts["day"]);
  const month = MONTHS.indexOf(parts["month"] as string);
  const year = fullYear(parts["year"] as string, wallMs);
  const date = new Date(Date.UTC(year, month, day));
  if (date.getUTCFullYear() !== year || date.getUTCDate() !== day) return null;
  return date.setUTCHours(Number(parts["hour"]), Number(parts["minute"]), Number(parts["second"]));
}

/** Two digits mean the latest such year that is at most 50 years ahead. */
function fullYear(digits: string, wallMs: number): number {
  const year = Number(digits);
  if (digits.length === 4) return year;
  const latest = new Date(wallMs).getUTCFullYear() + YEARS_AHEAD;
  return latest - ((latest - year) % 100);
}
