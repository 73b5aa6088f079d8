/** The part of the dashboard's script that shows how the upstreams are. Uses what `dashboard-script.ts` defines. */
export const DASHBOARD_UPSTREAMS = String.raw`
const upstreamParts = new Map();
const HEALTH_TEXTS = { healthy: "healthy", unhealthy: "unhealthy", unknown: "not checked yet", unchecked: "not checked" };

function makeUpstream(name) {
  const part = {
    circuit: makeCircuit(), load: el("span", { className: "muted" }), list: el("ul", { className: "endpoints" }), endpoints: new Map(),
    reset: el("button", { type: "button", textContent: "Reset circuit" }), trip: el("button", { type: "button", className: "danger", textContent: "Trip circuit" }),
  };
  part.row = el("section", { className: "upstream" },
    el("div", { className: "row" }, el("h3", { textContent: name }), part.circuit.pill, part.load, el("span", { className: "spacer" }), part.reset, part.trip),
    part.circuit.bar, part.list);
  part.row.setAttribute("aria-label", "Upstream " + name);
  const path = "upstreams/" + encodeURIComponent(name) + "/circuit/";
  part.reset.addEventListener("click", () =>
    confirmChange("Close the circuits of " + name + "?", "It is asked again at once, without slow start.", (reason) => change("POST", path + "reset", { reason })));
  part.trip.addEventListener("click", () =>
    confirmChange("Open the circuit of " + name + "?", "It is not asked until it is time to try again.", (reason) => change("POST", path + "trip", { reason })));
  return part;
}

function makeCircuit() {
  const left = el("i");
  const bar = el("div", { className: "bar thin countdown", hidden: true }, left);
  bar.setAttribute("role", "img");
  return { pill: el("span", { className: "pill" }), bar, left };
}

function showCircuit(part, circuit, nowMs) {
  part.pill.hidden = circuit === null;
  part.bar.hidden = circuit === null || circuit.state !== "open" || circuit.retryInMs === null;
  if (circuit === null) return;
  const { requests, failures } = circuit.window;
  const rate = requests === 0 ? "" : " \u00b7 " + failures.toLocaleString() + " of " + requests.toLocaleString() + " failed";
  const wait = circuit.retryInMs === null ? "until it is reset" : "tries again in " + duration(circuit.retryInMs);
  put(part.pill, { closed: "circuit closed" + rate, open: "circuit open \u00b7 " + wait, "half-open": "circuit half-open \u00b7 trying" }[circuit.state]);
  part.pill.className = "pill " + { closed: "good", open: "bad", "half-open": "warn" }[circuit.state];
  if (part.bar.hidden) return;
  const waited = Math.max(0, nowMs - Date.parse(circuit.since));
  part.left.style.width = (100 * circuit.retryInMs) / Math.max(1, waited + circuit.retryInMs) + "%";
  part.bar.setAttribute("aria-label", wait);
}

function makeEndpoint() {
  const part = { dot: el("span"), name: el("span"), health: el("span"), circuit: makeCircuit() };
  part.row = el("li", {}, el("div", { className: "row" }, part.dot, part.name, part.health, part.circuit.pill), part.circuit.bar);
  return part;
}

function showEndpoint(part, endpoint, nowMs) {
  const look = endpoint.ejected ? "ejected" : endpoint.health;
  part.dot.className = "dot " + look;
  put(part.name, endpoint.endpoint);
  const since = endpoint.healthSince === null ? "" : " for " + duration(Math.max(0, nowMs - Date.parse(endpoint.healthSince)));
  const reason = endpoint.healthReason === null ? "" : ": " + endpoint.healthReason;
  const texts = endpoint.ejected ? ["ejected, back in " + duration(endpoint.backInMs)] : [];
  if (!endpoint.ejected || endpoint.health !== "unchecked") texts.push(HEALTH_TEXTS[endpoint.health] + since + reason);
  put(part.health, texts.join(" \u00b7 "));
  part.health.className = "state " + look;
  showCircuit(part.circuit, endpoint.circuit, nowMs);
}

function showUpstream(part, up, nowMs) {
  showCircuit(part.circuit, up.circuit, nowMs);
  put(part.load, up.connections.active + " active \u00b7 " + up.connections.idle + " idle \u00b7 " + up.connections.pending + " waiting");
  const circuits = [up.circuit, ...up.endpointStates.map((endpoint) => endpoint.circuit)].filter((circuit) => circuit !== null);
  part.reset.hidden = circuits.every((circuit) => circuit.state === "closed");
  part.trip.hidden = up.circuit === null || up.circuit.state === "open";
  keepParts(part.endpoints, up.endpointStates, (endpoint) => endpoint.endpoint, makeEndpoint, part.list);
  for (const endpoint of up.endpointStates) showEndpoint(part.endpoints.get(endpoint.endpoint), endpoint, nowMs);
}

function showUpstreams(status) {
  const nowMs = Date.parse(status.startedAt) + status.uptimeMs;
  keepParts(upstreamParts, status.upstreams, (up) => up.name, (up) => makeUpstream(up.name), $("upstreams"));
  for (const up of status.upstreams) showUpstream(upstreamParts.get(up.name), up, nowMs);
}

// What is still there stays as it is, so that a button does not go away under the finger.
function keepParts(parts, shown, keyOf, make, place) {
  const keys = new Set(shown.map(keyOf));
  for (const [key, part] of parts) if (!keys.has(key)) { part.row.remove(); parts.delete(key); }
  for (const item of shown) {
    if (parts.has(keyOf(item))) continue;
    parts.set(keyOf(item), make(item));
    place.append(parts.get(keyOf(item)).row);
  }
}
`;
