/** The one place where processes read the time. */

/** Milliseconds since the epoch, with fractions; never goes back within a process. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}
