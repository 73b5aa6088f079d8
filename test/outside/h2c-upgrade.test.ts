import assert from "node:assert/strict";
import { routesTo } from "../support/configs.ts";
import { startHttpUpstream } from "../support/http-upstream.ts";
import { useSidecar } from "../support/sidecar.ts";
import { findTool, freePort, runTool, startTool, testWith, untilListening } from "./tools.ts";

const CURL = findTool("curl");
const NGHTTPX = findTool("nghttpx");

testWith(
  [CURL, NGHTTPX],
  "an upgrade to h2c that the upstream would grant is not granted through the sidecar",
  30_000,
  async (t, [curl = "", nghttpx = ""]) => {
    const echo = await startHttpUpstream(t);
    const port = await freePort();
    startTool(t, nghttpx, [
      "--conf=/dev/null",
      "--workers=1",
      "--single-process",
      `--frontend=127.0.0.1,${port};no-tls`,
      `--backend=127.0.0.1,${echo.port}`,
    ]);
    await untilListening(port, "nghttpx");
    const sidecar = await useSidecar(t, routesTo({ "/echo": echo.url, "/": `http://127.0.0.1:${port}` }));

    const direct = await ask(curl, port, "/");
    assert.match(direct.heads, /^< HTTP\/1\.1 101/m, "without us the upgrade must happen, or this shows nothing");
    assert.match(direct.heads, /^< HTTP\/2 200/m);

    for (const path of ["/", "/echo"]) {
      const through = await ask(curl, sidecar.port, path);
      assert.match(through.heads, /^> Upgrade: h2c/m);
      assert.match(through.heads, /^< HTTP\/1\.1 200/m);
      assert.doesNotMatch(through.heads, /^< HTTP\/1\.1 101|^< HTTP\/2|^< upgrade:/im);
      const names = through.echo.rawHeaders.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase());
      assert.ok(!names.includes("upgrade") && !names.includes("http2-settings"), names.join(", "));
    }
  },
);

interface Answer {
  /** Curl's own account: `>` sent, `<` received. */
  readonly heads: string;
  readonly echo: { readonly rawHeaders: readonly string[] };
}

async function ask(curl: string, port: number, path: string): Promise<Answer> {
  const { code, stdout, stderr } = await runTool(
    curl,
    ["--disable", "--noproxy", "*", "--http2", "-sv", "--max-time", "10", `http://127.0.0.1:${port}${path}`],
    { deadlineMs: 12_000 },
  );
  assert.equal(code, 0, stderr);
  return { heads: stderr, echo: JSON.parse(stdout) as Answer["echo"] };
}
