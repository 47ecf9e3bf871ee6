/** Components as tables for people. Pure. */
import pc from 'picocolors';
import type { BuiltArtefact } from '../../component/build.ts';
import { type ComponentReport, isUsable, type ProgramStatus } from '../../component/report.ts';
import type { Verified } from '../../component/verify.ts';
import { formatDurationMs } from '../../kernel/duration.ts';
import { paintedTable } from './painted-table.ts';

/** One line per program; what is missing or unsupported is told below the table, with the remedy. */
export function renderComponents(report: ComponentReport, colour: boolean): string {
  const { green, red, yellow, dim } = pc.createColors(colour);
  const rows = report.programs.map((each) => ({
    cells: [each.program, version(each), each.status === 'found' ? each.origin : '-', each.role, place(each)],
    paint: each.status === 'missing' ? red : isUsable(each) ? green : yellow,
  }));
  const lines = paintedTable({ header: ['PROGRAM', 'VERSION', 'FROM', 'FOR', 'PATH'], rows, painted: 0, dim });
  return `${[...lines, ...remarks(report)].join('\n')}\n`;
}

function remarks({ programs }: ComponentReport): readonly string[] {
  const lines: string[] = [];
  for (const each of programs) {
    if (each.status === 'found') {
      if (!each.support.supported)
        lines.push(`${each.program} ${version(each)} is not supported: ${each.support.reason}`);
      for (const passed of isUsable(each) ? each.passedOver : []) lines.push(`passed over ${passed}`);
    } else if (each.artefact === undefined) {
      lines.push(`${each.program} is missing: ${each.remedy}`);
    }
  }
  const unbuilt = new Set(programs.filter((each) => !isUsable(each)).flatMap(({ artefact }) => artefact ?? []));
  if (unbuilt.size > 0) lines.push(`to build: k3s-lite components build (${[...unbuilt].join(', ')})`);
  return lines.length === 0 ? [] : ['', ...lines];
}

function version(each: ProgramStatus): string {
  if (each.status === 'missing') return '-';
  return each.version ?? '?';
}

function place(each: ProgramStatus): string {
  return each.status === 'missing' ? 'missing' : each.path;
}

export function renderBuilds(built: readonly BuiltArtefact[], goArch: string | undefined): string {
  if (built.length === 0)
    return 'Nothing to build: every component is there. (--all builds them into the cache anyway.)\n';
  return built
    .map(({ artefact, folder, fresh, record }) => {
      const how = fresh ? `built in ${formatDurationMs(record.elapsedMs)}` : 'was built already';
      return `${artefact}${goArch === undefined ? '' : ` for ${goArch}`}: ${how}, ${folder}\n`;
    })
    .join('');
}

export function renderVerified(verified: readonly Verified[]): string {
  if (verified.length === 0) return 'The cache holds no builds.\n';
  return verified
    .map(({ artefact, goArch, folder, damage }) => {
      const state = damage.length === 0 ? 'as built' : `DAMAGED: ${damage.join('; ')}`;
      return `${artefact} (${goArch}): ${state}, ${folder}\n`;
    })
    .join('');
}
