import dns from "node:dns";
import net from "node:net";
import tls from "node:tls";
import { tlsOptions } from "../transport/upstream-tls.ts";
import type { ProbeTarget } from "./probe.ts";

/**
 * Begins a connection to a probed endpoint, TLS included for https and always verified; `onReady` runs when it can be
 * written to. It does not keep the process alive, also when a library asks for that.
 */
export function dial(target: ProbeTarget, onReady: () => void): net.Socket {
  return target.endpoint.scheme === "https" ? dialTls(target, onReady) : dialPlain(target, onReady);
}

/** Begins a connection without TLS, whatever the scheme. */
export function dialPlain(target: ProbeTarget, onReady: () => void): net.Socket {
  return detached(net.connect(addressOf(target), onReady));
}

function dialTls(target: ProbeTarget, onReady: () => void): net.Socket {
  const { upstream, endpoint } = target;
  return detached(
    tls.connect(
      {
        ...addressOf(target),
        ...tlsOptions(upstream, endpoint),
        ALPNProtocols: ["http/1.1"],
        rejectUnauthorized: true,
      },
      onReady,
    ),
  );
}

function addressOf({ endpoint: { host, port, socketPath } }: ProbeTarget): net.NetConnectOpts {
  return socketPath === null ? { host, port, lookup: sharedLookup, noDelay: true } : { host, path: socketPath };
}

/** Makes a socket one that never keeps the process alive. */
export function detached(socket: net.Socket): net.Socket {
  socket.unref();
  socket.ref = () => socket;
  return socket;
}

type LookupCallback = (error: NodeJS.ErrnoException | null, ...found: [address: string, family?: number]) => void;

const lookups = new Map<string, LookupCallback[]>();

/**
 * `dns.lookup`, but one that is under way is shared by all who ask the same. A resolver that hangs holds a thread of the
 * process for each lookup; probes that time out and begin anew must not take one more each time.
 */
export function sharedLookup(host: string, options: dns.LookupOptions, callback: LookupCallback): void {
  const key = JSON.stringify([host, options]);
  const waiting = lookups.get(key);
  if (waiting !== undefined) {
    waiting.push(callback);
    return;
  }
  const callbacks = [callback];
  lookups.set(key, callbacks);
  // With `all` the address is a list; the caller knows what it asked for.
  dns.lookup(host, options, (error, address, family) => {
    lookups.delete(key);
    for (const tell of callbacks) tell(error, address as string, family);
  });
}
