/** The builtins that the shipped units run, by the name that stands in their `run`. */
import type { Builtin, Builtins } from '../executor/builtin-port.ts';
import type { Clock } from '../kernel/clock.ts';
import { certificatesBuiltin } from './certificates.ts';
import { kubeconfigsBuiltin } from './kubeconfigs.ts';
import type { Settings } from './settings.ts';

export interface ClusterPorts {
  readonly clock: Clock;
}

export function clusterBuiltins(settings: Settings, { clock }: ClusterPorts): Builtins {
  const table: Record<string, Builtin> = {
    certificates: certificatesBuiltin(settings, clock),
    kubeconfigs: kubeconfigsBuiltin(settings),
  };
  return new Map(Object.entries(table));
}
