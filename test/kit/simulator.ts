/**
 * Runs the real executor, probes' rhythm included, over a random graph in a fake world on a fake
 * clock, and judges what happened. The same case always gives the same run. In some cases the
 * supervisor is killed at one of its events, whatever it is doing, and another one adopts what runs on.
 */
import { getEventListeners } from 'node:events';
import { createExecutor } from '../../src/executor/create-executor.ts';
import type { StopReport } from '../../src/executor/executor-api.ts';
import { planAdoption, type AdoptionPlan } from '../../src/executor/plan-adoption.ts';
import type { UnitGraph } from '../../src/graph/unit-graph.ts';
import { fakeClock } from './fake-clock.ts';
import { fakeNotify, fakeProbes } from './fake-probe.ts';
import { fakeProcesses } from './fake-process.ts';
import { isHealedOf, patienceMs, untilHealed } from './healed.ts';
import { createJournal, describeEntry } from './journal.ts';
import { lateUnits } from './late-units.ts';
import { mortal, reachOf } from './mortal.ts';
import { mustBeAdopted } from './must-be-adopted.ts';
import { judge, type Reached } from './observer.ts';
import { randomFrom } from './random.ts';
import { simulatedUser } from './simulated-user.ts';
import { brokenHash, graphOfCase, scriptOf, unitName, withChanges, type SimulationCase } from './simulation-case.ts';

export interface Outcome {
  /** Broken rules, one line each; empty when all is well. */
  readonly violations: readonly string[];
  readonly reached: ReadonlySet<Reached>;
  /** How many events the first supervisor emitted: at each of them it can be killed. */
  readonly events: number;
  /** Everything that happened, for people. */
  story(): string;
}

export async function simulate(simulation: SimulationCase): Promise<Outcome> {
  const { restAtMs, stopAtMs } = simulation;
  const clock = fakeClock(0);
  const journal = createJournal(clock);
  const first = graphOfCase(simulation);
  const notify = fakeNotify();
  const undoMs = (name: string) => simulation.units[Number(name.slice(1))]?.undoMs ?? 0;
  const processes = fakeProcesses({
    clock,
    note: journal.note,
    script: (name, generation, hash) =>
      hash.endsWith(brokenHash)
        ? { spawnError: 'ENOENT' }
        : scriptOf(simulation, Number(name.slice(1)), generation, clock.monotonicMs()),
    undo: (name) => ({ takesMs: undoMs(name), fails: false }),
  });
  const violations: string[] = [];
  const random = randomFrom(simulation.seed);
  const kills = [...simulation.kills];

  /** A supervisor that lives until its kill is due. */
  const live = (graph: UnitGraph, adopted: AdoptionPlan['adopt']) => {
    const kill = kills.shift();
    let events = 0;
    const life = mortal(clock, journal.events, ({ type }) => {
      // Attempts of checks are many and change nothing.
      if (type === 'probe.attempt') return;
      events += 1;
      if (kill === undefined || events <= kill.atEvent) return;
      life.kill();
      processes.killSupervisor();
      notify.forget();
      journal.note({ kind: 'killed' });
      user.forget();
    });
    const reach = reachOf(life, processes, notify);
    const executor = createExecutor({
      graph,
      events: life.events,
      adopted,
      ports: {
        clock: life.clock,
        random,
        ...reach,
        createProbe: fakeProbes(reach.process),
        builtins: new Map([['fake', reach.process.builtin]]),
      },
    });
    return { executor, life, kill, events: () => events };
  };

  const firstSupervisor = live(first, new Map());
  let supervisor = firstSupervisor;
  const isDead = () => supervisor.life.isDead;
  const user = simulatedUser({ simulation, first, executor: () => supervisor.executor, journal, violations });
  const want = (units: readonly string[]) => {
    user.note('start', units);
    supervisor.executor.start(units);
  };
  /** What the user does, unless nobody is there who could hear of it. */
  const at = (atMs: number, act: () => void) => {
    if (stopAtMs !== null && atMs >= stopAtMs) return;
    clock.timer(atMs, () => {
      if (isDead()) return;
      act();
    });
  };
  for (const action of simulation.actions) at(action.atMs, () => user.act(action));
  for (const reload of simulation.reloads) at(reload.atMs, () => user.reload(reload));
  want(restAtMs === null ? first.order : first.order.slice(0, Math.ceil(first.order.length / 2)));
  if (restAtMs !== null) at(restAtMs, () => want(supervisor.executor.graph.order));
  for (const { atMs, unit } of simulation.hints) {
    const name = unitName(unit % simulation.units.length);
    clock.timer(atMs, () => {
      if (isDead() || !supervisor.executor.graph.has(name)) return;
      journal.note({ kind: 'user', action: 'hint', units: [name] });
      supervisor.executor.hint(name, 'test');
    });
  }

  /** The next `up` after a kill, with the files as they are by then. */
  const revive = async () => {
    const changed = new Set(supervisor.kill?.changed.map((index) => unitName(index % simulation.units.length)));
    const graph = withChanges(user.files(), changed);
    const expected = mustBeAdopted(graph, processes.leftovers(), journal.entries);
    const plan = planAdoption(graph, graph.order, processes.leftovers());
    for (const name of expected) {
      if (!plan.adopt.has(name)) violations.push(`${name} runs on and matches, but is not adopted`);
    }
    for (const [name, { hash }] of plan.adopt) {
      if (hash !== graph.unit(name).hash) violations.push(`${name} is adopted, but it has changed`);
    }
    for (const { leftover } of plan.end) while (!processes.end(leftover)) await clock.advance(100);
    journal.note({ kind: 'revived', graph });
    supervisor = live(graph, plan.adopt);
    want(graph.order);
  };

  /** Until the user stops everything, or the supervisor is dead. */
  const beUp = async () => {
    if (stopAtMs === null) {
      const isHealed = () => !user.isReloading() && isHealedOf(supervisor.executor, first, user);
      if ((await untilHealed(simulation, { isHealed, clock, isDead })) || isDead()) return;
      violations.push(`not everything is ready ${String(patienceMs / 1000)} s after the last fault is gone`);
      return;
    }
    await clock.settle();
    while (clock.monotonicMs() < stopAtMs && !isDead()) {
      await clock.advance(Math.min(clock.nextTimerInMs ?? Number.POSITIVE_INFINITY, stopAtMs - clock.monotonicMs()));
    }
  };

  const beDown = async (): Promise<StopReport | undefined> => {
    const hurry = new AbortController();
    journal.note({ kind: 'user', action: 'down', units: [] });
    const stopped = supervisor.executor.stop({ hurry: hurry.signal });
    const { hurryAfterMs } = simulation;
    using _hurry = clock.timer(hurryAfterMs ?? 2 ** 31, () => {
      if (hurryAfterMs !== null) hurry.abort(new Error('hurry'));
    });
    const report = await clock
      .run(Promise.race([stopped, supervisor.life.ended]), patienceMs)
      .catch((error: unknown) => {
        violations.push(`the stop did not end: ${String(error)}`);
        return undefined;
      });
    if (!isDead() && getEventListeners(hurry.signal, 'abort').length > 0) {
      violations.push('a listener is left on the hurry signal');
    }
    return report ?? undefined;
  };

  let report: StopReport | undefined;
  for (;;) {
    await beUp();
    if (!isDead()) report = await beDown();
    if (!isDead()) break;
    await revive();
  }
  // What a test set for later is its own business.
  await clock.advance(20_000);

  const left = processes.alive();
  const isAdmitted = left.length > 0 && (report?.leftovers.length ?? 0) > 0;
  if (left.length > 0 && !isAdmitted) violations.push(`still alive after the stop: ${left.join()}`);
  if (clock.pendingTimers > 0 && !isAdmitted) violations.push(`${String(clock.pendingTimers)} timers are left`);
  if (processes.followers > 0) violations.push(`${String(processes.followers)} listeners are left on logs and checks`);
  if (notify.openSockets.size > 0) violations.push(`notify sockets are left: ${[...notify.openSockets].join()}`);

  const verdict = judge(first, journal.entries);
  const reached = new Set(verdict.reached);
  if (stopAtMs !== null) reached.add('user stop');
  return {
    violations: [...verdict.violations, ...violations, ...lateUnits(simulation, first, verdict.firstReadyMs)],
    reached,
    events: firstSupervisor.events(),
    story: () => journal.entries.map(describeEntry).join('\n'),
  };
}
