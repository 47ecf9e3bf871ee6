/**
 * Checks that ask the fake process layer: a check passes when the process of this very generation
 * answers. `notify` is told at once (a hint), every other kind has to be asked again.
 */
import type { ProbeContext } from '../../src/probe/create-probe.ts';
import type { NotifyPort, NotifySocket, NotifyState } from '../../src/probe/notify-port.ts';
import { ProbeFailure, type Probe } from '../../src/probe/probe.ts';
import { probeKindOf, type ProbeSpec } from '../../src/unit/probe-schema.ts';
import type { FakeProcesses } from './fake-process.ts';

/** Takes the place of `createProbe`. */
export function fakeProbes(processes: FakeProcesses): (spec: ProbeSpec, context: ProbeContext) => Probe {
  return (spec, { unit, pids }) => {
    const kind = probeKindOf(spec) ?? 'none';
    const probe: Probe = {
      describe: () => kind,
      check: () =>
        pids().some((pid) => processes.isAnswering(pid))
          ? Promise.resolve()
          : Promise.reject(new ProbeFailure('does not answer')),
    };
    if (kind !== 'notify') return probe;
    return { ...probe, pace: { kind: 'event' }, onHint: (wake) => processes.onAnswer(unit, () => wake('notify')) };
  };
}

const silent: NotifyState = {
  ready: false,
  stopping: false,
  status: undefined,
  mainPid: undefined,
  extendedUntilMs: undefined,
  watchdogAtMs: undefined,
  errno: undefined,
};

/** Notify sockets that only count themselves; {@link fakeProbes} tells readiness by other means. */
export function fakeNotify(): NotifyPort & { readonly openSockets: ReadonlySet<string>; forget(): void } {
  const openSockets = new Set<string>();
  const openAt = (path: string, current: NotifyState): NotifySocket => {
    openSockets.add(path);
    return {
      path,
      current,
      subscribe: () => ({ [Symbol.dispose]: () => undefined }),
      [Symbol.dispose]: () => void openSockets.delete(path),
    };
  };
  return {
    openSockets,
    /** The supervisor was killed: its sockets are closed. */
    forget: () => openSockets.clear(),
    open: (unit, generation) => openAt(`/run/notify/${unit}.${String(generation)}`, silent),
    reopen: (path, heard) => openAt(path, { ...silent, ...heard }),
  };
}
