/** The style sheet of the dashboard: light and dark, readable without colour, calm when motion is unwanted. */
export const DASHBOARD_STYLE = `
:root {
  color-scheme: light dark;
  --bg: light-dark(#f4f5f7, #12151b);
  --card: light-dark(#ffffff, #1b2029);
  --line: light-dark(#d9dde3, #2e3541);
  --text: light-dark(#1a2029, #e8ebf0);
  --muted: light-dark(#58616e, #9aa4b2);
  --baseline: light-dark(#3b6fb5, #6ea3ea);
  --candidate: light-dark(#b3530a, #f0a04b);
  --good: light-dark(#1d7a46, #58c48a);
  --bad: light-dark(#b3261e, #ff8a80);
  --focus: light-dark(#0b57d0, #a8c7fa);
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body { margin: 0; background: var(--bg); color: var(--text); font: 15px/1.45 system-ui, sans-serif; }
header, main { max-width: 76rem; margin: 0 auto; padding: 1rem 1.25rem; }
header { display: flex; flex-wrap: wrap; gap: .75rem 1rem; align-items: center; }
h1 { font-size: 1.35rem; margin: 0; letter-spacing: .01em; }
h1 span { color: var(--candidate); }
h2 { font-size: 1.05rem; margin: 0; }
.spacer { flex: 1; }
.pill { border: 1px solid var(--line); border-radius: 999px; padding: .1rem .7rem; font-size: .85rem; background: var(--card); }
.pill.good { color: var(--good); border-color: currentColor; }
.pill.warn { color: var(--candidate); border-color: currentColor; }
.pill.bad { color: var(--bad); border-color: currentColor; font-weight: 600; }
.muted { color: var(--muted); font-size: .87rem; }
.notice { border-left: 4px solid var(--bad); background: var(--card); padding: .6rem .9rem; margin: 0 0 1rem; border-radius: 4px; white-space: pre-line; }
.routes { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 34rem), 1fr)); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem 1.1rem; }
.card.killed { border-color: var(--bad); }
.card > div + div, .card > table, .card > form { margin-top: .8rem; }
.card.wide { margin-top: 1rem; }
h3 { font-size: 1rem; margin: 0; }
.upstream { padding: .7rem 0 .5rem; border-bottom: 1px solid var(--line); }
.upstream:last-child { border-bottom: 0; }
.upstream button { padding: .1rem .7rem; font-size: .85rem; }
ul.endpoints { list-style: none; margin: .4rem 0 0; padding: 0; font-size: .9rem; }
ul.endpoints li { padding: .2rem 0; overflow-wrap: anywhere; }
.dot { width: .8rem; height: .8rem; border: 2px solid var(--muted); border-radius: 50%; flex: none; }
.dot.healthy { background: var(--good); border-color: var(--good); }
.dot.unhealthy { background: var(--bad); border-color: var(--bad); border-radius: 0; }
.dot.ejected { border-color: var(--bad); border-radius: 0; }
.dot.unknown { border-style: dashed; }
.state { color: var(--muted); }
.state.unhealthy, .state.ejected { color: var(--bad); font-weight: 600; }
.row { display: flex; flex-wrap: wrap; gap: .5rem .75rem; align-items: center; }
.bar { display: flex; height: 1.5rem; border-radius: 6px; overflow: hidden; background: var(--baseline); border: 1px solid var(--line); }
.bar.thin { height: .55rem; }
.bar.countdown { background: transparent; margin-top: .35rem; max-width: 24rem; }
.bar.countdown > i { background: var(--bad); margin-left: 0; }
.bar > i { background: var(--candidate); width: 0; margin-left: auto; transition: width .4s ease-out;
  background-image: repeating-linear-gradient(135deg, transparent 0 6px, rgb(255 255 255 / .18) 6px 12px); }
.ends { display: flex; justify-content: space-between; gap: 1rem; font-variant-numeric: tabular-nums; }
.ends b:first-child { color: var(--baseline); }
.ends b:last-child { color: var(--candidate); }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { text-align: right; padding: .25rem .4rem; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
thead th { color: var(--muted); font-weight: 500; }
td.failing { color: var(--bad); font-weight: 600; }
button, input { font: inherit; color: inherit; border-radius: 7px; border: 1px solid var(--line); padding: .35rem .8rem; background: var(--bg); }
button { cursor: pointer; }
button:hover { border-color: var(--muted); }
button.danger { color: var(--bad); border-color: currentColor; font-weight: 600; }
button.danger.on { background: var(--bad); color: var(--card); border-color: var(--bad); }
input.share { width: 6.5rem; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
.logs { display: grid; gap: 1rem; margin-top: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }
ol.feed { list-style: none; margin: .6rem 0 0; padding: 0; max-height: 22rem; overflow: auto; font-size: .88rem; }
ol.feed li { padding: .35rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
ol.feed time { color: var(--muted); margin-right: .5rem; font-variant-numeric: tabular-nums; }
ol.feed .warn { color: var(--candidate); }
ol.feed .error { color: var(--bad); }
dialog { border: 1px solid var(--line); border-radius: 12px; background: var(--card); color: var(--text); max-width: 30rem; width: calc(100% - 2rem); padding: 1.25rem; }
dialog::backdrop { background: rgb(0 0 0 / .5); }
dialog label { display: block; margin: .8rem 0 .3rem; }
dialog input { width: 100%; }
dialog .row { justify-content: flex-end; margin-top: 1.1rem; }
.visually-hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@media (prefers-reduced-motion: reduce) { .bar > i { transition: none; } }
@media (forced-colors: active) { .bar > i { background: Highlight; forced-color-adjust: none; } }
`;
