/** The cluster's builtins, loaded only for a graph that has some, and exchanged when the settings change. */
import type { Settings } from '../cluster/settings.ts';
import { noticeTo } from '../event/notice.ts';
import type { EventStream } from '../event/stream.ts';
import type { UnitGraph } from '../graph/unit-graph.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Builtin, Builtins } from '../unit/builtin.ts';

export interface BuiltinTable {
  /** The same object always: what is in it changes. */
  readonly builtins: Builtins;
  fill(graph: UnitGraph, settings: Settings): Promise<void>;
  /** Goes back to what was there before the last `fill`. */
  restore(): void;
}

export interface BuiltinPorts {
  readonly clock: Clock;
  readonly events: Pick<EventStream, 'emit'>;
}

export function builtinTable({ clock, events }: BuiltinPorts): BuiltinTable {
  const builtins = new Map<string, Builtin>();
  let before: Builtins = new Map();
  const set = (functions: Builtins) => {
    before = new Map(builtins);
    for (const [name, run] of functions) builtins.set(name, run);
  };
  return {
    builtins,
    async fill(graph, settings) {
      if (!hasBuiltins(graph)) return;
      const { clusterBuiltins } = await import('../cluster/builtins.ts');
      const ports = { clock, notice: noticeTo(events, 'info') };
      const common = clusterBuiltins(settings, ports);
      if (settings.role === 'single') {
        set(common);
        return;
      }
      const { roleBuiltins } = await import('../cluster/join/role-builtins.ts');
      set(new Map([...common, ...roleBuiltins(settings, ports)]));
    },
    restore: () => set(before),
  };
}

function hasBuiltins(graph: UnitGraph): boolean {
  return graph.order.some((name) => {
    const { kind, undo } = graph.unit(name);
    return kind === 'builtin' || undo?.[0]?.startsWith('builtin:') === true;
  });
}
