/**
 * Passing an open socket, and what was read from it, from a raylet to the worker that its preamble names. It travels
 * over the child's IPC channel; the handshake then happens in the worker, so the raylet never sees a byte more.
 */
import type { ChildProcess } from "node:child_process";
import type { Socket } from "node:net";

/** The one message of the IPC channel with a handle. */
const SOCKET = "mobula.socket";

/** The socket is the child's from now on. When the child is gone the socket is closed. */
export function sendSocket(child: ChildProcess, socket: Socket, bytes: Uint8Array): void {
  if (!child.connected) {
    socket.destroy();
    return;
  }
  stopReading(socket);
  const message = { type: SOCKET, bytes: Buffer.from(bytes).toString("base64") };
  child.send(message, socket, (error) => {
    if (error !== null) socket.destroy();
  });
}

/**
 * Until the child has confirmed that the socket arrived, it is open in both processes, and this one still reads: the
 * peer's next bytes would go to nobody. `pause()` alone does not stop the handle (about 3 in 100 passed connections hung).
 */
function stopReading(socket: Socket): void {
  const handle: unknown = Reflect.get(socket, "_handle");
  if (typeof handle !== "object" || handle === null) return;
  const readStop: unknown = Reflect.get(handle, "readStop");
  if (typeof readStop === "function") readStop.call(handle);
}

/** In the child: take the sockets that the parent sends. A socket that closed on the way does not arrive. */
export function receiveSockets(handler: (socket: Socket, bytes: Uint8Array) => void): void {
  process.on("message", (message: unknown, socket: unknown) => {
    if (typeof message !== "object" || message === null || socket === undefined) return;
    const { type, bytes } = message as { type?: unknown; bytes?: unknown };
    if (type !== SOCKET || typeof bytes !== "string") return;
    handler(socket as Socket, new Uint8Array(Buffer.from(bytes, "base64")));
  });
}
