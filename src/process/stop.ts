/**
 * The stop ladder: signal, wait until the deadline, SIGKILL, verify that nothing is left.
 *
 * It returns the moment everything is gone. While our own child lives nothing is polled: its exit,
 * the cgroup's event, the deadline and `hurry` wake the ladder. For what is not our child the kernel
 * has no event (Node.js has no pidfd): short checks that grow longer.
 */
import { onAbort } from '../kernel/abort.ts';
import type { Clock } from '../kernel/clock.ts';
import { isAlive, type ProcessId, type ProcReader } from './proc-reader.ts';
import type { StopStep } from './process-port.ts';
import { findMembers, type StopTarget } from './scope-members.ts';

/** How long SIGKILL may take; what is alive then sits in uninterruptible sleep and is given back. */
const killWithinMs = 5_000;
const firstCheckMs = 1;
const longestCheckMs = 50;

export interface StopRequest {
  readonly target: StopTarget;
  /** Settles when the main process has ended, when it is our child. */
  readonly exited?: Promise<unknown>;
  /** Synchronously: has it? */
  readonly hasExited?: () => boolean;
  readonly signal: NodeJS.Signals;
  readonly withinMs: number;
  readonly hurry?: AbortSignal | undefined;
  readonly onStep?: StopStep | undefined;
  readonly clock: Clock;
  readonly proc: ProcReader;
  /** For looking through all processes (default: `proc`). */
  readonly search?: ProcReader;
}

/** @returns pids that live on after SIGKILL; empty when the scope is verified empty */
export async function stopProcesses(request: StopRequest): Promise<readonly number[]> {
  const { target, signal, withinMs, hurry, onStep, clock, proc, search } = request;
  using wakeups = wakeupSource(request);
  const isHurried = () => hurry?.aborted === true;

  if (signal !== 'SIGKILL' && !isHurried()) {
    const signalled = new Set<string>();
    const deadlineMs = clock.monotonicMs() + withinMs;
    const sendOnce = (members: readonly ProcessId[]) => {
      const fresh = members.filter((member) => !signalled.has(keyOf(member)));
      if (fresh.length === 0) return;
      // The group first and at once: a member that forks between two signals would be missed.
      if (signalled.size === 0) sendToGroup(target, fresh, signal);
      else for (const member of fresh) send(proc, member, signal);
      for (const member of fresh) signalled.add(keyOf(member));
      onStep?.(
        signal,
        fresh.map(({ pid }) => pid),
      );
    };
    const isGone = await untilGone(
      request,
      wakeups,
      sendOnce,
      () => isHurried() || clock.monotonicMs() >= deadlineMs,
      deadlineMs,
    );
    if (isGone) return [];
  }

  const killDeadlineMs = clock.monotonicMs() + killWithinMs;
  let told = '';
  const kill = (members: readonly ProcessId[]) => {
    const pids = members.map(({ pid }) => pid);
    if (target.scope === 'cgroup') target.cgroup?.kill();
    sendToGroup(target, members, 'SIGKILL');
    if (pids.join() !== told) onStep?.('SIGKILL', pids);
    told = pids.join();
  };
  const isGone = await untilGone(request, wakeups, kill, () => clock.monotonicMs() >= killDeadlineMs, killDeadlineMs);
  return isGone ? [] : findMembers(target, proc, search).map(({ pid }) => pid);

  function sendToGroup(to: StopTarget, members: readonly ProcessId[], name: NodeJS.Signals): void {
    if (to.scope === 'process') {
      for (const member of members) send(proc, member, name);
      return;
    }
    const group = members.filter(({ pid }) => {
      const stat = proc.stat(pid);
      return stat?.pgrp === to.pid && stat.session === to.pid;
    });
    // The group's number cannot have been given away while one of its members lives.
    if (group.length > 0) {
      sendSignal(-to.pid, name);
      // A stopped process does not see a signal until it goes on. Source: systemd does the same.
      if (name !== 'SIGKILL') sendSignal(-to.pid, 'SIGCONT');
    }
    for (const member of members) if (!group.includes(member)) send(proc, member, name);
  }
}

/** Looks at the members whenever something may have changed; `act` gets those that live. False when time is over. */
async function untilGone(
  { target, hasExited, clock, proc, search }: StopRequest,
  wakeups: WakeupSource,
  act: (members: readonly ProcessId[]) => void,
  isOver: () => boolean,
  deadlineMs: number,
): Promise<boolean> {
  let delayMs = firstCheckMs;
  let known: readonly ProcessId[] = [];
  for (;;) {
    // Cheap first: as long as one that is known lives, the others need no search.
    if (!known.some((member) => isAlive(proc, member))) {
      known = findMembers(target, proc, search);
      if (known.length === 0 && search !== undefined) {
        // Others have looked in this turn, too, and what the last one has started since is not in their list.
        await new Promise<void>((resolve) => void clock.soon(resolve));
        known = findMembers(target, proc, search);
      }
      if (known.length === 0) return true;
      act(known);
    }
    if (isOver()) return false;
    const mainLives = hasExited !== undefined && !hasExited();
    // While our own child lives, its exit wakes us: no need to look before the deadline.
    const leftMs = Math.max(0, deadlineMs - clock.monotonicMs());
    await wakeups.next(mainLives ? leftMs : Math.min(delayMs, leftMs));
    if (!mainLives) delayMs = Math.min(delayMs * 2, longestCheckMs);
  }
}

interface WakeupSource extends Disposable {
  /** Resolves at the next event, at the latest after `delayMs`. */
  next(delayMs: number): Promise<void>;
}

function wakeupSource({ target, exited, hurry, clock }: StopRequest): WakeupSource {
  let pending = false;
  let wake: (() => void) | undefined;
  const ring = () => {
    pending = true;
    wake?.();
  };
  void exited?.then(ring);
  const sources = [
    ...(hurry === undefined ? [] : [onAbort(hurry, ring)]),
    ...(target.scope === 'cgroup' && target.cgroup !== undefined ? [target.cgroup.watch(ring)] : []),
  ];
  return {
    next: (delayMs) =>
      new Promise((resolve) => {
        const settle = () => {
          pending = false;
          wake = undefined;
          timer?.[Symbol.dispose]();
          resolve();
        };
        const timer = pending ? undefined : clock.timer(delayMs, settle);
        if (pending) settle();
        else wake = settle;
      }),
    [Symbol.dispose]() {
      for (const source of sources) source[Symbol.dispose]();
    },
  };
}

const keyOf = ({ pid, startTicks }: ProcessId) => `${String(pid)}:${String(startTicks)}`;

/** Signals one process, unless its pid belongs to another one by now. */
function send(proc: ProcReader, member: ProcessId, signal: NodeJS.Signals): void {
  if (proc.stat(member.pid)?.startTicks !== member.startTicks) return;
  sendSignal(member.pid, signal);
  if (signal !== 'SIGKILL') sendSignal(member.pid, 'SIGCONT');
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // ESRCH: it has just ended. EPERM: it changed its user; it is named among those that remain.
  }
}
