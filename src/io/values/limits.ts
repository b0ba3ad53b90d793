/** The limits of the value encoder. Each has a defined refusal. */
import { constants } from "node:buffer";

const KIB = 1024;

/** Containers within containers. Deeper values are refused: the recursion of both ends must fit any stack. */
export const MAX_DEPTH = 1_000;
/** Errors within errors, as causes or properties. A longer chain of causes is cut off, with a word that it was. */
export const MAX_ERROR_DEPTH = 100;
/** What one Buffer can hold, and a 32-bit length can say. */
export const MAX_BUFFER_BYTES = Math.min(constants.MAX_LENGTH, 4 * KIB ** 3);
/** A value with its binary data: one Buffer can hold it together with the head of a frame. */
export const MAX_VALUE_BYTES = MAX_BUFFER_BYTES - 64 * KIB;
/** Binary data of at least this size is not copied while encoding but listed (see ValueWriter.outOfBand). */
export const OUT_OF_BAND_FROM = 64 * KIB;
/** Binary data of at least this size begins on a page of its own, when the value lies in a store. */
export const ALIGN_FROM = 64 * KIB;
/** A page, so that an array in a store can be mapped by itself. Part of the wire format. */
const ALIGNMENT = 4 * KIB;
/** In a store, so many bytes are in front of a value, which begins on a page. Part of the wire format. */
export const STORE_HEAD_BYTES = 64;
/** Objects with more keys than this are dictionaries: their keys are not remembered. Part of the wire format. */
export const MAX_SHAPE_KEYS = 64;
/** The stack of an error is text for people; more of it is cut off. */
export const MAX_STACK_CHARACTERS = 16 * KIB;
/** Strings up to this length count as primitives for a task frame. */
export const MAX_DIRECT_STRING = KIB;

/** Zeros before binary data that would begin at this position of a value. */
export function paddingAt(position: number): number {
  return -(STORE_HEAD_BYTES + position) & (ALIGNMENT - 1);
}
