/** Everything in a value that cannot be copied, and how many bytes the rest takes. */
import { SerializationError } from "../../errors.js";
import { Encoder } from "./encoder.js";
import type { ValueHooks } from "./hooks.js";
import { tryEncodePrimitive } from "./primitives.js";
import { ValueWriter } from "./writer.js";

/** More are not listed: a long list of promises is one mistake. */
const MAX_OBSTACLES = 1_000;

export interface ValueObstacle {
  readonly path: string;
  readonly error: unknown;
}

export interface InspectedValue {
  /** Empty: the value can be copied. */
  readonly obstacles: readonly ValueObstacle[];
  /** Of what can be copied. */
  readonly sizeBytes: number;
}

/**
 * Encode a value to see what happens. Runs user code (getters, `mobula.serialize` methods). Never throws what is the
 * value's fault.
 *
 * @param hooks the hooks of an ordinary encoding, and those of one that goes on after an obstacle.
 */
export function inspectValue(
  value: unknown,
  hooks: { readonly strict: ValueHooks; readonly lenient: ValueHooks },
  label: string,
): InspectedValue {
  const writer = new ValueWriter();
  if (tryEncodePrimitive(writer, value)) return { obstacles: [], sizeBytes: writer.size };
  try {
    // Most values have no obstacle. And an encoding that goes on after one needs more of the stack.
    new Encoder().run(writer, value, hooks.strict, label);
    return { obstacles: [], sizeBytes: writer.size };
  } catch {
    return collect(writer, value, hooks.lenient, label);
  }
}

function collect(writer: ValueWriter, value: unknown, hooks: ValueHooks, label: string): InspectedValue {
  const obstacles: ValueObstacle[] = [];
  const enough = new Error("more obstacles than are listed");
  const onObstacle = (path: string, error: unknown) => {
    if (obstacles.length === MAX_OBSTACLES) throw enough;
    obstacles.push({ path, error });
  };
  try {
    new Encoder().run(writer, value, hooks, label, onObstacle);
  } catch (error) {
    const path = error instanceof SerializationError ? error.path : undefined;
    if (obstacles.length < MAX_OBSTACLES) obstacles.push({ path: path ?? label, error });
  }
  return { obstacles, sizeBytes: writer.size };
}
