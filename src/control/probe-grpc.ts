import { isIP } from "node:net";
import { status as GRPC, type ServiceError } from "@grpc/grpc-js";
import type { HealthCheckSpec } from "../model/snapshot.ts";
import { failed, PASS, type ProbeFailure, type ProbeResult } from "../policy/health.ts";
import { HealthChannel, outsideChannels, type CancelCall, type ServingStatus } from "./grpc-channel.ts";
import { startDeadline } from "./probe-deadline.ts";
import { sharedLookup } from "./probe-dial.ts";
import { cut, resultOfError } from "./probe-errors.ts";
import type { Probe, ProbeHooks, ProbeTarget } from "./probe.ts";

/** The check of a gRPC probe. */
type GrpcCheck = Extract<HealthCheckSpec, { kind: "grpc" }>;

/** A probe that asks by grpc.health.v1. */
export function openGrpcProbe(target: ProbeTarget, check: GrpcCheck, hooks: ProbeHooks): Probe {
  return new GrpcProbe(target, check, hooks);
}

/**
 * Every run is a Check, also while a Watch is open on the same connection: a Check notices a connection that died without a
 * word and a process that no longer works through its calls, where HTTP/2 pings are answered below the process's own code.
 * Watch is there for what happens in between: a NOT_SERVING is told at once, other changes bring the next Check forward.
 */
class GrpcProbe implements Probe {
  readonly #target: ProbeTarget;
  readonly #check: GrpcCheck;
  readonly #hooks: ProbeHooks;
  #channel: HealthChannel | null = null;
  #watch: CancelCall | null = null;
  /** The server that this connection leads to may offer Watch. */
  #mayWatch = true;
  #lastStatus: ServingStatus | null = null;
  #giveUp: (() => void) | null = null;

  constructor(target: ProbeTarget, check: GrpcCheck, hooks: ProbeHooks) {
    this.#target = target;
    this.#check = check;
    this.#hooks = hooks;
  }

  async run(): Promise<ProbeResult> {
    const { timeoutMs } = this.#target.health;
    const { promise, resolve } = Promise.withResolvers<ProbeResult>();
    const late = (): void => resolve(failed("timeout", `no answer within ${timeoutMs} ms`));
    const stopDeadline = startDeadline(timeoutMs, late);
    this.#giveUp = () => resolve(failed("reset", "the probe was given up"));
    const cancel = this.#begin(resolve);
    const result = await promise;
    stopDeadline();
    cancel();
    this.#giveUp = null;
    if (result.kind === "fail" && ENDS_CONNECTION.has(result.reason)) this.#drop();
    else this.#listen();
    return result;
  }

  close(): void {
    this.#giveUp?.();
    this.#drop();
  }

  /** A name that does not resolve is told apart before a channel is made of it. */
  #begin(done: (result: ProbeResult) => void): CancelCall {
    const { host, socketPath } = this.#target.endpoint;
    if (this.#channel !== null || socketPath !== null || isIP(host) !== 0) return this.#ask(done);
    let cancel: CancelCall | null = null;
    let cancelled = false;
    sharedLookup(host, {}, (error) => {
      if (error !== null) done(resultOfError(error));
      else if (!cancelled) cancel = this.#ask(done);
    });
    return () => {
      cancelled = true;
      cancel?.();
    };
  }

  #ask(done: (result: ProbeResult) => void): CancelCall {
    const channel = (this.#channel ??= new HealthChannel(this.#target, this.#check.authority));
    return channel.check(this.#check.service, (error, status) => {
      if (error !== null) {
        done(this.#resultOfCall(channel, error));
        return;
      }
      channel.lastError = null;
      this.#lastStatus = status;
      done(resultOfStatus(status));
    });
  }

  #resultOfCall(channel: HealthChannel, error: ServiceError): ProbeResult {
    if (error.code === GRPC.NOT_FOUND) {
      this.#lastStatus = "SERVICE_UNKNOWN";
      return failed("unknown-service", cut(`NOT_FOUND: ${error.details}`));
    }
    if (error.code !== GRPC.UNIMPLEMENTED) return resultOfBreak(channel, error);
    const counts = this.#check.unimplemented === "healthy";
    return counts ? PASS : failed("unimplemented", cut(`UNIMPLEMENTED: ${error.details}`));
  }

  #listen(): void {
    const channel = this.#channel;
    if (!this.#check.watch || !this.#mayWatch || this.#watch !== null || channel === null) return;
    this.#watch = channel.watch(
      this.#check.service,
      (status) => outsideChannels(() => this.#takeStatus(status)),
      (error) => outsideChannels(() => this.#takeEnd(error)),
    );
  }

  /** The first message tells what the Check told, unless something happened in between. */
  #takeStatus(status: ServingStatus): void {
    const before = this.#lastStatus;
    this.#lastStatus = status;
    if (status === before) return;
    if (status === "NOT_SERVING" && this.#target.health.believeExplicit) this.#hooks.onDenied(resultOfStatus(status));
    else this.#hooks.onHint();
  }

  /** An orderly end says nothing; the next Check begins a new one. */
  #takeEnd(error: ServiceError | null): void {
    this.#watch = null;
    if (error?.code === GRPC.UNIMPLEMENTED) this.#mayWatch = false;
    else if (error?.code === GRPC.UNAVAILABLE) this.#hooks.onHint();
  }

  #drop(): void {
    this.#watch?.();
    this.#watch = null;
    this.#channel?.close();
    this.#channel = null;
    this.#mayWatch = true;
    this.#lastStatus = null;
  }
}

/** Failures after which the next probe begins with a new connection. */
const ENDS_CONNECTION: ReadonlySet<ProbeFailure> = new Set(["timeout", "refused", "reset", "tls", "dns", "protocol"]);

function resultOfStatus(status: ServingStatus): ProbeResult {
  switch (status) {
    case "SERVING":
      return PASS;
    case "NOT_SERVING":
      return failed("not-serving", "NOT_SERVING", true);
    case "SERVICE_UNKNOWN":
      return failed("unknown-service", "SERVICE_UNKNOWN");
    default:
      return failed("not-serving", `serving status ${status}`);
  }
}

/** The library says UNAVAILABLE or INTERNAL for much that the server never said; the connection knows better. */
function resultOfBreak(channel: HealthChannel, error: ServiceError): ProbeResult {
  const detail = cut(`${GRPC[error.code]}: ${error.details}`);
  if (/protocol error/i.test(error.details)) return failed("protocol", detail);
  if (!channel.broken) return failed("status", detail);
  return channel.lastError === null ? failed("reset", detail) : resultOfError(channel.lastError);
}
