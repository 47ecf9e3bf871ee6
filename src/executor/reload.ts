/**
 * Takes another graph in place of the present one while units run: what is gone stops, what changed
 * restarts, what is new starts. A changed unit that fails goes back to what it was before.
 *
 * Which units those are is reload-plan's business; that the new graph is sound was checked before.
 */
import type { ReadinessError } from '../error/readiness-error.ts';
import { StartupError } from '../error/startup-error.ts';
import type { ReloadPlan } from '../event/reload-plan.ts';
import type { EventStream } from '../event/stream.ts';
import { replaceUnits } from '../graph/replace-units.ts';
import type { UnitGraph } from '../graph/unit-graph.ts';
import { abortError, linkedAbort } from '../kernel/abort.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Unit } from '../unit/schema.ts';
import { isUp, type UnitSnapshot, type UnitStateName } from '../unit/state.ts';
import { graphFacts } from './graph-facts.ts';
import type { PendingStops } from './pending-stops.ts';
import { planReload } from './reload-plan.ts';
import type { Claim, Claims } from './unit-control.ts';
import type { UnitRunner } from './unit-runner.ts';
import type { Wanted } from './wanted.ts';

export interface RolledBack {
  readonly unit: string;
  /** Why the new definition did not become ready. */
  readonly error: ReadinessError | undefined;
}

export interface ReloadReport {
  readonly plan: ReloadPlan;
  readonly elapsedMs: number;
  readonly rolledBack: readonly RolledBack[];
  /** Changed units of which nothing is known yet: they wait for others, or somebody moved them meanwhile. */
  readonly waiting: readonly string[];
}

export interface ReloadOptions {
  /** Units to be taken for changed although their definition is the same. */
  isAlsoChanged?(unit: string): boolean;
  /** Called before units go back to what they were. */
  onRollback?(units: readonly string[]): void;
}

export interface Reload {
  /** What `reload` would do. */
  planReload(graph: UnitGraph, options?: ReloadOptions): ReloadPlan;
  /** @throws StartupError ERR_CONTROL while another reload runs or everything is being stopped */
  reload(graph: UnitGraph, options?: ReloadOptions): Promise<ReloadReport>;
}

/** What a reload needs of the executor. */
export interface ReloadWorld {
  readonly clock: Clock;
  readonly events: EventStream;
  readonly wanted: Wanted;
  readonly claims: Claims;
  readonly pendingStops: PendingStops;
  graph(): UnitGraph;
  setGraph(graph: UnitGraph): void;
  runnerOf(unit: string): UnitRunner;
  hasRunner(unit: string): boolean;
  addRunner(unit: string): void;
  removeRunner(unit: string): void;
  /** Which units of `graph` were asked for, with what they need. */
  wantedOf(graph: UnitGraph): readonly string[];
  isClosing(): boolean;
}

export function createReload(world: ReloadWorld): Reload {
  let isRunning = false;

  const planOf = (after: UnitGraph, { isAlsoChanged }: ReloadOptions = {}): ReloadPlan => {
    const snapshotOf = (unit: string) => world.runnerOf(unit).channel.current;
    return planReload({
      before: world.graph(),
      after,
      wanted: world.wantedOf(after),
      isSettled: (unit) => world.wanted.has(unit) || world.claims.isHeld(unit),
      isWantedUp: (unit) => snapshotOf(unit).desired === 'up' && !world.claims.isHeld(unit),
      ...(isAlsoChanged === undefined ? {} : { isAlsoChanged }),
    });
  };

  const run = async (after: UnitGraph, options: ReloadOptions): Promise<ReloadReport> => {
    const { clock, events, wanted, claims, runnerOf } = world;
    const sinceMs = clock.monotonicMs();
    const before = world.graph();
    const plan = planOf(after, options);
    const isRestarted = new Set(plan.restart);
    const isShown = (name: string) => wanted.has(name) || plan.start.includes(name);
    const facts = graphFacts(after, after.order.filter(isShown));
    events.emit({ type: 'reload.started', plan, ...facts });

    const leaving = claims.take(plan.stop);
    const changed = claims.take(plan.restart);
    const added = claims.take(plan.start);
    wanted.remove(plan.stop);
    world.setGraph(after);
    for (const name of after.order) if (!world.hasRunner(name)) world.addRunner(name);
    for (const name of after.order) if (!isRestarted.has(name)) redefine(name, after);
    // With its old definition: by that it is stopped and undone. Started again when all of them are down.
    const claimOf = (name: string) => (isRestarted.has(name) ? changed : leaving);
    await world.pendingStops.inOrder(
      [...plan.stop, ...plan.restart],
      (name) => before.stopsAfter(name),
      (name) => claimOf(name).stop(runnerOf(name)),
      (name) => claimOf(name).holds(name),
    );
    giveUpWhenClosing();
    for (const name of plan.stop) world.removeRunner(name);
    for (const name of plan.restart) redefine(name, after);
    wanted.add(plan.start);
    for (const name of plan.restart) wantUp(name, changed);
    // Not those that the user has stopped meanwhile.
    for (const name of plan.start) if (added.holds(name)) runnerOf(name).want('up');

    const outcomes = await Promise.all(plan.restart.map((name) => outcomeOf(name, changed)));
    giveUpWhenClosing();
    const failed = plan.restart.filter((_name, index) => outcomes[index] === 'failed');
    const errors = failed.map((name) => ({ unit: name, error: runnerOf(name).channel.current.lastError }));
    if (failed.length > 0) {
      options.onRollback?.(failed);
      await rollBack(failed, before, changed);
    }
    const report: ReloadReport = {
      plan,
      elapsedMs: clock.monotonicMs() - sinceMs,
      rolledBack: errors,
      waiting: plan.restart.filter((name, index) => outcomes[index] === 'waits' || isTaken(name, outcomes[index])),
    };
    events.emit({ type: 'reload.finished', ...report });
    return report;
  };

  /** Somebody started it anew meanwhile (it may be down for a moment on the way), so that its start says nothing of its definition. */
  const isTaken = (name: string, outcome: string | undefined) =>
    outcome === 'taken' && world.runnerOf(name).channel.current.stoppedByUser !== true;

  const redefine = (name: string, graph: UnitGraph) => {
    world.runnerOf(name).redefine({ unit: graph.unit(name), needs: graph.needs(name), tailMs: graph.tailMs(name) });
  };

  const wantUp = (name: string, claim: Claim) => {
    const runner = world.runnerOf(name);
    if (claim.holds(name)) runner.want('up');
    // Somebody started it while it stopped: it may have been launched by its old definition.
    else if (runner.channel.current.desired === 'up') runner.restart();
  };

  const rollBack = async (names: readonly string[], before: UnitGraph, claim: Claim) => {
    const graph = world.graph();
    const old = names.map((name): Unit => ({ ...before.unit(name), needs: graph.unit(name).needs }));
    const restored = replaceUnits(graph, new Map(old.map((unit) => [unit.name, unit])));
    await world.pendingStops.inOrder(
      names,
      (name) => graph.stopsAfter(name),
      (name) => claim.stop(world.runnerOf(name)),
      claim.holds,
    );
    giveUpWhenClosing();
    world.setGraph(restored);
    for (const name of names) {
      redefine(name, restored);
      wantUp(name, claim);
    }
    await Promise.all(names.map((name) => outcomeOf(name, claim)));
    giveUpWhenClosing();
  };

  /** What became of a new definition. Its time limit is the start's own; waiting for others has the same. */
  const outcomeOf = async (name: string, claim: Claim): Promise<'up' | 'failed' | 'waits' | 'taken'> => {
    const { channel, unit } = world.runnerOf(name);
    const isOver = ({ state }: UnitSnapshot) => settled.has(state) || !claim.holds(name);
    while (!isOver(channel.current)) {
      using limit = linkedAbort();
      using _timer = world.clock.timer(unit.startWithin, () => limit.abort(new Error('it waits for others')));
      try {
        await channel.when((snapshot) => isOver(snapshot) || !waits.has(snapshot.state), { signal: limit.signal });
      } catch (error) {
        if (error !== abortError(limit.signal)) throw error;
        return 'waits';
      }
      await channel.when((snapshot) => isOver(snapshot) || waits.has(snapshot.state));
    }
    if (!claim.holds(name)) return 'taken';
    return isUp(channel.current.state) || channel.current.state === 'unhealthy' ? 'up' : 'failed';
  };

  const giveUpWhenClosing = () => {
    if (world.isClosing()) throw closingError();
  };

  return {
    planReload: planOf,
    async reload(graph, options = {}) {
      if (isRunning) {
        const hint = 'reload again when it has ended: when what it restarts is ready, or has failed and is as before';
        throw new StartupError('ERR_CONTROL', 'another reload is running', { reason: 'busy', hint });
      }
      giveUpWhenClosing();
      isRunning = true;
      try {
        return await run(graph, options);
      } finally {
        isRunning = false;
      }
    },
  };
}

/** A new definition is judged by its first start: one that fails it is not tried again and again. */
const settled: ReadonlySet<UnitStateName> = new Set(['ready', 'done', 'unhealthy', 'backoff', 'failed', 'stopped']);
const waits: ReadonlySet<UnitStateName> = new Set(['waiting', 'blocked']);

export const closingError = () =>
  new StartupError('ERR_CONTROL', 'everything is being stopped', { reason: 'stopping' });
