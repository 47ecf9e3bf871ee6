/** Certificates as a table: whose, until when. Pure. */
import { createColors } from 'picocolors';
import type { certificatesOf } from '../../app/cluster-certificates.ts';
import { paintedTable } from './painted-table.ts';

type Listing = ReturnType<typeof certificatesOf>;

const dayMs = 86_400_000;

export function certificateTable(
  { certificates, broken }: Listing,
  { nowMs, colour }: { readonly nowMs: number; readonly colour: boolean },
): string {
  const style = createColors(colour);
  const rows = certificates.map(({ service, name, endsMs, isDue, file }) => {
    const left = Math.floor((endsMs - nowMs) / dayMs);
    const isOver = endsMs <= nowMs;
    const state = isOver ? 'expired' : isDue ? 'due' : 'good';
    const paint = isOver ? style.red : isDue ? style.yellow : style.green;
    return { cells: [service, name, new Date(endsMs).toISOString().slice(0, 10), String(left), state, file], paint };
  });
  const header = ['SERVICE', 'NAME', 'ENDS', 'DAYS LEFT', 'STATE', 'FILE'];
  return [
    ...paintedTable({ header, rows, painted: 4, dim: style.dim }),
    ...broken.map(({ file, reason }) => style.red(`${file} cannot be read: ${reason}`)),
  ].join('\n');
}
