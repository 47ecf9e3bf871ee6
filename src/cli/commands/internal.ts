/**
 * `k3s-lite internal WHAT`: services of ours that run as units, off the supervisor's event loop. Not
 * for people: hidden from the help, and their options may change.
 */
import * as z from 'zod';
import { exitCode } from '../../error/codes.ts';
import { StartupError } from '../../error/startup-error.ts';
import type { CommandRun } from '../command.ts';

const optionsSchema = z.object({ dataDir: z.string(), server: z.url(), disable: z.string().default('') });

export const run: CommandRun = async ({ args, options, io, env, signal }) => {
  const [what = ''] = args;
  if (what !== 'manifests') {
    throw new StartupError('ERR_USAGE', `there is no internal service "${what}"; known is manifests`, { what });
  }
  const parsed = optionsSchema.safeParse(options);
  if (!parsed.success) {
    const missing = parsed.error.issues.map(({ path, message }) => `--${path.join('.')}: ${message}`).join('; ');
    throw new StartupError('ERR_USAGE', `cannot run ${what}: ${missing}`, { what });
  }
  const { dataDir, server, disable } = parsed.data;
  const { internalManifests } = await import('../../app/internal-manifests.ts');
  try {
    return await internalManifests({
      dataDir,
      server,
      disabled: disable.split(',').filter((name) => name !== ''),
      env,
      log: (line) => io.out(`${line}\n`),
      signal,
    });
  } catch (error) {
    // Told to end: that is how it ends well.
    if (signal.aborted) return exitCode.ok;
    throw error;
  }
};
