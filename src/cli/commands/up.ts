/** `k3s-lite up [UNIT…]`. */
import { wantsReset } from '../../app/wants-reset.ts';
import { up } from '../../app/up.ts';
import { StartupError } from '../../error/startup-error.ts';
import type { CommandRun } from '../command.ts';
import { configurationOf } from '../configuration-of.ts';

/** With --wait and without --timeout. Source: the flag's help. */
const defaultWait = '5m';

export const run: CommandRun = async (input) => {
  const { args, rest = [], io, env, cwd, signal } = input;
  const configuration = await configurationOf(input);
  const { values, paths } = configuration;
  if (wantsReset(configuration)) {
    const { clusterReset } = await import('../../app/cluster-reset.ts');
    return clusterReset({ configuration, env, cwd, out: io.out, signal });
  }
  const isWaiting = values['wait'] === true;
  if (isWaiting && values['detach'] === true) {
    throw new StartupError(
      'ERR_USAGE',
      '--wait and --detach exclude each other: --wait detaches too, once all is ready',
      {},
    );
  }
  if (!isWaiting && values['detach'] !== true) {
    const readConfiguration = () => configurationOf(input);
    const tellers = { onListening: () => tell('listening'), onReady: () => tell('ready') };
    // Who detaches does not wait for it, though it listens for a moment.
    const isAwaited = process.connected && env['K3S_LITE_DETACH'] === undefined;
    const asked = { units: args, mainArguments: rest };
    return up({ configuration, readConfiguration, ...asked, env, cwd, io, signal, isAwaited, ...tellers });
  }
  const { detachedUp } = await import('../../app/detached-up.ts');
  const own = process.argv.slice(1, rest.length === 0 ? undefined : -rest.length - 1);
  const words = own.filter((word) => word !== '--wait' && word !== '--detach');
  const timeout = isWaiting && values['timeout'] === undefined ? ['--timeout', defaultWait] : [];
  return detachedUp({
    argv: [...words, ...timeout, ...(rest.length === 0 ? [] : ['--', ...rest])],
    until: isWaiting ? 'ready' : 'listening',
    paths,
    env: { ...env, K3S_LITE_WAIT: 'false', ...(isWaiting ? {} : { K3S_LITE_DETACH: 'false' }) },
    out: io.out,
    onDetached({ pid, logFile }) {
      io.out(
        values['json'] === true
          ? `${JSON.stringify({ pid, dataDir: paths.dataDir, log: logFile })}\n`
          : `k3s-lite runs with pid ${String(pid)}; what it says is in ${logFile}\n`,
      );
    },
    signal,
  });
};

/** The `up --wait` or `up --detach` that started us listens; otherwise there is no channel. It may have been killed meanwhile. */
function tell(message: 'listening' | 'ready'): void {
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}
