// Errors always arrive: with class, message, stack, code, cause and own properties; what cannot be copied is described.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Socket } from "node:net";
import { test } from "node:test";
import { GetTimeoutError, MobulaError, SerializationError } from "../../src/errors.js";
import { assertSame } from "./support/same.js";
import { encode, hooksFor, roundTrip } from "./support/world.js";

function thrownBy(f: () => unknown): Error & Record<string, unknown> {
  try {
    f();
  } catch (error) {
    return error as Error & Record<string, unknown>;
  }
  return assert.fail("it did not throw");
}

test("the errors of the language keep class, message, stack and cause, hidden as they were", () => {
  const types = [Error, TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError];
  for (const type of types) {
    const error = new type("message", { cause: new Error("because") });
    assertSame(roundTrip(error), error);
    assert.deepEqual(Object.keys(roundTrip(error)), []);
  }
  const all = new AggregateError([1, new RangeError("one")], "all failed");
  assertSame(roundTrip(all), all);
  const silent = new Error();
  assertSame(roundTrip(silent), silent);
});

test("own properties and names set by hand arrive", () => {
  const error = Object.assign(new Error("e"), { name: "CustomError", code: "E_CUSTOM", details: { list: [1, -0] } });
  assertSame(roundTrip(error), error);
  assert.equal(String(roundTrip(error)), "CustomError: e");
});

test("errors of Node keep code, errno, syscall and path", () => {
  const missing = thrownBy(() => readFileSync("/does/not/exist"));
  const copy = roundTrip(missing);
  assertSame(copy, missing);
  assert.deepEqual(
    [copy["code"], copy["errno"], copy["syscall"], copy["path"]],
    ["ENOENT", -2, "open", "/does/not/exist"],
  );

  const wrong = thrownBy(() => Buffer.alloc("x" as never));
  const arrived = roundTrip(wrong);
  assert.ok(arrived instanceof TypeError);
  assert.deepEqual([arrived["code"], arrived.message], ["ERR_INVALID_ARG_TYPE", wrong.message]);
});

test("what an aborted signal throws arrives as it is", () => {
  const reason: DOMException = AbortSignal.abort().reason;
  const copy = roundTrip(reason);
  assert.ok(copy instanceof DOMException);
  assert.deepEqual(
    [copy.name, copy.message, copy.code, copy.stack],
    [reason.name, reason.message, reason.code, reason.stack],
  );
});

test("mobula's own errors arrive with class, brand and details", () => {
  const error = new SerializationError("args[0] is …", { path: "args[0]", hint: "do not", cause: new Error("inner") });
  const copy = roundTrip(error);
  assertSame(copy, error);
  assert.ok(copy instanceof SerializationError && copy instanceof MobulaError && !(copy instanceof GetTimeoutError));
});

test("an error of the user's class arrives as that class", () => {
  class Rejected extends RangeError {
    readonly status: number;

    constructor(status: number) {
      super(`status ${status}`);
      this.status = status;
    }

    get isServerError(): boolean {
      return this.status >= 500;
    }
  }
  const error = new Rejected(503);
  const copy = roundTrip(error, hooksFor(Rejected));
  assertSame(copy, error);
  assert.ok(copy instanceof Rejected && copy.isServerError);
});

test("an error whose class cannot be shipped keeps its name, and the nearest class that both ends have", () => {
  class Shy extends RangeError {
    get code(): string {
      return "E_SHY";
    }
    extra = 1;
  }
  const error = new Shy("hidden", { cause: new Shy("deeper") });
  const copy = roundTrip<Error>(error) as Error & Record<string, unknown>;
  assert.equal(Object.getPrototypeOf(copy), RangeError.prototype);
  assert.deepEqual(
    [copy.name, copy.message, copy.stack, copy["code"], copy["extra"]],
    ["Shy", "hidden", error.stack, "E_SHY", 1],
  );
  assert.equal((copy.cause as Error).name, "Shy");
});

test("errors made with functions and Object.create arrive as errors", () => {
  function OldError(this: { message: string }, message: string): void {
    this.message = message;
  }
  OldError.prototype = Object.create(Error.prototype, {
    constructor: { value: OldError },
    name: { value: "OldError" },
  });
  const error: Error = Reflect.construct(OldError, ["old"]);
  const copy = roundTrip(error);
  assert.ok(copy instanceof Error);
  assert.deepEqual([copy.name, copy.message], ["OldError", "old"]);
});

test("what cannot be copied inside an error is replaced by what it is, and the rest arrives", () => {
  const error = Object.assign(new Error("failed"), {
    code: "E",
    socket: new Socket(),
    response: { status: 500, retry: () => 1, list: [new Socket(), 2], map: new Map([["s", Symbol("local")]]) },
  });
  Object.defineProperty(error, "lazy", {
    enumerable: true,
    get: () => {
      throw new Error("boom");
    },
  });
  const copy = roundTrip(error) as unknown as Record<string, unknown>;
  const socket = "[a Socket, which cannot be copied to another process]";
  assert.equal(copy["socket"], socket);
  assert.equal(copy["lazy"], "[threw while it was read: boom]");
  assertSame(copy["response"], {
    status: 500,
    retry: "[a function (retry), which cannot be copied to another process]",
    list: [socket, 2],
    map: new Map([["s", "[the local symbol Symbol(local), which exists only in this process]"]]),
  });
  assert.equal(copy["code"], "E");
});

test("a failed attempt leaves no trace: references and shapes written after it are right", () => {
  const shared = { a: 1, b: 2 };
  const hopeless = { shared, again: shared, a: { x: { y: [new Socket()] } }, f: () => 1 };
  const value = { error: Object.assign(new Error("e"), { hopeless, shared }), shared, other: { a: 3, b: 4 } };
  const { error, ...rest } = roundTrip(value);
  assertSame(rest, { shared, other: value.other });
  assert.equal(error.shared, rest.shared);
  assert.equal(error.hopeless.again, rest.shared);
});

test("a chain of more than 100 causes is cut off with a word", () => {
  const chain = (length: number) =>
    Array.from({ length }).reduce<Error>((cause, _, i) => new Error(`${i}`, { cause }), new Error("root"));
  const causes = (error: Error): unknown[] => [
    error.cause,
    ...(error.cause instanceof Error ? causes(error.cause) : []),
  ];
  const short = chain(99);
  assertSame(roundTrip(short), short);
  const copy = causes(roundTrip(chain(5_000)));
  assert.equal(copy.length, 100);
  assert.equal(copy.at(-1), "[an error within 100 errors]");
});

test("on the last of the stack an error with many causes is written or refused at once", () => {
  const error = Array.from({ length: 90 }).reduce<Error>((cause) => new Error("e", { cause }), new Error("root"));
  let elapsed = Number.POSITIVE_INFINITY;
  const dig = (): void => {
    try {
      dig();
    } catch {
      const start = performance.now();
      tryToEncode(error);
      elapsed = performance.now() - start;
    }
  };
  dig();
  assert.ok(elapsed < 1_000, `${elapsed} ms`);
});

/** @throws RangeError if not even the first call of the encoder fits on the stack. */
function tryToEncode(value: unknown): void {
  try {
    encode(value);
  } catch (error) {
    if (error instanceof RangeError) throw error;
    assert.ok(error instanceof SerializationError);
  }
}

test("errors with any content are encoded", () => {
  const chain = Array.from({ length: 5_000 }).reduce<Error>(
    (cause, _, i) => new Error(`${i}`, { cause }),
    new Error("root"),
  );
  assert.equal(roundTrip(chain).message, "4999");
  const cyclic = new Error("cyclic");
  cyclic.cause = cyclic;
  assertSame(roundTrip(cyclic), cyclic);
  const hostile = new Error("hostile");
  Object.defineProperty(hostile, "name", { value: hostile }); // makes toString, and so the stack, recurse for ever
  assert.equal(roundTrip(hostile).message, "hostile");
  const huge = Object.assign(new Error("huge"), { data: new ArrayBuffer(5 * 2 ** 30) });
  assert.match(
    String((roundTrip(huge) as unknown as { data: string }).data),
    /^\[needs at least 5,368,7.*, and a value may have 4,294,901,760\]$/,
  );
});

test("Error.prepareStackTrace is the user's code: it may throw", () => {
  const { prepareStackTrace } = Error;
  const error = new Error("unprinted");
  Error.prepareStackTrace = () => {
    throw new Error("no stacks today");
  };
  try {
    assert.equal(roundTrip(error).message, "unprinted");
  } finally {
    Error.prepareStackTrace = prepareStackTrace as NonNullable<typeof prepareStackTrace>;
  }
});

test("a stack is cut at 16 KiB", () => {
  const error = Object.assign(new Error("e"), { stack: "x".repeat(20_000) });
  assert.equal(roundTrip(error).stack?.length, 16_384);
});

test("an error inside a value is lenient, the value around it is not", () => {
  const socket = new Socket();
  assert.doesNotThrow(() => encode({ e: Object.assign(new Error("e"), { socket }) }));
  assert.throws(
    () => encode({ e: Object.assign(new Error("e"), { socket }), f: [socket] }),
    /^SerializationError: value\.f\[0\]/,
  );
});
