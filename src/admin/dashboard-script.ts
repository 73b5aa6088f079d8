import { DASHBOARD_UPSTREAMS } from "./dashboard-upstreams.ts";

/**
 * The script of the dashboard, for the browser. It asks for the status each second and listens to the event stream
 * with the token in a header. All texts from the server go in as text, never as markup.
 */
export const DASHBOARD_SCRIPT = String.raw`"use strict";
const TOKEN_KEY = "crossfade-token";
const POLL_MS = 1000;
const FEED_LENGTH = 60;
const OVERLOAD_TEXTS = { 1: "no shadows are sent.", 2: "low priority routes get 503.", 3: "only high priority routes are served." };
const CLASSES = ["1xx", "2xx", "3xx", "4xx", "5xx", "other"];
const $ = (id) => document.getElementById(id);
const cards = new Map();
let asking = false;
let allKilled = false;

function el(tag, props, ...children) {
  const node = Object.assign(document.createElement(tag), props);
  node.append(...children);
  return node;
}

function put(node, text) {
  if (node.textContent !== String(text)) node.textContent = text;
}

async function call(method, path, body) {
  const headers = {};
  const token = sessionStorage.getItem(TOKEN_KEY);
  if (token) headers.authorization = "Bearer " + token;
  if (body !== undefined) headers["content-type"] = "application/json";
  const response = await fetch("/api/v1/" + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  if (response.status === 401 && sessionStorage.getItem(TOKEN_KEY) === token) askForToken(token !== null);
  return response;
}

function askForToken(wasWrong) {
  if (asking) return;
  asking = true;
  sessionStorage.removeItem(TOKEN_KEY);
  put($("token-note"), wasWrong ? "That token was not accepted." : "It stays in this tab and is forgotten with it.");
  $("token-input").value = "";
  $("token-dialog").showModal();
}

$("token-dialog").addEventListener("close", () => {
  const token = $("token-input").value.trim();
  if (token !== "") sessionStorage.setItem(TOKEN_KEY, token);
  asking = false;
  if (token !== "") { refresh(); listen(); }
});

function confirmChange(title, detail, onYes) {
  const dialog = $("confirm-dialog");
  put($("confirm-title"), title);
  put($("confirm-detail"), detail);
  $("confirm-reason").value = "";
  dialog.returnValue = "";
  dialog.onclose = () => { if (dialog.returnValue === "yes") onYes($("confirm-reason").value.trim()); };
  dialog.showModal();
}

async function change(method, path, body) {
  try {
    const response = await call(method, path, body);
    const answer = await response.json();
    say(response.ok ? "Done: generation " + answer.generation + " (" + answer.outcome + ")." : answer.error.message);
    showFailure(response.ok ? "" : answer.error.message);
  } catch (error) {
    showFailure("The sidecar did not answer: " + error.message);
  }
  refresh();
}

function say(text) { put($("announce"), text); }

function showFailure(text) {
  $("failure").hidden = text === "";
  put($("failure"), text);
}

function numbersRow(arm) {
  const cells = CLASSES.map(() => el("td", { textContent: "0" }));
  const total = el("td", { textContent: "0" });
  return { cells, total, row: el("tr", {}, el("th", { scope: "row", textContent: arm }), total, ...cells) };
}

function makeCard(name) {
  const part = {
    title: el("h2", { textContent: name }), state: el("span", { className: "pill" }), flow: el("span", { className: "muted" }),
    wanted: el("i"), measured: el("i"), left: el("b"), right: el("b"), counts: el("div", { className: "muted" }),
    rows: { baseline: numbersRow("baseline"), candidate: numbersRow("candidate"), none: numbersRow("none"), fallback: numbersRow("fallback") },
    share: el("input", { className: "share", placeholder: "25%", required: true, pattern: "\\d{1,3}(\\.\\d{1,4})?\\s*%?" }),
    rollback: el("button", { type: "button", className: "danger", textContent: "Roll back" }),
    kill: el("button", { type: "button", className: "danger" }),
  };
  part.share.setAttribute("aria-label", "New share of " + name);
  part.bar = el("div", { className: "bar" }, part.wanted);
  part.bar.setAttribute("role", "img");
  part.thin = el("div", { className: "bar thin" }, part.measured);
  part.thin.setAttribute("role", "img");
  const head = el("tr", {}, ...["arm", "answers", ...CLASSES].map((text) => el("th", { scope: "col", textContent: text })));
  part.table = el("table", {}, el("thead", {}, head), el("tbody", {}, ...Object.values(part.rows).map((row) => row.row)));
  part.form = el("form", { className: "row" }, part.share, el("button", { textContent: "Set share" }), el("span", { className: "spacer" }), part.rollback, part.kill);
  part.card = el("section", { className: "card" },
    el("div", { className: "row" }, part.title, part.flow, el("span", { className: "spacer" }), part.state),
    el("div", {}, el("div", { className: "ends" }, part.left, part.right), part.bar), el("div", {}, part.counts, part.thin), part.table, part.form);
  part.card.setAttribute("aria-label", "Route " + name);
  const path = "routes/" + encodeURIComponent(name);
  part.form.addEventListener("submit", (event) => {
    event.preventDefault();
    const share = part.share.value.replace(/[\s%]/g, "") + "%";
    confirmChange("Send " + share + " of " + name + " to the candidate?", "Now it is " + part.route.share + ".", (reason) => {
      part.share.value = "";
      change("PUT", path + "/split", { share, reason });
    });
  });
  part.rollback.addEventListener("click", () =>
    confirmChange("Roll " + name + " back?", "All callers go to " + part.route.baseline + " at once.", (reason) => change("POST", path + "/rollback", { reason })));
  part.kill.addEventListener("click", () => {
    const killed = part.route.killed;
    confirmChange(killed ? "Lift the kill of " + name + "?" : "Kill the candidate of " + name + "?",
      killed ? "The share of " + part.route.share + " counts again." : "All callers go to " + part.route.baseline + " until it is lifted.",
      (reason) => change(killed ? "DELETE" : "PUT", "kill", { routes: [name], reason }));
  });
  return part;
}

function showRoute(part, route) {
  part.route = route;
  const percent = route.killed ? 0 : route.candidatePpm / 10000;
  const decided = route.decided.baseline + route.decided.candidate;
  const measured = decided === 0 ? 0 : (100 * route.decided.candidate) / decided;
  part.card.classList.toggle("killed", route.killed);
  put(part.flow, route.baseline + (route.candidate === null ? "" : " \u2192 " + route.candidate));
  put(part.state, route.killed ? "killed" : route.source === "file" ? "as configured" : route.source === "rollback" ? "rolled back" : "set by hand");
  part.state.className = "pill" + (route.killed || route.source === "rollback" ? " bad" : "");
  put(part.left, route.baseline + " " + (100 - percent).toFixed(percent % 1 === 0 ? 0 : 2) + "%");
  put(part.right, route.candidate === null ? "no candidate" : route.candidate + " " + (route.killed ? "0% (" + route.share + " once lifted)" : route.share));
  part.wanted.style.width = percent + "%";
  part.measured.style.width = measured + "%";
  part.bar.setAttribute("aria-label", "Share of the candidate: " + percent + "%");
  part.thin.setAttribute("aria-label", "Measured share of the candidate: " + measured.toFixed(2) + "%");
  put(part.counts, "measured " + measured.toFixed(2) + "% of " + decided.toLocaleString() + " decisions \u00b7 " + route.inFlight + " in flight" + rescues(route));
  for (const arm of Object.keys(part.rows)) showNumbers(part.rows[arm], route.answers[arm]);
  for (const arm of ["none", "fallback"]) part.rows[arm].row.hidden = CLASSES.every((name) => route.answers[arm][name] === 0);
  part.rows.candidate.row.hidden = part.form.hidden = route.candidate === null;
  put(part.kill, route.killed ? "Lift kill" : "Kill");
  part.kill.classList.toggle("on", route.killed);
  part.kill.disabled = allKilled;
}

function rescues({ retries, fallbacks, shed }) {
  const { none, ...answered } = fallbacks;
  const served = Object.values(answered).reduce((sum, count) => sum + count, 0);
  return [[retries, "retries"], [served, "fallbacks"], [none, "without fallback"], [shed, "shed"]]
    .filter(([count]) => count > 0).map(([count, what]) => " \u00b7 " + count.toLocaleString() + " " + what).join("");
}

function showNumbers(row, answers) {
  let total = 0;
  CLASSES.forEach((name, index) => {
    total += answers[name];
    put(row.cells[index], answers[name].toLocaleString());
    row.cells[index].className = name === "5xx" && answers[name] > 0 ? "failing" : "";
  });
  put(row.total, total.toLocaleString());
}

function showStatus(status) {
  allKilled = status.killed;
  put($("generation"), "generation " + status.generation + " \u00b7 " + (status.cause.action || status.cause.by) + " by " + status.cause.actor);
  put($("process"), "crossfade " + status.version + " \u00b7 pid " + status.pid + " \u00b7 up " + duration(status.uptimeMs));
  put($("state"), status.draining ? "draining" : status.ready ? "taking traffic" : "not ready");
  $("state").className = "pill " + (status.ready && !status.draining ? "good" : "bad");
  $("kill-pill").hidden = !status.killed;
  put($("kill-all"), status.killed ? "Lift kill of all" : "Kill all");
  $("kill-all").classList.toggle("on", status.killed);
  const notes = [];
  if (!status.lastReload.ok) notes.push("The last reload was refused, the config before it is in force:", ...status.lastReload.problems);
  if (status.restartNeeded.length > 0) notes.push("Only a restart brings into force: " + status.restartNeeded.join(", "));
  if (status.overloadStage > 0) notes.push("Overload, stage " + status.overloadStage + ": " + OVERLOAD_TEXTS[status.overloadStage]);
  if (status.overlayIsBehind) notes.push("A change is in force that could not be written to disk yet.");
  $("notes").hidden = notes.length === 0;
  put($("notes"), notes.join("\n"));
  const names = new Set(status.routes.map((route) => route.name));
  for (const [name, part] of cards) if (!names.has(name)) { part.card.remove(); cards.delete(name); }
  for (const route of status.routes) {
    if (!cards.has(route.name)) { cards.set(route.name, makeCard(route.name)); $("routes").append(cards.get(route.name).card); }
    showRoute(cards.get(route.name), route);
  }
  showUpstreams(status);
}

${DASHBOARD_UPSTREAMS}
function duration(ms) {
  const seconds = Math.floor(ms / 1000);
  const [d, h, m] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  return d > 0 ? d + "d " + h + "h" : h > 0 ? h + "h " + m + "m" : m > 0 ? m + "m " + (seconds % 60) + "s" : seconds + "s";
}

$("kill-all").addEventListener("click", () =>
  confirmChange(allKilled ? "Lift the kill of all routes?" : "Kill the candidate of every route?",
    allKilled ? "Every route goes back to its share." : "All callers of all routes go to the baseline until it is lifted.",
    (reason) => change(allKilled ? "DELETE" : "PUT", "kill", { reason })));

$("reload").addEventListener("click", () => change("POST", "reload", {}));

async function refresh() {
  if (asking) return;
  try {
    const response = await call("GET", "status");
    if (response.ok) { showStatus(await response.json()); $("lost").hidden = true; }
    if (response.ok && $("audit").childElementCount === 0) refreshAudit();
  } catch { $("lost").hidden = false; }
}

async function refreshAudit() {
  try {
    const response = await call("GET", "audit?limit=" + FEED_LENGTH);
    if (!response.ok) return;
    const { records } = await response.json();
    $("audit").replaceChildren(...records.map((record) =>
      el("li", {}, when(record.at), record.action + " by " + record.actor + (record.reason === "" ? "" : ": " + record.reason) + " (generation " + record.generation + ")")));
  } catch { /* the status says that the connection is lost */ }
}

function when(at) {
  return el("time", { dateTime: at, textContent: new Date(at).toLocaleTimeString() });
}

function showEvent(data) {
  const { at, level, message, route, upstream, endpoint, actor } = JSON.parse(data);
  if (at === undefined) return;
  const about = route || (upstream ? upstream + (endpoint ? " " + endpoint : "") : "");
  const text = message + (about ? ": " + about : "") + (actor ? " by " + actor : "");
  $("events").prepend(el("li", { className: level }, when(at), text));
  while ($("events").childElementCount > FEED_LENGTH) $("events").lastChild.remove();
  refreshAudit();
}

let listening = false;
async function listen() {
  if (listening || asking) return;
  listening = true;
  try {
    const response = await call("GET", "events");
    if (response.ok) await readEvents(response.body.pipeThrough(new TextDecoderStream()).getReader());
  } catch { /* the status says that the connection is lost */ }
  listening = false;
  setTimeout(listen, 2 * POLL_MS);
}

async function readEvents(reader) {
  for (let rest = ""; ; ) {
    const { value, done } = await reader.read();
    if (done) return;
    const frames = (rest + value).split("\n\n");
    rest = frames.pop();
    for (const frame of frames) for (const line of frame.split("\n")) if (line.startsWith("data: ")) showEvent(line.slice(6));
  }
}

refresh();
listen();
setInterval(() => { if (!document.hidden) refresh(); }, POLL_MS);
`;
