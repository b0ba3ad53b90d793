/** The cryptography of the handshake, from Node. */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { HandshakeCrypto } from "../protocol/handshake.js";

const NONCE_BYTES = 32;

export const handshakeCrypto: HandshakeCrypto = {
  nonce: () => randomBytes(NONCE_BYTES),
  hmac: (secret, data) => createHmac("sha256", secret).update(data).digest(),
  equal: (a, b) => a.length === b.length && timingSafeEqual(a, b),
};
