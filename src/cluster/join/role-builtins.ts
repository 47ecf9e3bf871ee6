/** The builtins of a machine that is one of several; loaded for such only. */
import type { Builtins } from '../../unit/builtin.ts';
import type { ClusterPorts } from '../builtins.ts';
import { removePodRoutes } from '../pod-routes/kernel-routes.ts';
import type { Settings } from '../settings.ts';
import { agentBuiltins } from './agent-builtins.ts';
import { serverBuiltins } from './server-builtins.ts';

export function roleBuiltins(settings: Settings, ports: ClusterPorts): Builtins {
  const ofRole = settings.role === 'agent' ? agentBuiltins(settings, ports) : serverBuiltins(settings, ports);
  return new Map(Object.entries({ ...ofRole, 'remove-pod-routes': removePodRoutes }));
}
