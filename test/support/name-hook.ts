/**
 * Loaded with `--import` into a sidecar under test, in every thread of it. Names that end in `.names.test` resolve to
 * 127.0.0.1 while they stand in the file that `TEST_NAMES` says, one per line, and do not resolve else. All other names are
 * looked up as always.
 */
import dns from "node:dns";
import fs from "node:fs";

type LookupCallback = (error: Error | null, ...found: unknown[]) => void;
type Lookup = (host: string, options: dns.LookupOptions, callback: LookupCallback) => void;

const usual = dns.lookup as unknown as Lookup;

const hooked: Lookup = (host, options, callback) => {
  if (!host.endsWith(".names.test")) return usual(host, options, callback);
  process.nextTick(() => {
    const isKnown = fs
      .readFileSync(process.env["TEST_NAMES"] ?? "", "utf8")
      .split("\n")
      .includes(host);
    if (!isKnown) {
      callback(
        Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: "ENOTFOUND", syscall: "getaddrinfo" }),
      );
    } else if (options.all === true) callback(null, [{ address: "127.0.0.1", family: 4 }]);
    else callback(null, "127.0.0.1", 4);
  });
};

Object.assign(dns, { lookup: hooked });
