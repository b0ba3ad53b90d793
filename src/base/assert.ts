import { InvariantError } from "../errors.js";

/**
 * State what must hold. Assertions stay on in production: a broken invariant is a bug of ours, and the sooner it
 * stops a process the less it can spoil.
 *
 * @throws InvariantError with the sentence that does not hold.
 */
export function assert(condition: boolean, sentence: string): asserts condition {
  if (!condition) throw new InvariantError(`invariant broken: ${sentence}`);
}
