/** Every picture of the graph by the name of its format. */
import { unreachable } from '../kernel/unreachable.ts';
import { toDot, type DotOptions } from './to-dot.ts';
import { toJson } from './to-json.ts';
import { toText } from './to-text.ts';
import type { UnitGraph } from './unit-graph.ts';

export const graphFormats = ['dot', 'svg', 'text', 'json'] as const;
export type GraphFormat = (typeof graphFormats)[number];

export async function drawGraph(graph: UnitGraph, format: GraphFormat, options: DotOptions = {}): Promise<string> {
  switch (format) {
    case 'dot':
      return toDot(graph, options);
    case 'svg':
      return toSvg(toDot(graph, options));
    case 'text':
      return toText(graph, options);
    case 'json':
      return toJson(graph, options);
    default:
      return unreachable(format);
  }
}

/**
 * DOT to SVG without a system Graphviz: its WebAssembly build, 1.2 MB, is loaded when first asked for.
 *
 * @throws Error when `dot` is not DOT; what {@link toDot} writes always is
 */
export async function toSvg(dot: string): Promise<string> {
  const { instance } = await import('@viz-js/viz');
  return (await instance()).renderString(dot, { format: 'svg' });
}
