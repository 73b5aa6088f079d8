import type { Socket } from "node:net";
import { BAD_HEADS } from "./deeds.ts";
import { chunk, contentOf, type Order } from "./request.ts";

/** The connection that an answer goes over. */
export interface Line {
  readonly socket: Socket;
  /** Requests of several clients may stand in line on it. */
  readonly isShared: boolean;
  /** Requests that have begun on it. */
  begun(): number;
  /** Requests whose answers have begun. */
  answered(): number;
}

const DRIP_MS = 20;
const DRIPS = 5;
/** When a connection ends that had promised to stay. */
const LATER_MS = 15;
/** What clients get that never read it: nobody compares it, so it is there only once. */
const LARGE = Buffer.alloc(8 << 20, "l");
const LAST_CHUNK = "0\r\n\r\n";

/** Does with a request what its target says; `done` = the next on this connection may be answered. */
export function perform(order: Order, method: string, line: Line, done: () => void): void {
  const { socket } = line;
  if (method === "HEAD") {
    socket.write(headText(order, [`Content-Length: ${order.answerBytes}`]));
    done();
    return;
  }
  if (order.answerBytes > LARGE.length / 2) {
    socket.write(headText(order, [`Content-Length: ${order.answerBytes}`]));
    socket.write(LARGE.subarray(0, order.answerBytes));
    done();
    return;
  }
  const content = contentOf(order.id, order.answerBytes);
  const whole = Buffer.concat([Buffer.from(headText(order, [`Content-Length: ${content.length}`])), content]);
  switch (order.deed) {
    case "plain":
    case "early":
      socket.write(whole);
      done();
      return;
    case "chunked":
      socket.write(chunkedAnswer(order, content, LAST_CHUNK));
      done();
      return;
    case "trailers":
      socket.write(chunkedAnswer(order, content, `0\r\nX-Trailer-Id: ${order.id}\r\n\r\n`, ["Trailer: X-Trailer-Id"]));
      done();
      return;
    case "until-close":
      socket.write(headText(order, ["Connection: close"]));
      socket.end(content);
      return;
    case "interim":
      socket.write(`HTTP/1.1 103 Early Hints\r\nLink: </${order.id}>; rel=preload\r\n\r\n`);
      afterMs(socket, DRIP_MS, () => {
        socket.write(whole);
        done();
      });
      return;
    case "drip":
      drip(socket, whole, done);
      return;
    case "close-announced":
      socket.end(Buffer.concat([Buffer.from(headText(order, ["Connection: close", length(content)])), content]));
      return;
    case "close-behind":
      socket.end(whole);
      return;
    case "close-later":
      socket.write(whole);
      whenQuiet(line, () => socket.end());
      done();
      return;
    case "reset-later":
      socket.write(whole);
      whenQuiet(line, () => socket.resetAndDestroy());
      done();
      return;
    case "extra-bytes":
      socket.write(Buffer.concat([whole, Buffer.from(line.isShared ? GARBAGE : FORGED)]));
      done();
      return;
    case "too-long":
      socket.write(Buffer.concat([whole, content]));
      done();
      return;
    case "stall-before":
      return;
    case "stall-inside":
      socket.write(headText(order, [`Content-Length: ${content.length + 1}`]));
      socket.write(content);
      return;
    case "reset-before":
      socket.resetAndDestroy();
      return;
    case "reset-inside":
      socket.write(headText(order, [`Content-Length: ${content.length + 1}`]));
      socket.write(content, () => socket.resetAndDestroy());
      return;
    case "close-before":
      socket.end();
      return;
    case "close-inside-head":
      socket.end(headText(order, [length(content)]).slice(0, -3));
      return;
    case "too-short":
      socket.write(headText(order, [`Content-Length: ${content.length + 1}`]));
      socket.end(content);
      return;
    case "chunks-unfinished":
      socket.end(chunkedAnswer(order, content, ""));
      return;
    case "chunks-broken":
      socket.write(chunkedAnswer(order, content, "zz\r\n"));
      return;
    case "bad-head":
      socket.write(Buffer.from(BAD_HEADS[order.answerBytes % BAD_HEADS.length] ?? "", "latin1"));
      return;
    case "head-too-large":
      socket.write(headText(order, [`X-Large: ${"l".repeat(100_000)}`, length(content)]));
      return;
    case "early-reset":
      socket.write(whole, () => socket.resetAndDestroy());
  }
}

/** What nobody may take for an answer. */
const GARBAGE = "garbage\r\n\r\n";
/** What somebody could take for an answer, where nobody stands in line for one. */
const FORGED = "HTTP/1.1 200 OK\r\nX-Id: forged\r\nContent-Length: 6\r\n\r\nforged";

function headText(order: Order, fields: readonly string[]): string {
  return `${["HTTP/1.1 200 OK", `X-Id: ${order.id}`, ...fields].join("\r\n")}\r\n\r\n`;
}

function length(content: Buffer): string {
  return `Content-Length: ${content.length}`;
}

function chunkedAnswer(order: Order, content: Buffer, end: string, fields: readonly string[] = []): Buffer {
  const half = content.length >> 1;
  const head = headText(order, ["Transfer-Encoding: chunked", ...fields]);
  return Buffer.concat([
    Buffer.from(head),
    chunk(content.subarray(0, half)),
    chunk(content.subarray(half)),
    Buffer.from(end),
  ]);
}

function drip(socket: Socket, bytes: Buffer, done: () => void): void {
  const size = Math.ceil(bytes.length / DRIPS);
  const next = (offset: number): void => {
    socket.write(bytes.subarray(offset, offset + size));
    if (offset + size >= bytes.length) done();
    else afterMs(socket, DRIP_MS, () => next(offset + size));
  };
  next(0);
}

/** A moment later, unless another request has come: it would be harmed inside its answer. */
function whenQuiet(line: Line, act: () => void): void {
  const answered = line.answered();
  afterMs(line.socket, LATER_MS, () => {
    if (line.begun() === answered) act();
  });
}

function afterMs(socket: Socket, ms: number, act: () => void): void {
  setTimeout(() => {
    if (!socket.destroyed) act();
  }, ms);
}
