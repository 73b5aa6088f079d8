import { merged } from "./sidecar.ts";

/** A config with one upstream `v1` that takes everything; `over` is laid on top. */
export function proxyTo(url: string, over: object = {}): object {
  const base = {
    upstreams: { v1: { endpoints: [url] } },
    routes: [{ name: "all", match: { pathPrefix: "/" }, split: { baseline: "v1" } }],
  };
  return merged(base, over);
}

/** A config with one route per path prefix, each to an upstream of its own: `{ "/a": url }` names both `a`. */
export function routesTo(urls: Readonly<Record<string, string>>, over: object = {}): object {
  const names = Object.entries(urls).map(
    ([prefix, url]) => [prefix, prefix.replaceAll("/", "") || "root", url] as const,
  );
  const base = {
    upstreams: Object.fromEntries(names.map(([, name, url]) => [name, { endpoints: [url] }])),
    routes: names.map(([pathPrefix, name]) => ({ name, match: { pathPrefix }, split: { baseline: name } })),
  };
  return merged(base, over);
}
