/** Everything the executor reaches the world through; the fakes of the test kit implement the same. */
import type { Clock } from '../kernel/clock.ts';
import type { NotifyPort } from '../probe/notify-port.ts';
import type { Probe } from '../probe/probe.ts';
import type { ProbeContext } from '../probe/create-probe.ts';
import type { ProcessPort } from '../process/process-port.ts';
import type { ProbeSpec } from '../unit/probe-schema.ts';
import type { Builtins } from '../unit/builtin.ts';

export interface ExecutorPorts {
  readonly clock: Clock;
  /** Returns [0, 1): jitter. */
  readonly random: () => number;
  readonly process: ProcessPort;
  readonly notify: NotifyPort;
  readonly createProbe: (spec: ProbeSpec, context: ProbeContext) => Probe;
  readonly builtins: Builtins;
}
