/**
 * Writes what is made from the config schema: config/crossfade.schema.json for editors, and the reference table between
 * the markers of docs/config.md. `test/unit/config-docs.test.ts` fails when either is out of date.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { referenceTable } from "../src/config/reference.ts";
import { configJsonSchema, configSchema } from "../src/config/schema.ts";

const schemaFile = fileURLToPath(new URL("../config/crossfade.schema.json", import.meta.url));
const docsFile = fileURLToPath(new URL("../docs/config.md", import.meta.url));
const markers = /(<!-- reference:begin -->\n)[\s\S]*(<!-- reference:end -->)/;

writeFileSync(schemaFile, `${JSON.stringify(configJsonSchema(), null, 2)}\n`);
execFileSync("oxfmt", [schemaFile], { stdio: "inherit" });
const table = referenceTable(configSchema);
const page = readFileSync(docsFile, "utf8");
writeFileSync(
  docsFile,
  page.replace(markers, (_, begin: string, end: string) => `${begin}${table}${end}`),
);
