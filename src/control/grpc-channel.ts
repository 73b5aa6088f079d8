import { AsyncLocalStorage } from "node:async_hooks";
import diagnostics from "node:diagnostics_channel";
import { isIP, type Socket } from "node:net";
import tls from "node:tls";
import { fileURLToPath } from "node:url";
import { ChannelCredentials, Client, credentials, type CallCredentials, type ServiceError } from "@grpc/grpc-js";
import { loadSync, type MethodDefinition, type ServiceDefinition } from "@grpc/proto-loader";
import type { EndpointSpec } from "../model/snapshot.ts";
import { tlsOptions } from "../transport/upstream-tls.ts";
import { VERSION } from "../version.ts";
import { detached } from "./probe-dial.ts";
import { authorityOf, type ProbeTarget } from "./probe.ts";

/** A name of `HealthCheckResponse.ServingStatus`, or the number of one that is not in the proto. */
export type ServingStatus = string | number;

/** Ends a call; whoever waits for it hears nothing more. */
export type CancelCall = () => void;

interface HealthRequest {
  readonly service: string;
}

interface HealthResponse {
  readonly status: ServingStatus;
}

type HealthMethod = MethodDefinition<HealthRequest, HealthResponse, HealthRequest, HealthResponse>;

const PROTO = fileURLToPath(new URL("../../proto/health.proto", import.meta.url));
const METHODS = loadSync(PROTO, { enums: String, defaults: true })["grpc.health.v1.Health"] as ServiceDefinition;
const CHECK = METHODS["Check"] as HealthMethod;
const WATCH = METHODS["Watch"] as HealthMethod;

/**
 * The library opens its sockets deep inside and never gives up one that is still connecting or in a handshake: a host that
 * drops packets would collect one for each probe. Node announces new sockets; the async context says which channel one is for.
 */
const dialling = new AsyncLocalStorage<HealthChannel | null>();
diagnostics.subscribe("net.client.socket", (message) => {
  dialling.getStore()?.adopt((message as { readonly socket: Socket }).socket);
});

/** Runs something outside of any channel: sockets that come of it belong to nobody here. */
export function outsideChannels(run: () => void): void {
  dialling.run(null, run);
}

/**
 * One gRPC channel to a probed endpoint, with its own connection. It is meant to be thrown away when the connection fails:
 * a new one dials and resolves at once, where an old one would first wait for its backoff.
 */
export class HealthChannel {
  /** Why the connection failed, if anybody said so; whoever gets an answer over it clears this. */
  lastError: Error | null = null;
  readonly #client: Client;
  readonly #sockets = new Set<Socket>();

  constructor(target: ProbeTarget, authority: string | null) {
    const trust =
      target.endpoint.scheme === "https" ? new ProbeCredentials(target, this) : credentials.createInsecure();
    this.#client = new Client(addressOf(target.endpoint), trust, {
      "grpc.default_authority": authority ?? authorityOf(target.endpoint),
      "grpc.primary_user_agent": `crossfade-health/${VERSION}`,
      // Shared ones would bring the backoff of their last failure along.
      "grpc.use_local_subchannel_pool": 1,
      // A proxy of the environment is not how callers reach the endpoint.
      "grpc.enable_http_proxy": 0,
      "grpc.service_config_disable_resolution": 1,
      "grpc.enable_channelz": 0,
      "grpc.enable_retries": 0,
      "grpc.max_receive_message_length": 65_536,
    });
  }

  /** No connection is open. */
  get broken(): boolean {
    return [...this.#sockets].every((socket) => socket.destroyed);
  }

  /** Asks once. */
  check(service: string, done: (error: ServiceError | null, status: ServingStatus) => void): CancelCall {
    return dialling.run(this, () => {
      const { path, requestSerialize, responseDeserialize } = CHECK;
      const call = this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        { service },
        (error, answer) => done(error, answer?.status ?? "UNKNOWN"),
      );
      return () => call.cancel();
    });
  }

  /** Hears of each change until the server ends it or the call is cancelled; `onEnd` gets null for an orderly end. */
  watch(
    service: string,
    onStatus: (status: ServingStatus) => void,
    onEnd: (error: ServiceError | null) => void,
  ): CancelCall {
    return dialling.run(this, () => {
      const { path, requestSerialize, responseDeserialize } = WATCH;
      const call = this.#client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, { service });
      let over = false;
      const end = (error: ServiceError | null): void => {
        if (!over) onEnd(error);
        over = true;
      };
      call.on("data", (answer: HealthResponse) => {
        if (!over) onStatus(answer.status);
      });
      call.on("error", (error: ServiceError) => end(error));
      call.on("end", () => setImmediate(end, null));
      return () => {
        over = true;
        call.cancel();
      };
    });
  }

  /** Takes over a socket that was made for this channel. */
  adopt(socket: Socket): void {
    this.#sockets.add(detached(socket));
    socket.on("error", (error) => this.note(error));
    socket.on("close", () => this.#sockets.delete(socket));
  }

  /** The first error says why; what follows is its consequence. */
  note(error: Error): void {
    this.lastError ??= error;
  }

  close(): void {
    this.#client.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

/**
 * TLS as the upstream's spec says, and nothing from the environment. The library's own would ask for an IP address by SNI,
 * which Node refuses.
 */
class ProbeCredentials extends ChannelCredentials {
  readonly #target: ProbeTarget;
  readonly #channel: HealthChannel;

  constructor(target: ProbeTarget, channel: HealthChannel) {
    super();
    this.#target = target;
    this.#channel = channel;
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(
    _target: unknown,
    _options: unknown,
    callCredentials: CallCredentials = credentials.createEmpty(),
  ): ReturnType<ChannelCredentials["_createSecureConnector"]> {
    return {
      connect: (socket) => this.#secure(socket),
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => callCredentials,
      destroy: () => {},
    };
  }

  #secure(raw: Socket): Promise<{ readonly socket: Socket; readonly secure: boolean }> {
    const { upstream, endpoint } = this.#target;
    const { promise, resolve, reject } = Promise.withResolvers<{ socket: Socket; secure: boolean }>();
    const options = { host: endpoint.host, ...tlsOptions(upstream, endpoint), ALPNProtocols: ["h2"] };
    const socket = tls.connect({ socket: raw, ...options, rejectUnauthorized: true }, () =>
      resolve({ socket, secure: true }),
    );
    detached(socket);
    socket.on("error", (error) => {
      this.#channel.note(error);
      reject(error);
    });
    socket.on("close", () => reject(new Error("the connection ended inside the handshake")));
    return promise;
  }
}

function addressOf({ host, port, socketPath }: EndpointSpec): string {
  if (socketPath !== null) return `unix:${socketPath}`;
  switch (isIP(host)) {
    case 4:
      return `ipv4:${host}:${port}`;
    case 6:
      return `ipv6:[${host}]:${port}`;
    default:
      return `dns:///${host}:${port}`;
  }
}
