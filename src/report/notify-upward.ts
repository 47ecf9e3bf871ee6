/**
 * What k3s-lite tells its own service manager (systemd): how far the start is, that it needs more
 * time while it makes progress, that everything is ready, that it stops. A fold over events; sending
 * is `send`'s business. Source: sd_notify(3).
 *
 * Not here: the watchdog (app/service-manager.ts), which is about this process and not about units.
 */
import type { Envelope } from '../event/event.ts';
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

export interface NotifyUpwardOptions {
  readonly clock: Clock;
  /** Lines of one message. */
  send(lines: readonly string[]): void;
  /** Ours: `up --wait` starts another process than the one the manager started. */
  readonly pid: number;
}

export function notifyUpward({ clock, send, pid }: NotifyUpwardOptions): Subscriber & Disposable {
  const model = emptyModel();
  let hasProgress = false;
  let timer: Disposable | undefined;

  const tell = (...lines: readonly string[]) => {
    timer?.[Symbol.dispose]();
    timer = undefined;
    const extension = hasProgress && model.phase !== 'ready' ? [`EXTEND_TIMEOUT_USEC=${String(extendMs * 1000)}`] : [];
    hasProgress = false;
    send([...lines, `STATUS=${statusText(model)}`, ...extension]);
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
          tell('READY=1');
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

/** One that fails and is tried again for ever must not extend the time for ever. */
function isProgress(state: UnitStateName): boolean {
  return isUp(state) || state === 'stopped';
}
