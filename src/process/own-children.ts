/**
 * Pids of the processes that we started and that somebody here waits for: whoever else waits for
 * children (reap-orphans.ts) leaves them alone, or their exit codes would be lost.
 *
 * Every spawn of a long-lived k3s-lite is noted in the same turn of the event loop: nothing is
 * waited for in between.
 */
const pids = new Set<number>();

/** @param ended - settles when its exit has been taken */
export function noteOwnChild(pid: number, ended: Promise<unknown>): void {
  pids.add(pid);
  const forget = () => pids.delete(pid);
  ended.then(forget, forget);
}

export function isOwnChild(pid: number): boolean {
  return pids.has(pid);
}
