/** What user code calls, on the real machines: the virtual counterpart of the package's own API. */
import { type ActorId, type ContextId, type FunctionId, GCS, taskIdOf } from "../src/base/ids.js";
import { MAX_INLINE_BYTES } from "../src/base/limits.js";
import type { ActorLink, Held, ObjectEntry, TaskTemplate } from "../src/core/owner/records.js";
import { amountsOf } from "../src/core/resources.js";
import type { Argument as WireArgument } from "../src/protocol/messages.js";
import { type OwnedArgument, wireArgument } from "./arguments.js";
import type { OwnerProcess } from "./owner-process.js";
import type { ActorOptions, Api, Argument, CallOptions, Handle, Made, Ref, Value } from "./program.js";
import { type Named, plain, type SimValue } from "./values.js";

export class ClusterRef implements Ref {
  readonly kind = "ref";
  readonly entry: ObjectEntry;
  dropped = false;

  constructor(entry: ObjectEntry) {
    this.entry = entry;
  }
}

export class ClusterHandle implements Handle {
  readonly kind = "handle";
  readonly link: ActorLink;
  dropped = false;

  constructor(link: ActorLink) {
    this.link = link;
  }

  get name(): string {
    return this.link.name;
  }
}

interface Prepared {
  readonly args: readonly OwnedArgument[];
  readonly dependencies: readonly ObjectEntry[];
  readonly nested: readonly Held[];
}

export class ClusterApi implements Api {
  readonly #process: OwnerProcess;
  readonly #context: ContextId;
  readonly #depth: number;
  readonly #live = new Set<ClusterRef | ClusterHandle>();
  #counter = 0;

  constructor(process: OwnerProcess, context: ContextId, depth: number) {
    this.#process = process;
    this.#context = context;
    this.#depth = depth;
  }

  put(made: Made): Ref {
    const { value, held } = this.encode(made);
    return this.#refTo(this.#ownObject(value, held));
  }

  call(functionId: FunctionId, args: readonly Argument[], options: CallOptions): readonly Ref[] {
    const name = this.#process.registerFunction(functionId);
    const { numReturns, maxRetries, cpus, resources, strategy, timeoutMs } = options;
    const key = [cpus, JSON.stringify(resources), JSON.stringify(strategy), maxRetries === 0, timeoutMs > 0].join(" ");
    const demand = amountsOf({ CPU: cpus, ...resources });
    const template = { functionId, name, method: "", numReturns, maxRetries, timeoutMs, demand, strategy };
    return this.#submit({ ...template, schedulingKey: key }, args, undefined);
  }

  createActor(classId: FunctionId, args: readonly Argument[], options: ActorOptions): Handle {
    const process = this.#process;
    const name = process.registerFunction(classId);
    const actorId = taskIdOf(this.#context, this.#counter++) as string as ActorId;
    const link = process.owner.actors.link(actorId, name, true);
    const { actorName, heldCpus, maxConcurrency, strategy } = options;
    process.send(GCS, {
      type: "registerActor",
      actorId,
      jobId: process.jobId,
      name,
      actorName,
      namespace: "sim",
      functionId: classId,
      owner: process.ref,
      demand: amountsOf({ CPU: Math.max(1, heldCpus) }),
      held: amountsOf({ CPU: heldCpus }),
      strategy,
      maxConcurrency,
      arguments: args.map((arg) => this.#constructorArgument(actorId, arg)),
      largeArguments: [],
    });
    return this.#handleTo(link);
  }

  callActor(handle: Handle, method: string, args: readonly Argument[], timeoutMs = 0): Ref {
    const { link } = handle as ClusterHandle;
    const template: TaskTemplate = {
      functionId: "",
      name: `${link.name}.${method}`,
      method,
      numReturns: 1,
      maxRetries: 0,
      timeoutMs,
      demand: new Map(),
      strategy: { kind: "default" },
      schedulingKey: "",
    };
    return this.#submit(template, args, link)[0] as Ref;
  }

  drop(thing: Ref | Handle): void {
    const owned = thing as ClusterRef | ClusterHandle;
    if (owned.dropped) return;
    owned.dropped = true;
    this.#live.delete(owned);
    if (owned.kind === "ref") this.#process.owner.references.dropRef(owned.entry);
    else this.#process.owner.actors.dropHandle(owned.link);
  }

  /** The code has ended and its variables are garbage. */
  dropAll(): void {
    for (const thing of [...this.#live]) this.drop(thing);
  }

  /** A value as it travels; what it names has left this process and is the caller's to keep. */
  encode(made: Made): { readonly value: SimValue; readonly held: readonly Held[] } {
    const held: Held[] = [];
    const names = made.names.map((thing): Named => {
      if (thing.kind === "handle") {
        const { link } = thing as ClusterHandle;
        held.push(link);
        return { kind: "actor", id: link.actorId, name: link.name };
      }
      const { entry } = thing as ClusterRef;
      this.#process.owner.references.escape(entry);
      held.push(entry);
      return { kind: "object", id: entry.id };
    });
    return { value: plain(made.token, made.sizeBytes, names), held };
  }

  /** A fresh copy of a value, with refs and handles of this process. */
  decode({ token, sizeBytes, names }: SimValue): Value {
    const refs: Ref[] = [];
    const handles: Handle[] = [];
    for (const named of names) {
      if (named.kind === "actor") handles.push(this.handle(named.id, named.name));
      else refs.push(this.#refTo(this.#process.owner.references.borrow(named.id)));
    }
    return { token, sizeBytes, refs, handles };
  }

  /** A handle of an actor that another process made. */
  handle(actorId: ActorId, name: string): Handle {
    const { actors, references } = this.#process.owner;
    const known = actors.find(actorId);
    if (known !== undefined) return this.#handleTo(known);
    references.holds.take(actorId);
    return this.#handleTo(actors.link(actorId, name, false));
  }

  #submit(template: TaskTemplate, args: readonly Argument[], actor: ActorLink | undefined): readonly Ref[] {
    const process = this.#process;
    const { args: prepared, dependencies, nested } = this.#prepare(args);
    const counter = this.#counter++;
    const taskId = taskIdOf(this.#context, counter);
    if (actor === undefined) process.around.watch.taskSubmitted(taskId, template.maxRetries);
    else process.around.watch.callSubmitted(actor.actorId, process.ref, taskId);
    const depth = this.#depth + 1;
    const task = process.owner.submit(template, this.#context, counter, depth, prepared, dependencies, nested, actor);
    return task.returns.map((entry) => this.#refTo(entry));
  }

  /** Refs become dependencies; a large argument becomes an object of its own. */
  #prepare(args: readonly Argument[]): Prepared {
    const dependencies: ObjectEntry[] = [];
    const nested: Held[] = [];
    const prepared = args.map((arg): OwnedArgument => {
      let entry: ObjectEntry;
      if ("kind" in arg) {
        entry = (arg as ClusterRef).entry;
      } else {
        const { value, held } = this.encode(arg);
        if (value.sizeBytes <= MAX_INLINE_BYTES) {
          nested.push(...held);
          return value;
        }
        entry = this.#ownObject(value, held);
      }
      dependencies.push(entry);
      return entry;
    });
    return { args: prepared, dependencies, nested };
  }

  /** What a constructor takes is kept until the actor lives or is dead. */
  #constructorArgument(actorId: ActorId, arg: Argument): WireArgument {
    const process = this.#process;
    if (!("kind" in arg)) {
      const { value, held } = this.encode(arg);
      for (const one of held) process.keepForActor(actorId, one);
      return wireArgument(value);
    }
    const { entry } = arg as ClusterRef;
    process.keepForActor(actorId, entry);
    if (entry.state !== "inline") process.owner.references.escape(entry);
    return wireArgument(entry);
  }

  #ownObject(value: SimValue, held: readonly Held[]): ObjectEntry {
    const { references } = this.#process.owner;
    const entry = references.create(this.#context, this.#counter++, 0, undefined);
    const isSmall = value.sizeBytes <= MAX_INLINE_BYTES && value.names.length === 0;
    if (isSmall) references.resolveInline(entry, value);
    else this.#process.resolvePut(entry, value, held);
    return entry;
  }

  #refTo(entry: ObjectEntry): Ref {
    this.#process.owner.references.addRef(entry);
    const ref = new ClusterRef(entry);
    this.#live.add(ref);
    return ref;
  }

  #handleTo(link: ActorLink): Handle {
    this.#process.owner.actors.addHandle(link);
    const handle = new ClusterHandle(link);
    this.#live.add(handle);
    return handle;
  }
}
