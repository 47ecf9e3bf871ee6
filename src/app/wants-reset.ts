/** Whether `up` is to reset the cluster instead. Apart from what does it, which a start need not load. */
import { StartupError } from '../error/startup-error.ts';
import type { Configuration } from './configuration.ts';

/** True when a reset is asked for. @throws StartupError ERR_CONFIG for what has no sense without */
export function wantsReset({ values }: Configuration): boolean {
  if (values['cluster-reset'] === true) return true;
  const alone = ['cluster-reset-restore-path', 'cluster-reset-force', 'dry-run'].filter(
    (name) => values[name] !== undefined && values[name] !== false,
  );
  if (alone.length === 0) return false;
  throw new StartupError('ERR_CONFIG', `--${alone.join(', --')} has no sense without --cluster-reset`, { alone });
}
