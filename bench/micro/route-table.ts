/** Finding the route: the cost must not grow with the number of routes. Run: node bench/micro/route-table.ts */
import { bench, do_not_optimize, run, summary } from "mitata";
import { routeTableFrom } from "../../src/model/route-table.ts";
import type { MatchSpec } from "../../src/model/snapshot.ts";
import { parseTarget, type Target } from "../../src/model/target.ts";
import { SAMPLE_HEAD } from "./sample-head.ts";

const ANY: MatchSpec = { path: null, pathPrefix: null, pathRegex: null, host: null, methods: null, headers: null };
const HOST = "orders.example.org";

summary(() => {
  for (const count of [1, 10_000]) {
    const last = `/api/service-${count - 1}/`;
    const table = routeTableFrom(
      Array.from({ length: count }, (_, i) => ({ ...ANY, pathPrefix: `/api/service-${i}/`, methods: ["GET", "POST"] })),
    );
    const hit = targetOf(`${last}orders/4711`);
    if (table.match(SAMPLE_HEAD, hit, HOST) !== count - 1) throw new Error("the last route must match");
    bench(`${count} prefix routes, the last matches`, () => do_not_optimize(table.match(SAMPLE_HEAD, hit, HOST)));
    const miss = targetOf("/assets/logo.svg");
    bench(`${count} prefix routes, none matches`, () => do_not_optimize(table.match(SAMPLE_HEAD, miss, HOST)));
  }
});

summary(() => {
  const table = routeTableFrom(Array.from({ length: 10_000 }, (_, i) => ({ ...ANY, path: `/api/orders/${i}` })));
  const target = targetOf("/api/orders/9999");
  bench("10000 exact routes, the last matches", () => do_not_optimize(table.match(SAMPLE_HEAD, target, HOST)));
});

// The price of a regex: routes with one are tried in order.
summary(() => {
  for (const count of [1, 100]) {
    const table = routeTableFrom(
      Array.from({ length: count }, (_, i) => ({ ...ANY, pathRegex: `^/api/v${i}/orders` })),
    );
    const target = targetOf(`/api/v${count - 1}/orders`);
    bench(`${count} regex routes, the last matches`, () => do_not_optimize(table.match(SAMPLE_HEAD, target, HOST)));
  }
});

await run();

function targetOf(raw: string): Target {
  const target = parseTarget(raw, "GET");
  if (target === null) throw new Error(`no target: ${raw}`);
  return target;
}
