import net from "node:net";
import { WEBSOCKET_KEY } from "../../test/support/ws-peer.ts";
import type { Dice } from "./dice.ts";
import type { Ledger } from "./ledger.ts";
import { bodyBytesOf, headText, pickAsk, type Ask } from "./request.ts";

/** Clients that break off, one connection after the other. */
export interface RudeClients {
  /** Connections that each habit has had. */
  readonly counts: ReadonlyMap<string, number>;
  stop(): Promise<void>;
}

/** Where they go. */
export interface RudePlan {
  readonly port: number;
  readonly routes: readonly string[];
  readonly atOnce: number;
  readonly mostPauseMs: number;
}

/** The sidecar must have ended each of their connections after this long, in ms. */
const PATIENCE_MS = 20_000;

type Habit = (visit: Visit) => void;

/** One connection of a rude client. */
interface Visit {
  readonly socket: net.Socket;
  readonly dice: Dice;
  /** A request that nobody will wait for. */
  ask(over?: Partial<Ask>): Ask;
  /** Does it a little later, if the connection still stands. */
  later(act: () => void): void;
}

const HABITS: Readonly<Record<string, Habit>> = {
  "upload aborted": ({ socket, dice, ask, later }) => {
    const upload = ask({ method: "POST", bodyBytes: dice.between(10_000, 300_000) });
    const bytes = Buffer.concat([Buffer.from(headText(upload)), bodyBytesOf(upload)]);
    socket.write(bytes.subarray(0, dice.between(200, bytes.length - 10)));
    later(() => leave(socket, dice));
  },
  "download aborted": ({ socket, dice, ask }) => {
    socket.write(headText(ask({ method: "GET", bodyBytes: 0, answerBytes: dice.between(100_000, 2_000_000) })));
    socket.once("data", () => leave(socket, dice));
  },
  "left before the answer": ({ socket, dice, ask, later }) => {
    socket.write(headText(ask({ method: "GET", bodyBytes: 0 })));
    later(() => leave(socket, dice));
  },
  "half-closed behind a request": ({ socket, ask }) => {
    socket.end(headText(ask({ method: "GET", bodyBytes: 0 })));
  },
  "half-closed inside an upload": ({ socket, ask }) => {
    const upload = ask({ method: "POST", bodyBytes: 5_000 });
    socket.end(Buffer.concat([Buffer.from(headText(upload)), bodyBytesOf(upload).subarray(0, 2_000)]));
  },
  "half-closed inside a head": ({ socket, ask }) => {
    socket.end(headText(ask({ method: "GET", bodyBytes: 0 })).slice(0, -5));
  },
  "many at once, then gone": ({ socket, dice, ask, later }) => {
    for (let i = dice.between(2, 8); i > 0; i--) socket.write(headText(ask({ method: "GET", bodyBytes: 0 })));
    later(() => leave(socket, dice));
  },
  "left inside a broken chunk": ({ socket, ask }) => {
    socket.write(headText(ask({ method: "POST", bodyBytes: 100, bodyFraming: "chunked" })));
    socket.write("zz\r\n");
  },
  malformed: ({ socket, dice }) => {
    socket.write(dice.pick(["\0\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "G ET / HTTP/1.1\r\n\r\n"]));
  },
  "connected and gone": ({ socket, dice, later }) => later(() => leave(socket, dice)),
  "upgrade aborted": ({ socket, dice, later }) => {
    const key = `Sec-WebSocket-Key: ${WEBSOCKET_KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n`;
    socket.write(`GET /ws/rude HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${key}`);
    later(() => leave(socket, dice));
  },
};

/** Starts them. */
export function startRudeClients(plan: RudePlan, dice: Dice, ledger: Ledger): RudeClients {
  const counts = new Map<string, number>();
  const names = Object.keys(HABITS);
  let open = 0;
  let stopping: (() => void) | null = null;
  const visit = (): void => {
    if (stopping !== null) {
      if (open === 0) stopping();
      return;
    }
    open++;
    const name = dice.pick(names);
    counts.set(name, (counts.get(name) ?? 0) + 1);
    openVisit(plan, name, dice, ledger, () => {
      open--;
      setTimeout(visit, dice.below(plan.mostPauseMs));
    });
  };
  for (let i = 0; i < plan.atOnce; i++) visit();
  return {
    counts,
    stop: () =>
      new Promise((resolve) => {
        stopping = resolve;
      }),
  };
}

function openVisit(plan: RudePlan, name: string, dice: Dice, ledger: Ledger, over: () => void): void {
  const socket = net.connect({ port: plan.port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
  const alarm = setTimeout(() => {
    ledger.violation(`the connection of a rude client (${name}) still stands after ${PATIENCE_MS} ms`);
    socket.destroy();
  }, PATIENCE_MS);
  socket.on("error", () => socket.destroy());
  socket.on("end", () => socket.end());
  socket.on("close", () => {
    clearTimeout(alarm);
    over();
  });
  const ask = (fields: Partial<Ask> = {}): Ask => ({
    ...pickAsk(dice, ledger.newId("r"), dice.pick(plan.routes)),
    ...fields,
  });
  const later = (act: () => void): void => {
    setTimeout(() => socket.destroyed || act(), dice.below(60));
  };
  socket.on("connect", () => {
    HABITS[name]?.({ socket, dice, ask, later });
    socket.resume();
  });
}

/** FIN or RST, as the dice fall. */
function leave(socket: net.Socket, dice: Dice): void {
  if (dice.chance(0.5)) socket.resetAndDestroy();
  else socket.destroy();
}
