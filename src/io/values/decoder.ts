/** Which function reads what follows which tag. */
import { BUILTIN_READERS } from "./decode-builtins.js";
import { INSTANCE_READERS } from "./decode-instances.js";
import { Decoding, type ReadTag } from "./decoding.js";
import * as tags from "./tags.js";

const PLAIN_READERS: readonly (readonly [tag: number, read: ReadTag])[] = [
  [tags.BACKREF, (decoding) => decoding.readBackReference()],
  [tags.ARRAY, (decoding) => decoding.readArray()],
  [tags.SPARSE_ARRAY, (decoding) => decoding.readSparseArray()],
  [tags.OBJECT_OF_NEW_SHAPE, (decoding) => decoding.readProperties(tags.OBJECT_OF_NEW_SHAPE, decoding.add({}), true)],
  [tags.OBJECT_OF_SHAPE, (decoding) => decoding.readProperties(tags.OBJECT_OF_SHAPE, decoding.add({}), true)],
  [
    tags.NULL_PROTOTYPE,
    (decoding) => decoding.readProperties(decoding.byte(), decoding.add(Object.create(null)), true),
  ],
];

const READERS: (ReadTag | undefined)[] = new Array(tags.SHORT_STRING).fill(undefined);
for (const [tag, read] of [...PLAIN_READERS, ...BUILTIN_READERS, ...INSTANCE_READERS]) READERS[tag] = read;

export function newDecoding(): Decoding {
  return new Decoding(READERS);
}
