/** The graph as data: the same facts as the pictures. */
import type { Need } from '../unit/schema.ts';
import type { UnitStateName } from '../unit/state.ts';
import type { DotOptions } from './to-dot.ts';
import type { UnitGraph } from './unit-graph.ts';

export interface GraphJson {
  readonly units: readonly {
    readonly name: string;
    readonly about: string;
    readonly kind: 'service' | 'task' | 'builtin';
    /** Waits only for units of lower levels. */
    readonly level: number;
    /** Expected milliseconds from its start until everything behind it is ready. */
    readonly tailMs: number;
    readonly needs: readonly Need[];
    readonly state?: UnitStateName;
    readonly degraded?: readonly { readonly unit: string; readonly reason: string }[];
  }[];
  readonly criticalPath?: readonly string[];
}

/** Units in start order. */
export function toGraphJson(graph: UnitGraph, options: DotOptions = {}): GraphJson {
  const live = new Map(options.live?.map((unit) => [unit.unit, unit]));
  const shown = new Set(options.only ?? graph.order);
  const units = graph.levels.flatMap((names, level) =>
    names
      .filter((name) => shown.has(name))
      .map((name) => {
        const { about, kind } = graph.unit(name);
        const now = live.get(name);
        return {
          name,
          about,
          kind,
          level,
          tailMs: graph.tailMs(name),
          needs: graph.needs(name).filter((need) => shown.has(need.unit)),
          ...(now === undefined
            ? {}
            : { state: now.state, degraded: now.degraded.map(({ unit, reason }) => ({ unit, reason })) }),
        };
      }),
  );
  return { units, ...(options.criticalPath === undefined ? {} : { criticalPath: options.criticalPath }) };
}

export function toJson(graph: UnitGraph, options: DotOptions = {}): string {
  return `${JSON.stringify(toGraphJson(graph, options), null, 2)}\n`;
}
