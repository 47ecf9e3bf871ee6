/**
 * What of kube-controller-manager's settings counts for the servers that judge nodes while none lives: a node is given
 * up after the same time, however that was set. Where controllers elect no leader, or by a Lease of another name,
 * nobody can see whether one lives, and nodes are left to it.
 */
import { parseDurationMs } from '../kernel/duration.ts';
import { changedUnit } from '../unit/changed-unit.ts';
import type { LoadedUnits } from '../unit/load-units.ts';
import type { Unit } from '../unit/schema.ts';

/** The same name in both units. */
const grace = 'node-monitor-grace-period';

export function withNodeMonitorGrace(loaded: LoadedUnits): LoadedUnits {
  const controllers = loaded.units.find(({ name }) => name === 'kube-controller-manager');
  const value = controllers && graceOf(controllers.flags);
  if (value === undefined) return loaded;
  const units = loaded.units.map((unit) =>
    unit.name === 'join-server' ? changedUnit(unit, { flags: { ...unit.flags, [grace]: value } }) : unit,
  );
  return { ...loaded, units };
}

/** Undefined: as it is for all. What is no duration kube-controller-manager refuses itself. */
function graceOf(flags: Unit['flags']): string | undefined {
  const hasUsualLease = flags['leader-elect'] !== 'false' && flags['leader-elect-resource-name'] === undefined;
  if (!hasUsualLease) return 'never';
  const given = flags[grace];
  return typeof given === 'string' && parseDurationMs(given) !== undefined ? given : undefined;
}
