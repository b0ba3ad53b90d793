/** What a program must give: the same code, run on an ideal machine where every task ends at once and nothing fails. */
import type { FunctionId } from "../src/base/ids.js";
import type { Failure } from "../src/protocol/messages.js";
import {
  type ActorInstance,
  type ActorOptions,
  type Api,
  type Argument,
  type CallOptions,
  type CodeTable,
  type Effect,
  type Given,
  type Handle,
  type Made,
  type Ref,
  type Script,
  UserError,
  type Value,
} from "./program.js";
import { SimError, USER_ERROR } from "./values.js";

/** What a ref comes to. */
export type ModelOutcome =
  | { readonly kind: "value"; readonly value: Made }
  | { readonly kind: "error"; readonly failure: Failure };

class ModelRef implements Ref {
  readonly kind = "ref";
  readonly outcome: ModelOutcome;

  constructor(outcome: ModelOutcome) {
    this.outcome = outcome;
  }
}

class ModelHandle implements Handle {
  readonly kind = "handle";
  readonly name: string;
  readonly instance: ActorInstance;

  constructor(name: string, instance: ActorInstance) {
    this.name = name;
    this.instance = instance;
  }
}

export class ModelApi implements Api {
  readonly #codes: CodeTable;
  readonly #named: Map<string, ModelHandle>;

  constructor(codes: CodeTable, named = new Map<string, ModelHandle>()) {
    this.#codes = codes;
    this.#named = named;
  }

  put(value: Made): Ref {
    return new ModelRef({ kind: "value", value });
  }

  call(functionId: FunctionId, args: readonly Argument[], { numReturns }: CallOptions): readonly Ref[] {
    const code = this.#codes.get(functionId);
    if (code?.kind !== "task") throw new Error(`${functionId} is not a task`);
    const outcomes = this.#outcomes(args, (api, values) => code.run(api, values), numReturns);
    return outcomes.map((outcome) => new ModelRef(outcome));
  }

  createActor(classId: FunctionId, args: readonly Argument[], { actorName }: ActorOptions): Handle {
    const code = this.#codes.get(classId);
    if (code?.kind !== "actor") throw new Error(`${classId} is not a class`);
    const handle = new ModelHandle(code.name, code.create(args.map(resolved)));
    if (actorName !== "") this.#named.set(actorName, handle);
    return handle;
  }

  callActor(handle: Handle, method: string, args: readonly Argument[]): Ref {
    const { instance } = handle as ModelHandle;
    const [outcome] = this.#outcomes(args, (api, values) => instance.call(api, method, values), 1);
    return new ModelRef(outcome as ModelOutcome);
  }

  drop(): void {}

  /** Run code to its end; nothing takes time here. */
  run<T>(script: Script<T>): T {
    let result = script.next();
    while (result.done !== true) {
      try {
        result = script.next(this.#give(result.value));
      } catch (error) {
        if (!(error instanceof ModelError)) throw error;
        result = script.throw(new SimError(error.failure));
      }
    }
    return result.value;
  }

  #give(effect: Effect): Given {
    switch (effect.kind) {
      case "get":
        return effect.refs.map(resolved);
      case "wait":
        return effect.count;
      case "find":
        return this.#named.get(effect.actorName);
      default:
        return undefined;
    }
  }

  #outcomes(
    args: readonly Argument[],
    start: (api: Api, values: readonly Value[]) => Script<readonly Made[]>,
    count: number,
  ): readonly ModelOutcome[] {
    const fail = (failure: Failure) => Array.from({ length: count }, () => ({ kind: "error", failure }) as const);
    try {
      const api = new ModelApi(this.#codes, this.#named);
      return api.run(start(api, args.map(resolved))).map((value) => ({ kind: "value", value }));
    } catch (error) {
      if (error instanceof ModelError) return fail(error.failure);
      if (error instanceof SimError) return fail({ code: error.code, message: error.message });
      if (error instanceof UserError) return fail({ code: USER_ERROR, message: error.message });
      throw error;
    }
  }
}

/** A `get` in the model met an error; thrown into the code as what real code would see. */
class ModelError extends Error {
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(failure.message);
    this.failure = failure;
  }
}

export function outcomeOfRef(ref: Ref): ModelOutcome {
  return (ref as ModelRef).outcome;
}

function resolved(arg: Argument): Value {
  if (!("kind" in arg)) return opened(arg);
  const { outcome } = arg as ModelRef;
  if (outcome.kind === "error") throw new ModelError(outcome.failure);
  return opened(outcome.value);
}

function opened({ token, sizeBytes, names }: Made): Value {
  return {
    token,
    sizeBytes,
    refs: names.filter((thing) => thing.kind === "ref"),
    handles: names.filter((thing) => thing.kind === "handle"),
  };
}
