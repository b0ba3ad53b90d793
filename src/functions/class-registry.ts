/**
 * The classes that were shipped from or to this process, by key: a class is one class on a worker, whichever payload
 * it comes with, and on the way back it is the class that was sent.
 *
 * The key is the hash of the class's content when it was captured first. It stays with the class, so later changes of
 * its static state do not make another class of it.
 */

export interface Identity {
  readonly key: string;
  /** Hash of what the class reaches, at the time. */
  readonly digest: string;
  /** Everything that the class reaches, in the order in which a capture meets it. */
  readonly values: readonly unknown[];
}

export interface KnownClass extends Identity {
  readonly type: CallableFunction;
}

const identities = new WeakMap<object, Identity>();
const byKey = new Map<string, WeakRef<CallableFunction>>();
const collected = new FinalizationRegistry<string>((key) => {
  if (byKey.get(key)?.deref() === undefined) byKey.delete(key);
});

export function knownClass(key: string): KnownClass | undefined {
  const type = byKey.get(key)?.deref();
  const identity = type && identities.get(type);
  return type && identity && { type, ...identity };
}

export function identityOf(type: object): Identity | undefined {
  return identities.get(type);
}

export function registerClass(type: CallableFunction, identity: Identity): void {
  if (!byKey.get(identity.key)?.deref()) collected.register(type, identity.key);
  identities.set(type, identity);
  byKey.set(identity.key, new WeakRef(type));
}

/** A key of its own for a class whose content is that of another class of this process. */
export function freeKey(digest: string): string {
  let key = digest;
  for (let copy = 2; byKey.get(key)?.deref() !== undefined; copy++) key = `${digest}.${copy}`;
  return key;
}
