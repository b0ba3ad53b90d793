/**
 * The wire format of a value: one tag byte, then what the tag says.
 *
 *   varint   LEB128, at most 53 bits             key     a string or a symbol, written as a value
 *   bytes    raw, little-endian                  value   a tag and its body, recursively
 *
 * Objects are numbered in the order in which their tags appear; `BACKREF n` names the n-th again, which keeps cycles
 * and shared references. Binary data of `ALIGN_FROM` bytes or more is preceded by zeros up to a multiple of
 * `ALIGNMENT`, counted from `STORE_HEAD_BYTES` before the value, so that in a store each such array begins on a page and
 * can be mapped by itself.
 *
 * A value that names classes or handles ends in a trailer (trailer.ts), and the top bit of its first byte says so:
 * a value without them pays nothing.
 */

/** Ends the entries of a map or set and the properties of an error: their number is not known beforehand. */
export const END = 0x00;
export const UNDEFINED = 0x01;
export const NULL = 0x02;
export const FALSE = 0x03;
export const TRUE = 0x04;
/** 1, 2 or 4 bytes, signed. */
export const INT8 = 0x05;
export const INT16 = 0x06;
export const INT32 = 0x07;
/** 8 bytes: every other number, -0 and NaN included. */
export const FLOAT64 = 0x08;
/** varint length, one byte per UTF-16 unit: every unit is below 256. */
export const LATIN1 = 0x09;
/** varint length in bytes, two bytes per UTF-16 unit: lone surrogates are kept. */
export const UTF16 = 0x0a;
/** 8 bytes, signed. */
export const BIGINT64 = 0x0b;
/** sign byte, varint length, magnitude with the highest byte first. */
export const BIGINT = 0x0c;
/** key of `Symbol.for`. */
export const SYMBOL_FOR = 0x0d;
/** name of a property of `Symbol`, such as "iterator". */
export const SYMBOL_WELL_KNOWN = 0x0e;

/** varint number of the object. */
export const BACKREF = 0x10;
/** An element of an array that does not exist. */
export const HOLE = 0x11;
/** varint length, values or holes. */
export const ARRAY = 0x12;
/** varint length, varint count, count × (varint index, value). */
export const SPARSE_ARRAY = 0x13;
/** varint count, count keys, count values. The keys become the next shape. */
export const OBJECT_OF_NEW_SHAPE = 0x14;
/** varint shape, one value per key. */
export const OBJECT_OF_SHAPE = 0x15;
/** An object without prototype: then one of the two above. */
export const NULL_PROTOTYPE = 0x16;
/** An instance of a user's class: varint class, then one of the two above. */
export const INSTANCE = 0x17;
/** (key value, value) …, END. */
export const MAP = 0x18;
/** values, END. */
export const SET = 0x19;
/** 8 bytes: milliseconds, NaN if invalid. */
export const DATE = 0x1a;
/** source, flags, lastIndex as values. */
export const REGEXP = 0x1b;
/** A primitive, as an object. */
export const BOXED = 0x1c;
/** varint 0 and the name of a built-in class, or varint class + 1; then (visibility, key, value) …, END. */
export const ERROR = 0x1d;
/** name, message, stack, cause as values (undefined: none). */
export const DOM_EXCEPTION = 0x1e;
/** varint length, padding, bytes. */
export const ARRAY_BUFFER = 0x1f;
/** kind (views.ts), varint length in bytes, padding, bytes. */
export const VIEW = 0x20;
/** href. */
export const URL_OBJECT = 0x21;
/** The query string. */
export const URL_SEARCH_PARAMS = 0x22;
/** varint index in the trailer's handles. */
export const HANDLE = 0x23;
/** 1 if called with `new`, varint class of the reviver, varint count, arguments. */
export const REVIVED = 0x24;
/** A built-in object with more to it: the object; varint class + 1 or 0; varint count, count × (key, value). */
export const DRESSED = 0x25;

/** 0x40 + length: a Latin-1 string of fewer than 32 units. */
export const SHORT_STRING = 0x40;
/** 0x60 + n: the integers 0 … 31. */
export const SMALL_INT = 0x60;
/** The top bit of a value's first byte: a trailer follows. */
export const HAS_TRAILER = 0x80;

/** How a property of an error is defined. */
export const HIDDEN = 1;
export const ENUMERABLE = 2;
