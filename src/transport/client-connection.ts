import type { Socket } from "node:net";
import type { DownstreamHandler } from "../model/exchange-types.ts";
import type { DownstreamSpec } from "../model/snapshot.ts";
import type { Deadlines } from "./deadlines.ts";

/** A client connection as its listener sees it, whatever engine serves it. */
export interface ClientConnection {
  /** Nothing is under way on it, and no byte of a next request has come. */
  readonly isIdle: boolean;
  /** It has had an answer. */
  readonly hasServed: boolean;
  destroy(): void;
}

/** What any engine needs of its listener. */
export interface EngineEnvironment {
  readonly handler: DownstreamHandler;
  readonly deadlines: Deadlines;
  /** The limits in force now. */
  readonly limits: () => DownstreamSpec;
}

/** What a connection of the native engine needs of its listener. */
export interface ClientEnvironment extends EngineEnvironment {
  /** Gives a connection to the library engine; `unread` is what it has to read first. */
  handOver(from: ClientConnection, socket: Socket, unread: Buffer): void;
}
