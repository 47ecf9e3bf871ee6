/**
 * What the settings of virtual IPs mean for their unit, where no variable can say it: flags that are
 * there only when they were given. Pools, windows and times are checked here, with the room that knows them.
 */
import type { Settings } from '../cluster/settings.ts';
import { StartupError } from '../error/startup-error.ts';
import { messageOf } from '../kernel/message-of.ts';
import type { UnitInput } from '../unit/schema.ts';
import { checkTiming, defaultTimes } from '../vip/coordination/timing.ts';
import { parseMaintenanceWindows } from '../vip/plan/voluntary-moves.ts';
import { parsePools, poolOf } from '../vip/service/address-pool.ts';

/** @throws StartupError ERR_CONFIG that lists what is wrong with the pools, windows and times */
export function vipOverrides(settings: Settings): ReadonlyMap<string, Partial<UnitInput>> {
  const mistakes = [
    ...mistakesOf('--vip-pool', () => readPools(settings)),
    ...mistakesOf('--vip-window', () => parseMaintenanceWindows(settings.vipWindow)),
    ...timeMistakes(settings),
  ];
  if (mistakes.length > 0) {
    throw new StartupError('ERR_CONFIG', `cannot use the settings: ${mistakes.join('; ')}`, { mistakes });
  }
  const optional = {
    interface: settings.vipInterface,
    window: settings.vipWindow.length === 0 ? undefined : settings.vipWindow.join('; '),
    election: settings.vipElection,
    balance: settings.vipBalance,
    'lease-duration': settings.vipLeaseDurationMs,
    'renew-deadline': settings.vipRenewDeadlineMs,
    'retry-period': settings.vipRetryPeriodMs,
  };
  const flags = Object.fromEntries(
    Object.entries(optional).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]])),
  );
  return Object.keys(flags).length === 0 ? new Map() : new Map([['vip', { flags }]]);
}

/** A Service could be given it. @throws RangeError also for pools that cannot be read */
function readPools({ vipApiserver, vipPool }: Settings): void {
  const pools = parsePools(vipPool);
  const pool = vipApiserver === undefined ? undefined : poolOf(pools, vipApiserver);
  if (pool === undefined) return;
  throw new RangeError(
    `pool ${pool.name} has ${String(vipApiserver)}, which is --vip-apiserver: no Service may get it`,
  );
}

function mistakesOf(flag: string, read: () => unknown): readonly string[] {
  try {
    read();
    return [];
  } catch (error) {
    return [`${flag}: ${messageOf(error)}`];
  }
}

function timeMistakes({ vipLeaseDurationMs, vipRenewDeadlineMs, vipRetryPeriodMs }: Settings): readonly string[] {
  const checked = checkTiming({
    leaseDurationMs: vipLeaseDurationMs ?? defaultTimes.leaseDurationMs,
    renewDeadlineMs: vipRenewDeadlineMs ?? defaultTimes.renewDeadlineMs,
    retryPeriodMs: vipRetryPeriodMs ?? defaultTimes.retryPeriodMs,
  });
  if (checked.ok) return [];
  // The machine's words are those of the process; a person gives the same flags with `vip-` before them.
  const text = (words: string) => words.replaceAll(/--(?=lease-duration|renew-deadline|retry-period)/g, '--vip-');
  return checked.error.map(({ reason, remedy }) => text(`${reason} (${remedy})`));
}
