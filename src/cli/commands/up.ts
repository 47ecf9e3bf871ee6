/** `k3s-lite up [UNIT…]`. */
import { up } from '../../app/up.ts';
import type { CommandRun } from '../command.ts';
import { configurationOf } from '../configuration-of.ts';

/** With --wait and without --timeout. Source: the flag's help. */
const defaultWait = '5m';

export const run: CommandRun = async (input) => {
  const { args, rest = [], io, env, cwd, signal } = input;
  const configuration = await configurationOf(input);
  if (configuration.values['wait'] !== true) {
    return up({
      configuration,
      units: args,
      mainArguments: rest,
      env,
      cwd,
      io,
      signal,
      isAwaited: process.connected,
      onReady: tellWaiting,
    });
  }
  const { detachedUp } = await import('../../app/detached-up.ts');
  const own = process.argv.slice(1, rest.length === 0 ? undefined : -rest.length - 1);
  const words = own.filter((word) => word !== '--wait');
  const timeout = configuration.values['timeout'] === undefined ? ['--timeout', defaultWait] : [];
  const argv = [...words, ...timeout, ...(rest.length === 0 ? [] : ['--', ...rest])];
  return detachedUp({ argv, paths: configuration.paths, env: { ...env, K3S_LITE_WAIT: 'false' }, out: io.out, signal });
};

/** The `up --wait` that started us listens (`process.connected`); otherwise there is no channel. It may have been killed meanwhile. */
function tellWaiting(): void {
  if (process.connected) process.send?.('ready', undefined, undefined, () => undefined);
}
