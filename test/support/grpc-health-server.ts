import net from "node:net";
import { Metadata, Server, ServerCredentials, status as GRPC } from "@grpc/grpc-js";
import type { sendUnaryData, ServerUnaryCall, ServerWritableStream, UntypedServiceImplementation } from "@grpc/grpc-js";
import { HealthImplementation, type ServingStatusMap } from "grpc-health-check";
import type { Scope } from "./scope.ts";
import type { SelfSigned } from "./self-signed.ts";
import { changed } from "./until.ts";

/** One call of the health service as the server saw it. */
export interface HealthCall {
  readonly method: "check" | "watch";
  readonly service: string;
  readonly authority: string;
  readonly peer: string;
}

/** How a health server differs from a plain one. */
export interface HealthServerOptions {
  /** Statuses at the start; default `{ "": "SERVING" }`. */
  readonly statuses?: ServingStatusMap;
  /** Methods that it does not have; default none. */
  readonly without?: readonly ("check" | "watch")[];
  /** Default 0: any. */
  readonly port?: number;
  /** A Unix socket instead of a loopback port. */
  readonly socketPath?: string;
  readonly tls?: SelfSigned;
  /** With TLS: clients must show a certificate of this authority. */
  readonly clientCa?: string;
  /** Calls that come now are never answered. */
  readonly stalls?: () => boolean;
}

/** A gRPC server on @grpc/grpc-js with the health service of npm grpc-health-check. */
export interface HealthServer {
  readonly port: number;
  readonly calls: readonly HealthCall[];
  /** Watch streams that are open. */
  readonly watches: () => number;
  set(service: string, status: "SERVING" | "NOT_SERVING" | "UNKNOWN"): void;
  /** Cuts all connections and listens no more. */
  kill(): void;
}

/** Starts a health server; it ends with the scope. */
export async function startHealthServer(scope: Scope, options: HealthServerOptions = {}): Promise<HealthServer> {
  const { statuses = { "": "SERVING" }, without = [] } = options;
  const server = new Server();
  const health = new HealthImplementation(statuses);
  const seen = { calls: [] as HealthCall[], watches: 0 };
  health.addToServer(recording(server, seen, without, options.stalls ?? (() => false)));
  const listener = await listenFor(server, options);
  scope.after(listener.kill);
  return {
    port: listener.port,
    calls: seen.calls,
    watches: () => seen.watches,
    set: (service, status) => health.setStatus(service, status),
    kill: listener.kill,
  };
}

/** The library's own listener says goodbye to its connections; this one can cut them, as the death of a process does. */
async function listenFor(
  server: Server,
  options: HealthServerOptions,
): Promise<{ readonly port: number; readonly kill: () => void }> {
  const injector = server.createConnectionInjector(credentialsOf(options));
  const sockets = new Set<net.Socket>();
  const listener = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    injector.injectConnection(socket);
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  if (options.socketPath === undefined) listener.listen(options.port ?? 0, "127.0.0.1", resolve);
  else listener.listen(options.socketPath, resolve);
  await promise;
  const address = listener.address();
  const kill = (): void => {
    listener.close();
    for (const socket of sockets) socket.destroy();
    injector.destroy();
    server.forceShutdown();
  };
  return { port: typeof address === "string" || address === null ? 0 : address.port, kill };
}

function credentialsOf({ tls, clientCa }: HealthServerOptions): ServerCredentials {
  if (tls === undefined) return ServerCredentials.createInsecure();
  const pair = { private_key: Buffer.from(tls.key), cert_chain: Buffer.from(tls.cert) };
  const ca = clientCa === undefined ? null : Buffer.from(clientCa);
  return ServerCredentials.createSsl(ca, [pair], ca !== null);
}

interface Request {
  readonly service: string;
}

/** The server as the health service sees it: what it adds is written down when called, or left out. */
function recording(
  server: Server,
  seen: { readonly calls: HealthCall[]; watches: number },
  without: readonly string[],
  stalls: () => boolean,
): Server {
  const addService = (definition: Parameters<Server["addService"]>[0], found: UntypedServiceImplementation): void => {
    const check = found["check"] as (call: ServerUnaryCall<Request, unknown>, done: sendUnaryData<unknown>) => void;
    const watch = found["watch"] as (call: ServerWritableStream<Request, unknown>) => void;
    server.addService(definition, {
      ...found,
      check: (call: ServerUnaryCall<Request, unknown>, done: sendUnaryData<unknown>): void => {
        note(seen.calls, "check", call);
        if (stalls()) return;
        if (without.includes("check")) done({ code: GRPC.UNIMPLEMENTED, details: "no Check here" });
        else check(call, done);
      },
      watch: (call: ServerWritableStream<Request, unknown>): void => {
        note(seen.calls, "watch", call);
        if (without.includes("watch")) {
          call.emit("error", { code: GRPC.UNIMPLEMENTED, details: "no Watch here", metadata: new Metadata() });
          return;
        }
        seen.watches++;
        call.on("cancelled", () => {
          seen.watches--;
          changed();
        });
        watch(call);
      },
    });
  };
  return { addService } as unknown as Server;
}

function note(
  calls: HealthCall[],
  method: "check" | "watch",
  call: ServerUnaryCall<Request, unknown> | ServerWritableStream<Request, unknown>,
): void {
  calls.push({ method, service: call.request.service, authority: call.getHost(), peer: call.getPeer() });
  changed();
}
