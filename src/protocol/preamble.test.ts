// The preamble names its target, and tells strangers from peers of another version.
// Method: encode, spoil single bytes, parse.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ProtocolError, VersionMismatchError } from "../errors.js";
import { encodePreamble, mayBePreamble, PREAMBLE_BYTES, parsePreamble } from "./preamble.js";
import { PROTOCOL_VERSION } from "./version.js";

test("a target survives; none means the node itself", () => {
  assert.deepEqual(parsePreamble(encodePreamble("0123456789ab")), { target: "0123456789ab" });
  assert.deepEqual(parsePreamble(encodePreamble()), { target: undefined });
  assert.equal(encodePreamble().length, PREAMBLE_BYTES);
});

test("bytes behind the preamble are not looked at", () => {
  const bytes = new Uint8Array([...encodePreamble("0123456789ab"), 1, 2, 3]);
  assert.equal(parsePreamble(bytes).target, "0123456789ab");
});

test("another version is named together with ours", () => {
  const bytes = encodePreamble();
  bytes[8] = PROTOCOL_VERSION + 1;
  assert.throws(
    () => parsePreamble(bytes),
    (error) => {
      assert.ok(error instanceof VersionMismatchError);
      assert.match(error.message, new RegExp(`version ${PROTOCOL_VERSION + 1} .* version ${PROTOCOL_VERSION};`));
      return true;
    },
  );
});

test("strangers are refused, whichever byte is wrong", () => {
  for (let at = 0; at < PREAMBLE_BYTES; at++) {
    if (at === 8 || at === 9 || (at >= 16 && at < 22)) continue; // version and target
    const bytes = encodePreamble("0123456789ab");
    bytes[at] = (bytes[at] ?? 0) ^ 0x20;
    assert.throws(() => parsePreamble(bytes), ProtocolError);
  }
});

test("a stranger is known at its first wrong byte", () => {
  assert.ok(mayBePreamble(new Uint8Array(0)));
  assert.ok(mayBePreamble(encodePreamble().subarray(0, 5)));
  assert.ok(!mayBePreamble(Buffer.from("G")));
  assert.ok(!mayBePreamble(Buffer.from([0x00, 0x16])));
});
