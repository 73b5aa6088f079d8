import { Socket, type Server, type SocketConstructorOpts } from "node:net";
import { SHARED_BUFFER } from "./shared-buffer.ts";

/** Whoever reads a socket. `owned` = the buffer is not read into again. */
export interface SocketReader {
  /** False = the socket's own buffers are full: it is read again when they are empty. */
  onRead(bytes: Buffer, length: number, owned: boolean): boolean;
  /** Reads by itself, from the socket's `data`. */
  listen(): void;
}

/** Where accepted sockets go. */
export interface Accepting {
  /** No more connections may be open: new ones are closed at once. */
  isFull(): boolean;
  onSocket(socket: Socket): SocketReader;
}

/** A TCP handle of libuv as `node:net` wraps it, as far as we use it. */
interface Handle {
  close(): void;
}

type OnConnection = (this: unknown, error: number, handle: Handle | undefined) => void;

interface ListeningHandle {
  onconnection?: OnConnection;
}

/**
 * Takes what a listening server accepts, with sockets that read into the thread's shared buffer. Node offers that
 * (`onread`) for sockets that it connects and not for those that it accepts, so the handle's own callback makes the socket,
 * which is what `node:net` does there too. It saves an allocation per read: about a tenth of what a small request
 * costs. Should a later Node keep its handle elsewhere, sockets come the usual way and are only slower.
 */
export function acceptInto(server: Server, accepting: Accepting): "shared" | "usual" {
  const handle = (server as unknown as { readonly _handle?: ListeningHandle | null })._handle;
  if (typeof handle?.onconnection !== "function") {
    server.on("connection", (socket) => accepting.onSocket(socket).listen());
    return "usual";
  }
  handle.onconnection = (error, accepted) => {
    if (error !== 0 || accepted === undefined) server.emit("error", new Error(`accept failed: ${error}`));
    else if (accepting.isFull()) accepted.close();
    else readShared(accepted, accepting);
  };
  return "shared";
}

function readShared(handle: Handle, accepting: Accepting): void {
  let reader: SocketReader | null = null;
  const callback = (length: number, bytes: Uint8Array): boolean =>
    reader === null || reader.onRead(bytes as Buffer, length, false);
  const options = {
    handle,
    allowHalfOpen: true,
    readable: true,
    writable: true,
    onread: { buffer: SHARED_BUFFER, callback },
  };
  const socket = new Socket(options as unknown as SocketConstructorOpts);
  socket.setNoDelay(true);
  socket.setKeepAlive(true);
  reader = accepting.onSocket(socket);
}
