/**
 * Start, stop and restart of single units while everything else goes on (design contract 1).
 *
 * What is asked for last counts: each request takes the units it moves, and one that was overtaken
 * does nothing more to them. Not here: stopping everything, reload.
 */
import { StartupError } from '../error/startup-error.ts';
import type { EventStream } from '../event/stream.ts';
import type { UnitGraph } from '../graph/unit-graph.ts';
import { unknownUnitError } from '../graph/unknown-unit.ts';
import type { PendingStops } from './pending-stops.ts';
import { hardDependents, planStop } from './stop-plan.ts';
import type { UnitRunner } from './unit-runner.ts';
import type { Wanted } from './wanted.ts';

/** What a request moves, and what each unit's generation was before: a restart has happened when it is higher. */
export interface Moved {
  readonly units: readonly { readonly unit: string; readonly generation: number }[];
}

export interface UnitControl {
  /** Wants units and what they need up again. @throws ERR_UNKNOWN_UNIT; ERR_CONTROL while everything is being stopped */
  startUnits(units: readonly string[]): Moved;
  /**
   * Stops units, and with `cascade` first what needs them; they stay stopped until they are started again.
   *
   * @throws ERR_UNKNOWN_UNIT; ERR_NEEDED without `cascade` if hard dependents are wanted up; ERR_CONTROL
   */
  stopUnits(units: readonly string[], options?: { readonly cascade?: boolean }): Moved;
  /**
   * Stops units and starts them again; what is stopped is started. Dependents do as their `onLoss` says,
   * with `cascade` they stop first and start again too.
   *
   * @throws ERR_UNKNOWN_UNIT; ERR_CONTROL while everything is being stopped
   */
  restartUnits(units: readonly string[], options?: { readonly cascade?: boolean }): Moved;
}

export interface UnitControlOptions {
  graph(): UnitGraph;
  readonly events: EventStream;
  readonly wanted: Wanted;
  readonly claims: Claims;
  readonly pendingStops: PendingStops;
  runnerOf(unit: string): UnitRunner;
  isClosing(): boolean;
}

export function unitControl(options: UnitControlOptions): UnitControl {
  const { graph, events, wanted, claims, pendingStops, runnerOf, isClosing } = options;
  // One that the user stops is on its way down, also while its dependents are stopped first.
  const isWantedUp = (unit: string) => runnerOf(unit).channel.current.desired === 'up' && !claims.isHeld(unit);
  const stopsAfter = (unit: string) => graph().stopsAfter(unit);
  const check = (units: readonly string[]) => {
    // One that a reload is removing is unknown already: moved once more, it would outlive its removal.
    for (const unit of units) if (!graph().has(unit)) throw unknownUnitError(unit, graph().order);
    if (isClosing()) throw new StartupError('ERR_CONTROL', 'everything is being stopped', { reason: 'stopping' });
  };
  /** As they are now: a reload may remove units while others of the request are being stopped. */
  const runnersOf = (units: readonly string[]) => {
    const runners = new Map(units.map((unit) => [unit, runnerOf(unit)]));
    return (unit: string) => runners.get(unit) ?? runnerOf(unit);
  };
  const movedOf = (units: readonly string[]): Moved => ({
    units: units.map((unit) => ({ unit, generation: runnerOf(unit).channel.current.generation })),
  });
  const tell = (action: 'start' | 'stop' | 'restart', units: readonly string[]) =>
    events.emit({ type: 'control.asked', action, units });

  return {
    startUnits(units) {
      check(units);
      const closure = graph().closure(units);
      const moved = movedOf(closure);
      tell(
        'start',
        closure.filter((unit) => !isWantedUp(unit)),
      );
      claims.take(closure);
      wanted.add(closure);
      for (const unit of closure) runnerOf(unit).want('up');
      return moved;
    },
    stopUnits(units, { cascade = false } = {}) {
      check(units);
      const plan = planStop({ graph: graph(), units, cascade, isWantedUp });
      const moved = movedOf(plan);
      tell('stop', plan);
      const claim = claims.take(plan, { isHeld: true });
      const runner = runnersOf(plan);
      wanted.remove(plan);
      const stop = (unit: string) => claim.stop(runner(unit), { byUser: true });
      void pendingStops.inOrder(plan, stopsAfter, stop, claims.isHeld);
      return moved;
    },
    restartUnits(units, { cascade = false } = {}) {
      check(units);
      const resting = graph().closure(units.filter((unit) => !isWantedUp(unit)));
      // One that is named may need another that is: with `cascade` it starts after that one too.
      const above = new Set(
        cascade ? units.flatMap((unit) => hardDependents({ graph: graph(), units: [unit], isWantedUp })) : [],
      );
      const below = units.filter((unit) => isWantedUp(unit) && !above.has(unit));
      const named = new Set([...units, ...above]);
      const moved = movedOf(graph().order.filter((unit) => named.has(unit)));
      tell(
        'restart',
        moved.units.map(({ unit }) => unit),
      );
      const claim = claims.take([...resting, ...below, ...above]);
      wanted.add(resting);
      for (const unit of resting) runnerOf(unit).want('up');
      const restarted = [...below, ...above];
      const runner = runnersOf(restarted);
      const stop = async (unit: string) => {
        if (above.has(unit)) await claim.stop(runner(unit));
        else if (claim.holds(unit)) runner(unit).restart();
      };
      void pendingStops.inOrder(restarted, stopsAfter, stop, claim.holds).then(() => {
        for (const unit of above) if (claim.holds(unit)) runner(unit).want('up');
      });
      return moved;
    },
  };
}

/** Who moved a unit last. */
export interface Claim {
  holds(unit: string): boolean;
  /** Stops the unit; resolves when it has stopped, or when somebody else has taken it. */
  stop(runner: UnitRunner, options?: { readonly byUser?: boolean }): Promise<void>;
}

export class Claims {
  readonly #owners = new Map<string, symbol>();
  readonly #held = new Set<string>();

  /** The user's last word on the unit was to stop it. */
  readonly isHeld = (unit: string): boolean => this.#held.has(unit);

  take(units: Iterable<string>, { isHeld = false } = {}): Claim {
    const own = Symbol('claim');
    for (const unit of units) {
      this.#owners.set(unit, own);
      if (isHeld) this.#held.add(unit);
      else this.#held.delete(unit);
    }
    const holds = (unit: string) => this.#owners.get(unit) === own;
    const isStopping = (unit: string) => this.#held.has(unit);
    return {
      holds,
      async stop(runner, { byUser = false } = {}) {
        const unit = runner.unit.name;
        // Another stop by the user may have taken it: then that ends it, and is waited for like our own.
        const isEnding = () => holds(unit) || isStopping(unit);
        if (!isEnding()) return;
        if (holds(unit)) runner.want('down', { byUser });
        // Whoever wants it up takes it first, and then its snapshot changes.
        await runner.channel.when(({ state }) => state === 'stopped' || !isEnding());
      },
    };
  }
}
