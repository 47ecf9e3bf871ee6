/** `k3s-lite analyze`: where the time of a start went, from its record; as tables, a picture, a trace, a comparison. */
import {
  blame,
  criticalChain,
  diffStarts,
  earlierStarts,
  readStart,
  startPlot,
  startTrace,
  type StartRecord,
} from '../../app/read-starts.ts';
import { exitCode } from '../../error/codes.ts';
import { StartupError } from '../../error/startup-error.ts';
import { nearestName } from '../../kernel/nearest.ts';
import type { CommandRun } from '../command.ts';
import { renderBlame, renderChain, renderDiff } from './analyze-table.ts';
import { placeOf } from './connect.ts';

interface View {
  /** With --json. */
  of(record: StartRecord): unknown;
  render(record: StartRecord, colour: boolean): string;
}

const about = ({ startedAtMs, ready, totalMs }: StartRecord) => ({ startedAtMs, ready, totalMs });

const views: Readonly<Record<string, View>> = {
  blame: { of: (record) => ({ ...about(record), blame: blame(record) }), render: renderBlame },
  'critical-chain': {
    of: (record) => ({ ...about(record), 'critical-chain': criticalChain(record) }),
    render: renderChain,
  },
  plot: { of: (record) => record, render: startPlot },
  trace: { of: startTrace, render: (record) => JSON.stringify(startTrace(record), undefined, 1) },
};

export const run: CommandRun = async (input) => {
  const { io, options, args } = input;
  const [name = '', ...starts] = args;
  const isJson = options['json'] === true;
  const print = (value: unknown, text: () => string) => {
    io.out(`${isJson ? JSON.stringify(value, undefined, 2) : text()}\n`);
    return exitCode.ok;
  };
  const view = viewOf(name, starts);
  const { startsDir } = await placeOf(input);
  if (view === undefined) {
    const [now, before] = [startOf(starts[0] ?? options['start'], 'A'), starts[1]];
    const record = readStart(startsDir, now);
    const earlier = before === undefined ? earlierStarts(startsDir, now) : [readStart(startsDir, startOf(before, 'B'))];
    const diff = diffStarts(record, earlier);
    return print(diff, () => renderDiff(record, diff, io.colour));
  }
  const record = readStart(startsDir, startOf(options['start'], '--start'));
  return print(view.of(record), () => view.render(record, io.colour));
};

/** Undefined: the comparison, which alone looks at several starts. */
function viewOf(name: string, starts: readonly string[]): View | undefined {
  if (name === 'diff') {
    if (starts.length <= 2) return undefined;
    throw new StartupError('ERR_USAGE', 'analyze diff compares two starts: `k3s-lite analyze diff 1 2`', { starts });
  }
  const view = Object.hasOwn(views, name) ? views[name] : undefined;
  if (view === undefined) {
    const known = [...Object.keys(views), 'diff'];
    const nearest = nearestName(name, known);
    const remedy = nearest === undefined ? '' : `; did you mean "${nearest}"?`;
    throw new StartupError('ERR_USAGE', `analyze knows ${known.join(', ')}, not "${name}"${remedy}`, { name });
  }
  if (starts.length === 0) return view;
  throw new StartupError('ERR_USAGE', `say which start with --start: \`k3s-lite analyze ${name} --start 2\``, {
    starts,
  });
}

function startOf(given: unknown, option: string): number {
  if (given === undefined || given === 'latest') return 1;
  if (typeof given === 'string' && /^[1-9]\d{0,5}$/.test(given)) return Number(given);
  const text = typeof given === 'string' ? given : typeof given;
  throw new StartupError('ERR_USAGE', `${option} is "${text}", but must be latest, 1, 2…`, { option });
}
