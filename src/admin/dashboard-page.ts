import { createHash } from "node:crypto";
import { DASHBOARD_SCRIPT } from "./dashboard-script.ts";
import { DASHBOARD_STYLE } from "./dashboard-style.ts";

/** The dashboard: one page that loads nothing else and holds no data of its own. */
export const DASHBOARD_PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Crossfade</title>
<link rel="icon" href="data:,">
<style>${DASHBOARD_STYLE}</style>
</head>
<body>
<header>
  <h1>cross<span>fade</span></h1>
  <span id="state" class="pill" role="status">connecting</span>
  <span id="kill-pill" class="pill bad" role="status" hidden>all routes killed</span>
  <span id="lost" class="pill bad" role="status" hidden>connection lost</span>
  <span id="generation" class="muted"></span>
  <span class="spacer"></span>
  <button id="reload" type="button">Reload config</button>
  <button id="kill-all" type="button" class="danger">Kill all</button>
</header>
<main>
  <p id="failure" class="notice" role="alert" hidden></p>
  <p id="notes" class="notice" role="status" hidden></p>
  <div id="announce" class="visually-hidden" aria-live="polite"></div>
  <div id="routes" class="routes"></div>
  <section class="card wide" aria-label="Upstreams"><h2>Upstreams</h2><div id="upstreams"></div></section>
  <div class="logs">
    <section class="card" aria-label="Events"><h2>Events</h2><ol id="events" class="feed"></ol></section>
    <section class="card" aria-label="Changes"><h2>Changes</h2><ol id="audit" class="feed"></ol></section>
  </div>
  <p id="process" class="muted"></p>
</main>
<dialog id="token-dialog" aria-labelledby="token-title">
  <form method="dialog">
    <h2 id="token-title">Token</h2>
    <label for="token-input">The bearer token of this sidecar</label>
    <input id="token-input" type="password" autocomplete="off" spellcheck="false">
    <p id="token-note" class="muted"></p>
    <div class="row"><button>Continue</button></div>
  </form>
</dialog>
<dialog id="confirm-dialog" aria-labelledby="confirm-title">
  <form method="dialog">
    <h2 id="confirm-title"></h2>
    <p id="confirm-detail"></p>
    <label for="confirm-reason">Reason, for the record</label>
    <input id="confirm-reason" maxlength="512" autocomplete="off">
    <div class="row"><button value="no" formnovalidate>Cancel</button><button value="yes" class="danger">Do it</button></div>
  </form>
</dialog>
<script>${DASHBOARD_SCRIPT}</script>
</body>
</html>
`;

/** Only the style and the script above may run, and only this server may be talked to. */
export const DASHBOARD_HEADERS = {
  "content-security-policy": [
    "default-src 'none'",
    `style-src '${hashSource(DASHBOARD_STYLE)}'`,
    `script-src '${hashSource(DASHBOARD_SCRIPT)}'`,
    "connect-src 'self'",
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; "),
} as const;

function hashSource(text: string): string {
  return `sha256-${createHash("sha256").update(text).digest("base64")}`;
}
