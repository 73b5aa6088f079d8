import type { Contestant } from "../contestant.ts";
import { CADDY } from "../servers/caddy.ts";
import { crossfade } from "../servers/crossfade.ts";
import { ENVOY } from "../servers/envoy.ts";
import { HAPROXY } from "../servers/haproxy.ts";
import { NGINX } from "../servers/nginx.ts";
import { NODE_RIVALS } from "../servers/node-rivals.ts";

/** The sidecar as it comes: what the targets are about. */
export const NATIVE: Contestant = crossfade({ name: "crossfade-native", engine: "native" });

/** The one that the others are compared to. */
export const REFERENCE: Contestant = NGINX;

/** Everybody who can take part, in the order of the table and of each round. */
export const CONTESTANTS: readonly Contestant[] = [
  NATIVE,
  crossfade({ name: "crossfade-pipelining", engine: "native", pipelining: 8 }),
  crossfade({ name: "crossfade-library", engine: "library" }),
  REFERENCE,
  HAPROXY,
  ENVOY,
  CADDY,
  ...NODE_RIVALS,
];
