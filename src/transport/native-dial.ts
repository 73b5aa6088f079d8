import { connect as connectPlain, type NetConnectOpts, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { EndpointSpec, UpstreamSpec } from "../model/snapshot.ts";
import { tlsOptions } from "./upstream-tls.ts";

/** Whoever reads an upstream socket. */
export interface DialReader {
  /** `owned` = the buffer is not read into again. */
  onRead(bytes: Buffer, length: number, owned: boolean): void;
  /** What the next read goes into; null = what the last one went into. */
  takeBuffer(): Buffer | null;
}

/** Opens a socket to an endpoint, TLS included and always verified; its bytes go to `reader`. */
export function dial(spec: UpstreamSpec, endpoint: EndpointSpec, reader: DialReader): Socket {
  const { host, port, scheme, socketPath } = endpoint;
  const address: NetConnectOpts =
    socketPath === null ? { host, port, noDelay: true, keepAlive: true } : { path: socketPath };
  if (scheme === "https") {
    const socket = connectTls({ ...address, ...tlsOptions(spec, endpoint), ALPNProtocols: ["http/1.1"] });
    socket.on("data", (chunk: Buffer) => reader.onRead(chunk, chunk.length, true));
    return socket;
  }
  const callback = (length: number, bytes: Uint8Array): boolean => {
    reader.onRead(bytes as Buffer, length, false);
    return true;
  };
  const buffer = (): Uint8Array => reader.takeBuffer() as Uint8Array;
  return connectPlain({ ...address, onread: { buffer, callback } });
}
