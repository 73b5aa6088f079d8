import type { FallbackKind } from "../base/cells.ts";
import type { FailureKind } from "../base/failure.ts";
import { outgoingAnswer, ownFields } from "../model/answer.ts";
import type { Decision } from "../model/decide.ts";
import type { OutgoingAnswer, RequestHead, ResponseHead } from "../model/exchange-types.ts";
import type { BoundArm } from "./bound-arm.ts";
import type { Identity } from "./identify.ts";
import { localReply, type LocalReply } from "./local-reply.ts";
import { mintedCookie } from "./minted-cookie.ts";
import type { Plan } from "./plan.ts";
import type { LocalAnswer } from "./recovery.ts";

/** What answers need to know of an exchange that was refused, perhaps before it had a route. */
export interface Refusing {
  readonly head: RequestHead;
  readonly who: Identity;
  readonly plan: Plan | null;
  readonly arm: BoundArm | null;
}

/** What they need to know of one that has an arm. */
export interface Answering extends Refusing {
  readonly plan: Plan;
  readonly arm: BoundArm;
  readonly decision: Decision;
  readonly fallback: FallbackKind | null;
}

/** An upstream's answer as the client gets it. */
export function answerFor(
  { plan, arm, who, decision, fallback, head: asked }: Answering,
  head: ResponseHead,
): OutgoingAnswer {
  return outgoingAnswer(head, {
    versionHeader: plan.route.versionHeader,
    servedBy: arm.upstream.name,
    requestId: who.requestId,
    fallback,
    mintedCookie: mintedCookie(plan.route.split, decision, asked.encrypted),
  });
}

/** The structured answer to a failure, which says which upstream it is about once an arm was picked. */
export function failureReply({ head, who, plan, arm }: Refusing, kind: FailureKind): LocalReply {
  const version = plan === null || arm === null ? null : ([plan.route.versionHeader, arm.upstream.name] as const);
  return localReply(kind, who, version, head.headers);
}

/** A kept or a static answer with the fields of this exchange. */
export function fallbackReply({ plan, who }: Answering, { head, body, kind, servedBy }: LocalAnswer): LocalReply {
  const { versionHeader } = plan.route;
  const own = ownFields({ versionHeader, servedBy, requestId: who.requestId, fallback: kind });
  return { head: { ...head, fields: head.fields + own }, body };
}
