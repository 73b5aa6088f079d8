import { X509Certificate } from "node:crypto";
import type { Config } from "../config/config.ts";
import type { Problem } from "../config/parse.ts";

// Taken without `import`, which reads every export, and one is a megabyte of root certificates.
const { createSecureContext } = process.getBuiltinModule("node:tls");

/** PEM texts that must fit together, and where the config names them. */
interface CertificateSet {
  readonly path: string;
  readonly certFile: string | null;
  readonly keyFile: string | null;
  readonly caFile: string | null;
}

/**
 * Problems of the TLS files that a config names: a text that is no certificate, a key that is not the certificate's.
 * While one half of a pair is new and the other old, this is what keeps the old pair in force.
 */
export function checkCertificates(config: Config, files: ReadonlyMap<string, string>): readonly Problem[] {
  return setsOf(config).flatMap((set) => problemsOf(set, files));
}

function setsOf(config: Config): readonly CertificateSet[] {
  const sets: CertificateSet[] = [];
  for (const [index, { tls }] of config.listeners.entries()) {
    if (tls !== null) sets.push({ ...tls, caFile: tls.clientCaFile, path: `listen[${index}].tls` });
  }
  for (const { name, tls } of config.upstreams) {
    if (tls !== null) sets.push({ ...tls, path: `upstreams.${name}.tls` });
  }
  return sets;
}

function problemsOf(
  { path, certFile, keyFile, caFile }: CertificateSet,
  files: ReadonlyMap<string, string>,
): Problem[] {
  const textOf = (file: string | null) => (file === null ? null : (files.get(file) ?? ""));
  const [cert, key, ca] = [textOf(certFile), textOf(keyFile), textOf(caFile)];
  const problems: Problem[] = [];
  const note = (file: string | null, error: unknown, what: string) => {
    const why = error instanceof Error ? error.message : String(error);
    problems.push({ path, value: JSON.stringify(file), message: `${what} (${why})` });
  };
  for (const [file, text] of [
    [certFile, cert],
    [caFile, ca],
  ] as const) {
    if (text === null) continue;
    attempt(
      () => certificatesOf(text),
      (error) => note(file, error, "is not a PEM certificate"),
    );
  }
  if (problems.length > 0 || (cert === null && key === null)) return problems;
  const pair = { ...(cert !== null && { cert }), ...(key !== null && { key }) };
  attempt(
    () => createSecureContext(pair),
    (error) => note(keyFile, error, `is not the key of ${JSON.stringify(certFile)}`),
  );
  return problems;
}

/** Every certificate of a bundle; throws on a text that holds none or a broken one. */
function certificatesOf(text: string): readonly X509Certificate[] {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g);
  if (blocks === null) throw new Error("no certificate in it");
  return blocks.map((block) => new X509Certificate(block));
}

function attempt(step: () => unknown, onError: (error: unknown) => void): void {
  try {
    step();
  } catch (error) {
    onError(error);
  }
}
