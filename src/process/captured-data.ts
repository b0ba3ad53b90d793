/** Large data that a function captured: it travels as an object of its own. */
import type { ObjectId } from "../base/ids.js";
import type { Owner } from "../core/owner/owner.js";
import { SerializationError } from "../errors.js";
import { EncodedBytes } from "./encoded-bytes.js";
import type { ValueCodec } from "./value-codec.js";

interface Reading {
  readonly owner: Owner;
  readonly values: ValueCodec;
}

/** The bytes of such an object. @throws (rejects) SerializationError, or why there is no such object. */
export function fetchBytes(core: Reading, objectId: ObjectId): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    core.owner.references.argumentReaders.add(objectId, {
      read: (value) => {
        try {
          const bytes = value instanceof EncodedBytes ? core.values.decode(value) : undefined;
          if (bytes instanceof Uint8Array) resolve(bytes);
          else reject(new SerializationError(`object ${objectId} does not hold captured data`));
        } catch (error) {
          reject(error);
        }
      },
      failed: (failure) => reject(core.values.failureError(failure)),
    });
  });
}
