// Whatever ends a driver, 5 s later nothing of its cluster is left: no process, shared memory, socket or directory.
// Method: a driver process of its own is brought to each end, also while a worker runs `for(;;);`.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { leftBehind, nothingLeftBehind, processes } from "../support/left-behind.js";

const DRIVER = fileURLToPath(new URL("./fixtures/driver.js", import.meta.url));

for (const busy of ["", "-busy"]) {
  const when = busy === "" ? "" : " while a worker runs for(;;);";

  test(`after shutdown()${when}`, async () => {
    const driver = await readyDriver(`shutdown${busy}`);
    const [code] = await once(driver, "exit");
    assert.equal(code, 0);
    await nothingLeftBehind();
  });

  test(`after a throw in the driver${when}`, async () => {
    const driver = await readyDriver(`throw${busy}`);
    const [code] = await once(driver, "exit");
    assert.equal(code, 1);
    await nothingLeftBehind();
  });

  test(`after the driver's SIGKILL${when}`, async () => {
    const driver = await readyDriver(`wait${busy}`);
    assert.ok(processes().length >= 2, "a head and a worker run");
    driver.kill("SIGKILL");
    await once(driver, "exit");
    await nothingLeftBehind();
  });
}

test("when the event loop drains, mobula shuts down by itself", async () => {
  const driver = await readyDriver("drain");
  const [code] = await once(driver, "exit");
  assert.equal(code, 0);
  await nothingLeftBehind();
});

test("after the head's SIGKILL its workers die with it, also in for(;;);, and the next start sweeps its files", async () => {
  const driver = await readyDriver("wait-busy");
  const head = processes().find((line) => line.includes("node-main"));
  process.kill(Number(/process (\d+)/.exec(head ?? "")?.[1]), "SIGKILL");
  await once(driver, "exit");
  const deadline = performance.now() + 5_000;
  while (processes().length > 0 && performance.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(processes(), []);
  const next = await readyDriver("shutdown");
  await once(next, "exit");
  await nothingLeftBehind();
  assert.deepEqual(leftBehind(), []);
});

async function readyDriver(mode: string): Promise<ChildProcess> {
  const driver = spawn(process.execPath, [DRIVER, mode], { stdio: ["ignore", "pipe", "ignore"] });
  let output = "";
  for await (const chunk of driver.stdout ?? []) {
    output += String(chunk);
    if (output.includes("ready")) return driver;
  }
  throw new Error(`the driver ended before it was ready: ${output}`);
}
