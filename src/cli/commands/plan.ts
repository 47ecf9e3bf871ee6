/** `k3s-lite plan [UNIT…]`: what `up` would start, in which order, and what each unit waits for. */
import picocolors from 'picocolors';
import { exitCode, type ExitCode } from '../../error/codes.ts';
import { expectedCriticalPath } from '../../graph/critical-path.ts';
import { expectedTimes, type Expected } from '../../graph/schedule.ts';
import { waits } from '../../graph/start-order.ts';
import { edgeNote } from '../../graph/to-dot.ts';
import { formatDurationMs } from '../../kernel/duration.ts';
import type { Need } from '../../unit/schema.ts';
import type { CommandInput, CommandRun, Io } from '../command.ts';
import { installedGraph, type GraphSource, type LoadedGraph } from './graph-source.ts';

export const run: CommandRun = (input) => plan(input, installedGraph);

interface Step {
  readonly unit: string;
  readonly about: string;
  readonly kind: 'service' | 'task' | 'builtin';
  readonly level: number;
  /** Edges that it waits on. */
  readonly waitsFor: readonly Need[];
  /** Brought in with it and not waited for. */
  readonly brings: readonly string[];
  /** Absent when no earlier start is known. */
  readonly expected?: Expected;
}

export async function plan(input: CommandInput, source: GraphSource): Promise<ExitCode> {
  const { args, io, options } = input;
  const loaded = await source.load(input, args, { isTimed: true });
  const steps = stepsOf(loaded, args);
  const { graph, durationsMs } = loaded;
  const path = durationsMs.size === 0 ? [] : expectedCriticalPath(graph, durationsMs);
  if (options['json'] === true) {
    io.out(`${JSON.stringify({ steps, ...(path.length === 0 ? {} : { criticalPath: path }) }, null, 2)}\n`);
  } else {
    io.out(table(steps, new Set(path), io));
  }
  return exitCode.ok;
}

function stepsOf({ graph, durationsMs }: LoadedGraph, wanted: readonly string[]): Step[] {
  const names = wanted.length === 0 ? graph.order : graph.closure(wanted);
  const times = durationsMs.size === 0 ? undefined : expectedTimes(graph, names, durationsMs);
  const levels = new Map(graph.levels.flatMap((level, index) => level.map((name) => [name, index] as const)));
  return names.map((name) => {
    const { about, kind } = graph.unit(name);
    const needs = graph.needs(name);
    const expected = times?.get(name);
    return {
      unit: name,
      about,
      kind,
      level: levels.get(name) ?? 0,
      waitsFor: needs.filter(waits),
      brings: needs.filter((need) => !waits(need)).map(({ unit }) => unit),
      ...(expected === undefined ? {} : { expected }),
    };
  });
}

function table(steps: readonly Step[], path: ReadonlySet<string>, io: Io): string {
  const { bold, dim } = picocolors.createColors(io.colour);
  const width = Math.max(4, ...steps.map(({ unit }) => unit.length));
  const hasTimes = steps.some(({ expected }) => expected !== undefined);
  const timeText = ({ expected }: Step) =>
    (expected === undefined
      ? ''
      : `${formatDurationMs(expected.startMs)} → ${formatDurationMs(expected.readyMs)}`
    ).padEnd(18);
  const lines = [bold(`level  ${'unit'.padEnd(width)}  ${hasTimes ? 'start → ready     ' : ''}waits for`)];
  for (const step of steps) {
    const needs = step.waitsFor.map(waitText).join(', ');
    const brings = step.brings.length === 0 ? '' : `${needs === '' ? '' : '; '}with ${step.brings.join(', ')}`;
    const mark = path.has(step.unit) ? bold : (text: string) => text;
    const times = hasTimes ? timeText(step) : '';
    const behind = needs === '' && brings === '' ? dim('nothing') : `${needs}${dim(brings)}`;
    lines.push(`${String(step.level).padStart(5)}  ${mark(step.unit.padEnd(width))}  ${times}${behind}`);
  }
  const last = Math.max(...steps.map(({ expected }) => expected?.readyMs ?? 0));
  if (hasTimes) lines.push('', `all ready after about ${formatDurationMs(last)}; ${[...path].join(' → ')}`);
  return `${lines.join('\n')}\n`;
}

function waitText(need: Need): string {
  const notes = [...(need.kind === 'soft' ? ['soft'] : []), ...[edgeNote(need)].filter((note) => note !== '')];
  return notes.length === 0 ? need.unit : `${need.unit} (${notes.join(', ')})`;
}
