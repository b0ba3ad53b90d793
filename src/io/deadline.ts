/**
 * A deadline in this process's own time. It is counted in ten ticks, so that a thread held up by user code for a
 * minute does not blame the peer for it: the whole minute is one tick. Returns the function that lifts it.
 */
export function deadline(ms: number, expired: () => void): () => void {
  const TICKS = 10;
  let ticks = 0;
  const timer = setInterval(() => {
    if (++ticks < TICKS) return;
    clearInterval(timer);
    expired();
  }, ms / TICKS).unref();
  return () => clearInterval(timer);
}
