/** The last words of a start and of a stop. Pure. */
import { createColors } from 'picocolors';
import { wrapWords } from '../error/text.ts';
import { formatDurationMs } from '../kernel/duration.ts';
import { plural } from './plain-lines.ts';

export interface ReadySummary {
  readonly totalMs: number;
  readonly units: number;
  /** How many of them an earlier k3s-lite had started. */
  readonly adopted?: number;
  readonly nodeName?: string | undefined;
  readonly kubeconfig?: string | undefined;
  /** The critical chain, first to last. */
  readonly chain?: readonly { readonly unit: string; readonly selfMs: number }[] | undefined;
  /** Units that run without something. */
  readonly degraded?: readonly { readonly unit: string; readonly without: readonly string[] }[] | undefined;
  /** Further lines: what root would add, how to use the cluster. */
  readonly notes?: readonly string[] | undefined;
}

export interface SummaryStyle {
  readonly colour: boolean;
  readonly width?: number | undefined;
}

/**
 * ```
 * ready in 8.2 s: 14 units
 *   node            box
 *   kubeconfig      /etc/k3s-lite/k3s-lite.yaml
 *   critical chain  certificates 0.12 s → etcd 0.44 s → …
 * ```
 */
export function renderReadySummary(facts: ReadySummary, { colour, width = 100 }: SummaryStyle): string {
  const { green, bold, dim, yellow } = createColors(colour);
  const { totalMs, units, adopted = 0, nodeName, kubeconfig, chain = [], degraded = [], notes = [] } = facts;
  const kept = adopted === 0 ? '' : `, adopted ${plural(adopted, 'unit')}`;
  const lines = [green(bold(`ready in ${formatDurationMs(totalMs)}: ${plural(units, 'unit')}${kept}`))];
  const row = (label: string, text: string) => {
    for (const [at, line] of wrapWords(text, Math.max(20, width - 18)).entries()) {
      lines.push(`  ${dim((at === 0 ? label : '').padEnd(14))}  ${line}`);
    }
  };
  if (nodeName !== undefined) row('node', nodeName);
  if (kubeconfig !== undefined) row('kubeconfig', kubeconfig);
  if (chain.length > 0) {
    row('critical chain', chain.map(({ unit, selfMs }) => `${unit} ${formatDurationMs(selfMs)}`).join(' → '));
  }
  for (const { unit, without } of degraded) row('degraded', yellow(`${unit} runs without ${without.join(', ')}`));
  for (const note of notes) lines.push(`  ${note}`);
  return lines.join('\n');
}

export interface DownSummary {
  readonly elapsedMs: number;
  readonly leftovers: readonly string[];
}

export function renderDownSummary({ elapsedMs, leftovers }: DownSummary, { colour }: SummaryStyle): string {
  const { green, red } = createColors(colour);
  if (leftovers.length === 0) return green(`stopped in ${formatDurationMs(elapsedMs)}, nothing is left`);
  return [
    red(`stopped in ${formatDurationMs(elapsedMs)}, but ${plural(leftovers.length, 'thing')} could not be cleared:`),
    ...leftovers.map((line) => `  ${line}`),
  ].join('\n');
}
