/** What a reload does: only what changed restarts. */
export interface ReloadPlan {
  /** Units that are gone, in stop order. */
  readonly stop: readonly string[];
  /** Changed units that are wanted up, in start order. */
  readonly restart: readonly string[];
  /** Units to be wanted up for the first time, in start order. */
  readonly start: readonly string[];
  /** Units that only get other edges, or that changed while they are down: no process of theirs is touched. */
  readonly update: readonly string[];
}

/** Nothing is to be done. */
export function isEmptyPlan({ stop, restart, start, update }: ReloadPlan): boolean {
  return stop.length + restart.length + start.length + update.length === 0;
}

/** One line for each kind of step. */
export function describePlan(plan: ReloadPlan): readonly string[] {
  if (isEmptyPlan(plan)) return ['nothing has changed'];
  const line = (what: string, units: readonly string[]) => (units.length === 0 ? [] : [`${what}: ${units.join(', ')}`]);
  return [
    ...line('stop', plan.stop),
    ...line('restart', plan.restart),
    ...line('start', plan.start),
    ...line('take over without a restart', plan.update),
  ];
}
