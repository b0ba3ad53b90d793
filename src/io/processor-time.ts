/** What work of this process costs, where the clock would count what others do meanwhile. */

/** Milliseconds of processor time that `work` takes, all threads of the process together. */
export function processorMs(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}
