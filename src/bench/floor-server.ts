/** The other process of the floor: answers every call at the socket named on the command line until it closes. */
import { connect } from "node:net";
import { CALL, CPU_REPLY, CPU_REQUEST, FrameReader, FrameWriter, REPLY } from "./floor-frame.js";

function serve(path: string): void {
  const socket = connect(path);
  const writer = new FrameWriter(socket);
  const reader = new FrameReader((type, id, functionId, counter, value) => {
    if (type === CALL) writer.add(REPLY, id, functionId, counter, value + 1);
    else if (type === CPU_REQUEST) writer.add(CPU_REPLY, id, 0, 0, cpuUs());
  });
  socket.on("data", (chunk) => {
    reader.push(chunk);
    writer.flush();
  });
  socket.on("error", () => socket.destroy()); // the client is gone; nothing else keeps this process alive
}

function cpuUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

serve(process.argv[2] ?? "");
