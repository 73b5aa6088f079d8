import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import path from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";
import type { StateEvent } from "../../src/base/state-event.ts";
import { referencedFiles } from "../../src/config/compile.ts";
import { parseConfig } from "../../src/config/parse.ts";
import { checkCertificates } from "../../src/control/cert-files.ts";
import { readConfig } from "../../src/control/config-reading.ts";
import type { ConfigReading } from "../../src/control/config-reading.ts";
import { ConfigSource } from "../../src/control/config-source.ts";
import { problemText } from "../../src/control/problem-text.ts";
import type { Cause } from "../../src/model/snapshot.ts";
import { causeOf, configText, useFolder } from "../support/control-plane.ts";
import { selfSigned } from "../support/self-signed.ts";
import { changed, until, untilQuiet } from "../support/until.ts";

/** A change must be seen within this time, whatever its kind. */
const SEEN_WITHIN_MS = 2_000;

interface Handed {
  readonly reading: ConfigReading;
  readonly cause: Cause;
}

interface Bench {
  readonly source: ConfigSource<string>;
  readonly handed: Handed[];
  readonly events: StateEvent[];
  /** Waits for a reading that was handed over after this call began. */
  next(what: string): Promise<Handed>;
}

function read(file: string): Promise<ConfigReading> {
  return readConfig({
    path: file,
    parse: (text) => parseConfig(text, { format: "auto", env: {} }),
    referencedFiles,
    checkFiles: checkCertificates,
  });
}

async function openSource(t: TestContext, file: string, pollMs = 1_000): Promise<Bench> {
  const handed: Handed[] = [];
  const events: StateEvent[] = [];
  const source = new ConfigSource<string>({
    first: await read(file),
    read: () => read(file),
    onReading: async (reading, cause) => {
      handed.push({ reading, cause });
      changed();
      return `result ${handed.length}`;
    },
    onEvent: (event) => {
      events.push(event);
      changed();
    },
    pollMs,
  });
  t.after(() => source.close());
  await source.start();
  const next = (what: string): Promise<Handed> => {
    const count = handed.length;
    return until(() => handed[count], what, { deadlineMs: SEEN_WITHIN_MS });
  };
  return { source, handed, events, next };
}

function nameOf({ reading }: Handed): string | undefined {
  return reading.ok ? reading.config.routes[0]?.name : reading.problems.map(problemText).join();
}

function textFor(name: string): string {
  return configText([{ name }]);
}

/** Makes every watch fail, as a full inotify table does, so that only the timer is left. */
function breakWatch(t: TestContext): void {
  t.mock.method(fs, "watch", () => {
    throw new Error("ENOSPC: System limit for number of file watchers reached");
  });
  syncBuiltinESMExports();
  t.after(() => {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  });
}

for (const [how, prepare, pollMs] of [
  ["with the watch", () => {}, 1_000],
  ["by the timer alone", breakWatch, 200],
] as const) {
  describe(`a change is seen within two seconds ${how}`, () => {
    const scenario = (what: string, run: (t: TestContext, folder: string) => Promise<void>): void => {
      test(what, async (t) => {
        prepare(t);
        await run(t, useFolder(t));
      });
    };

    scenario("when the file is renamed over", async (t, folder) => {
      const file = path.join(folder, "config.json");
      fs.writeFileSync(file, textFor("one"));
      const { next } = await openSource(t, file, pollMs);
      const seen = next("the renamed file");
      fs.writeFileSync(`${file}.new`, textFor("two"));
      fs.renameSync(`${file}.new`, file);
      const handed = await seen;
      assert.equal(nameOf(handed), "two");
      assert.deepEqual([handed.cause.by, handed.cause.action], ["file", "reload"]);
    });

    scenario("when the file is truncated and written", async (t, folder) => {
      const file = path.join(folder, "config.json");
      fs.writeFileSync(file, textFor("one"));
      const { next } = await openSource(t, file, pollMs);
      const seen = next("the written file");
      fs.truncateSync(file);
      fs.writeFileSync(file, textFor("two"));
      assert.equal(nameOf(await seen), "two");
    });

    scenario("when the file is deleted and made again", async (t, folder) => {
      const file = path.join(folder, "config.json");
      fs.writeFileSync(file, textFor("one"));
      const { handed } = await openSource(t, file, pollMs);
      fs.rmSync(file);
      fs.writeFileSync(file, textFor("two"));
      const deadlineMs = SEEN_WITHIN_MS;
      await until(() => handed.some((entry) => nameOf(entry) === "two"), "the file made again", { deadlineMs });
    });

    scenario("when the text changes and size and time do not", async (t, folder) => {
      const file = path.join(folder, "config.json");
      fs.writeFileSync(file, textFor("one"));
      const { mtime, atime } = fs.statSync(file);
      const { next } = await openSource(t, file, pollMs);
      const seen = next("the changed text");
      fs.writeFileSync(file, textFor("two"));
      fs.utimesSync(file, atime, mtime);
      assert.equal(nameOf(await seen), "two");
    });

    scenario("when Kubernetes swaps the ..data link", async (t, folder) => {
      for (const name of ["one", "two"]) {
        fs.mkdirSync(path.join(folder, `..${name}`));
        fs.writeFileSync(path.join(folder, `..${name}`, "config.json"), textFor(name));
      }
      fs.symlinkSync("..one", path.join(folder, "..data"));
      fs.symlinkSync("..data/config.json", path.join(folder, "config.json"));
      const { next } = await openSource(t, path.join(folder, "config.json"), pollMs);
      const seen = next("the swapped link");
      fs.symlinkSync("..two", path.join(folder, "..data_tmp"));
      fs.renameSync(path.join(folder, "..data_tmp"), path.join(folder, "..data"));
      fs.rmSync(path.join(folder, "..one"), { recursive: true });
      assert.equal(nameOf(await seen), "two");
    });

    scenario("when the whole folder is replaced, and again after that", async (t, folder) => {
      const file = path.join(folder, "etc", "config.json");
      const replace = (name: string): void => {
        fs.mkdirSync(path.join(folder, "new"));
        fs.writeFileSync(path.join(folder, "new", "config.json"), textFor(name));
        fs.rmSync(path.join(folder, "etc"), { recursive: true, force: true });
        fs.renameSync(path.join(folder, "new"), path.join(folder, "etc"));
      };
      replace("one");
      const { handed } = await openSource(t, file, pollMs);
      for (const name of ["two", "three"]) {
        replace(name);
        const deadlineMs = SEEN_WITHIN_MS;
        await until(() => handed.some((entry) => nameOf(entry) === name), `the folder ${name}`, { deadlineMs });
      }
    });

    scenario("when a certificate pair is rotated, and a half rotated pair is refused", async (t, folder) => {
      const file = path.join(folder, "config.json");
      const tls = path.join(folder, "tls");
      fs.mkdirSync(tls);
      const put = (name: string, text: string): void => {
        fs.writeFileSync(path.join(tls, `${name}.new`), text);
        fs.renameSync(path.join(tls, `${name}.new`), path.join(tls, name));
      };
      const [old, fresh] = [selfSigned("old"), selfSigned("fresh")];
      put("tls.crt", old.cert);
      put("tls.key", old.key);
      const listen = [{ address: "127.0.0.1:0", tls: { cert: "tls/tls.crt", key: "tls/tls.key" } }];
      fs.writeFileSync(file, configText([{ name: "one" }], { listen }));
      const { next } = await openSource(t, file, pollMs);
      const half = next("the new certificate with the old key");
      put("tls.crt", fresh.cert);
      assert.match(nameOf(await half) ?? "", /listen\[0\]\.tls: "tls\/tls\.key" is not the key of "tls\/tls\.crt"/);
      const whole = next("the new pair");
      put("tls.key", fresh.key);
      const { reading } = await whole;
      assert.ok(reading.ok);
      assert.equal(reading.files.get("tls/tls.crt"), fresh.cert);
    });
  });
}

test("a watch that fails is told once per folder", async (t) => {
  breakWatch(t);
  const folder = useFolder(t);
  const file = path.join(folder, "config.json");
  fs.writeFileSync(file, textFor("one"));
  const { events, next } = await openSource(t, file);
  const seen = next("the change");
  fs.writeFileSync(file, textFor("two"));
  await seen;
  assert.deepEqual(
    events.map(({ level, name, fields }) => [level, name, fields["folder"]]),
    [["warn", "config-watch-failed", folder]],
  );
});

test("a burst of a hundred writes leads to at most two readings, the last of them the last write", async (t) => {
  const file = path.join(useFolder(t), "config.json");
  fs.writeFileSync(file, textFor("start"));
  const { handed } = await openSource(t, file);
  for (let i = 1; i <= 100; i++) {
    await fs.promises.writeFile(`${file}.new`, textFor(`r${i}`));
    await fs.promises.rename(`${file}.new`, file);
  }
  const deadlineMs = SEEN_WITHIN_MS;
  await until(() => handed.some((entry) => nameOf(entry) === "r100"), "the last write", { deadlineMs });
  await untilQuiet(() => handed.length, 300);
  assert.ok(handed.length <= 2, `${handed.length} readings`);
});

test("what is half written is handed over as problems, and the whole text after it", async (t) => {
  const file = path.join(useFolder(t), "config.json");
  fs.writeFileSync(file, textFor("one"));
  const { next } = await openSource(t, file);
  const half = next("the half text");
  fs.writeFileSync(file, textFor("two").slice(0, 80));
  assert.equal((await half).reading.ok, false);
  const whole = next("the whole text");
  fs.appendFileSync(file, textFor("two").slice(80));
  assert.equal(nameOf(await whole), "two");
});

test("a file that was emptied is a problem, and so is one that is gone", async (t) => {
  const file = path.join(useFolder(t), "config.json");
  fs.writeFileSync(file, textFor("one"));
  const { next } = await openSource(t, file);
  const emptied = next("the empty file");
  fs.truncateSync(file);
  assert.match(nameOf(await emptied) ?? "", /is empty/);
  const gone = next("the missing file");
  fs.rmSync(file);
  assert.match(nameOf(await gone) ?? "", /does not exist/);
});

test("what happens beside the files is not handed over", async (t) => {
  const folder = useFolder(t);
  const file = path.join(folder, "config.json");
  fs.writeFileSync(file, textFor("one"));
  const { handed, next } = await openSource(t, file);
  fs.writeFileSync(path.join(folder, "other"), "x");
  fs.writeFileSync(file, textFor("one"));
  await untilQuiet(() => handed.length, 400);
  assert.equal(handed.length, 0);
  const seen = next("a real change");
  fs.writeFileSync(file, textFor("two"));
  await seen;
});

test("a reload that was asked for reads at once and hands over even what did not change", async (t) => {
  const file = path.join(useFolder(t), "config.json");
  fs.writeFileSync(file, textFor("one"));
  const { source, handed } = await openSource(t, file);
  const results = await Promise.all([
    source.reloadNow(causeOf("reload", "ann")),
    source.reloadNow(causeOf("reload", "bob")),
  ]);
  assert.deepEqual(results, ["result 1", "result 2"]);
  assert.deepEqual(
    handed.map(({ cause }) => cause.actor),
    ["ann", "bob"],
  );
});

test("a closed source hears nothing, and closing waits for the reading under way", async (t) => {
  const file = path.join(useFolder(t), "config.json");
  fs.writeFileSync(file, textFor("one"));
  const { source, handed } = await openSource(t, file);
  const underWay = source.reloadNow(causeOf("reload"));
  await source.close();
  assert.equal(handed.length, 1);
  await underWay;
  fs.writeFileSync(file, textFor("two"));
  await untilQuiet(() => handed.length, 300);
  assert.equal(handed.length, 1);
});

test("a closed source leaves nothing that keeps the process", async (t) => {
  const file = path.join(useFolder(t), "config.json");
  fs.writeFileSync(file, textFor("one"));
  const script = `
    import { ConfigSource } from ${JSON.stringify(new URL("../../src/control/config-source.ts", import.meta.url).href)};
    const first = { ok: false, hash: "none", problems: [], paths: [${JSON.stringify(file)}] };
    const source = new ConfigSource({ first, read: async () => first, onReading: async () => {}, onEvent: () => {} });
    await source.start();
    await source.reloadNow({ by: "admin", actor: "a", reason: "", action: "reload" });
    await source.close();
  `;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", script], { stdio: "inherit" });
  t.after(() => child.kill("SIGKILL"));
  const [code] = (await once(child, "exit", { signal: AbortSignal.timeout(5_000) })) as [number];
  assert.equal(code, 0);
});
