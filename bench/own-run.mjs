/**
 * A /run in memory, as systemd and most others make it. Where it lies on a disk (many containers), what is
 * written there at each start of a unit would measure how busy that disk is; the folders of the other arms are in
 * memory, too.
 */
import { execFileSync, spawn } from 'node:child_process';
import { statfsSync } from 'node:fs';

/** Source: <linux/magic.h>. */
const tmpfsMagic = 0x0102_1994;

/**
 * Starts this program again in a mount namespace of its own where /run is not in memory and we may.
 *
 * @returns {Promise<number | undefined>} its exit code; undefined: go on here
 */
export async function inOwnRun() {
  if (process.env.K3S_LITE_BENCH_OWN_RUN !== undefined) {
    delete process.env.K3S_LITE_BENCH_OWN_RUN;
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', '/run']);
    return undefined;
  }
  if (process.getuid?.() !== 0 || statfsSync('/run').type === tmpfsMagic) return undefined;
  const again = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const env = { ...process.env, K3S_LITE_BENCH_OWN_RUN: '1' };
  const child = spawn('unshare', ['--mount', '--propagation', 'private', ...again], { stdio: 'inherit', env });
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
  return new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve(signal === null ? code : 130));
    child.once('error', (error) => {
      console.error(`/run is on a disk, and stays so: ${error.message}`);
      resolve(undefined);
    });
  });
}
