/** notify: the process says of itself that it is ready (sd_notify READY=1). Purely event-driven. */
import { oneLine } from './outcome.ts';
import { ProbeFailure, type Probe } from './probe.ts';
import type { NotifySocket } from './notify-port.ts';

export function notifyProbe(socket: NotifySocket): Probe {
  return {
    describe: () => 'notify',
    pace: { kind: 'event' },
    onHint: (wake) =>
      socket.subscribe(() => {
        wake('notify');
      }),
    check() {
      const { ready, stopping, status, errno } = socket.current;
      if (ready && !stopping) return Promise.resolve();
      const says = status === undefined || status === '' ? '' : `: ${oneLine(status)}`;
      const failed = errno === undefined || errno === 0 ? '' : ` (ERRNO=${String(errno)})`;
      const state = stopping ? 'says that it is stopping' : 'no READY=1 yet';
      return Promise.reject(new ProbeFailure(`${state}${failed}${says}`));
    },
  };
}
