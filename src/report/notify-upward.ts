/**
 * What k3s-lite tells its own service manager (systemd): how far the start is, that it needs more
 * time while it makes progress, that everything is ready, that it reloads, that it stops. A fold over
 * events; sending is `send`'s business. Source: sd_notify(3).
 *
 * Not here: the watchdog (app/service-manager.ts), which is about this process and not about units.
 */
import type { Envelope, EventOf } from '../event/event.ts';
import type { Subscriber } from '../event/stream.ts';
import type { Clock } from '../kernel/clock.ts';
import { isUp, type UnitStateName } from '../unit/state.ts';
import { emptyModel, fold, type Model } from './model.ts';

/** How much longer the start or stop may take after each step forward, in milliseconds. A shipped unit may need 90 s for itself. */
const extendMs = 120_000;
/** The status of a start is told at most this often, in milliseconds: systemd reads each message. */
const tellEveryMs = 200;
/** Names in the status; more are counted. */
const namesTold = 3;
/** Characters of the reason why a reload was refused; `k3s-lite reload` and the log have all of it. */
const maxReason = 200;

export interface NotifyUpwardOptions {
  readonly clock: Clock;
  /** Lines of one message. */
  send(lines: readonly string[]): void;
  /** Ours: `up --wait` starts another process than the one the manager started. */
  readonly pid: number;
  /** CLOCK_MONOTONIC in microseconds: the manager compares it with its own. */
  monotonicUsec(): bigint;
}

export function notifyUpward({ clock, send, pid, monotonicUsec }: NotifyUpwardOptions): Subscriber & Disposable {
  const model = emptyModel();
  let hasProgress = false;
  let timer: Disposable | undefined;
  /** A READY=1 before this would end a start that is not over. */
  let isStarted = false;
  /** Until its end READY=1 would say that it has ended. */
  let isReloading = false;
  /** What became of the last reload, if that is worth telling. */
  let lastReload: string | undefined;

  const tell = (...lines: readonly string[]) => {
    timer?.[Symbol.dispose]();
    timer = undefined;
    const isAwaited = isReloading || model.phase !== 'ready';
    const extension = hasProgress && isAwaited ? [`EXTEND_TIMEOUT_USEC=${String(extendMs * 1000)}`] : [];
    hasProgress = false;
    const about = isReloading && model.phase !== 'stopping' ? 'reloading' : lastReload;
    send([...lines, `STATUS=${about === undefined ? '' : `${about}; `}${statusText(model)}`, ...extension]);
  };

  // Also for one that ends before it touches anything: with Type=notify-reload the manager waits for
  // both messages after each SIGHUP. Source: systemd.service(5).
  const beginReload = () => {
    if (!isStarted || isReloading || model.phase === 'stopping') return;
    isReloading = true;
    tell('RELOADING=1', `MONOTONIC_USEC=${String(monotonicUsec())}`);
  };
  const endReload = (result: string | undefined) => {
    lastReload = result;
    if (!isReloading || model.phase === 'stopping') return;
    isReloading = false;
    tell('READY=1');
  };

  return {
    onEvent(envelope: Envelope) {
      fold(model, envelope);
      const { event } = envelope;
      switch (event.type) {
        case 'up.started':
          tell(`MAINPID=${String(pid)}`);
          return;
        case 'up.ready':
          isStarted = true;
          if (!isReloading) tell('READY=1');
          return;
        case 'reload.started':
          beginReload();
          return;
        case 'reload.finished':
          endReload(reloadResult(event));
          return;
        case 'reload.refused':
          // Another one is running, and its end is still to come.
          if (isReloading && isBusy(event)) return;
          beginReload();
          endReload(`reload refused: ${firstLine(event.error.message)}`);
          return;
        case 'down.started':
          hasProgress = true;
          tell('STOPPING=1');
          return;
        case 'unit.state':
          hasProgress ||= event.from !== event.snapshot.state && isProgress(event.snapshot.state);
          timer ??= clock.timer(tellEveryMs, () => tell());
          return;
        default: // Nothing that moves a start.
      }
    },
    [Symbol.dispose]: () => timer?.[Symbol.dispose](),
  };
}

/** "12 of 19 ready; waiting for kube-apiserver". Pure. */
export function statusText(model: Model): string {
  const units = [...model.units.values()];
  const up = units.filter(({ state }) => isUp(state)).length;
  const share = `${String(up)} of ${String(units.length)} ready`;
  if (model.phase === 'stopping') return `stopping; ${share.replace('ready', 'still up')}`;
  // Those that wait only for others say nothing of their own.
  const open = units.filter(({ state, waitingFor }) => !isUp(state) && waitingFor.length === 0).map(({ name }) => name);
  if (open.length === 0) return share;
  const more = open.length > namesTold ? ` and ${String(open.length - namesTold)} more` : '';
  return `${share}; waiting for ${open.slice(0, namesTold).join(', ')}${more}`;
}

/** Undefined when there is nothing that anybody would have to mend. */
function reloadResult({ rolledBack }: EventOf<'reload.finished'>): string | undefined {
  if (rolledBack.length === 0) return undefined;
  return `reload rolled back: ${rolledBack.map(({ unit }) => unit).join(', ')}`;
}

function isBusy({ error }: EventOf<'reload.refused'>): boolean {
  return (error.detail as { readonly reason?: unknown }).reason === 'busy';
}

/** A message is of lines: what follows the first one would be taken for an assignment. */
function firstLine(text: string): string {
  const line = text.split('\n', 1)[0] ?? '';
  return line.length > maxReason ? `${line.slice(0, maxReason - 1)}…` : line;
}

/** One that fails and is tried again for ever must not extend the time for ever. */
function isProgress(state: UnitStateName): boolean {
  return isUp(state) || state === 'stopped';
}
