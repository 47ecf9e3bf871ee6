/**
 * The live view as text: a header with the counts, then one row per unit in start order. Pure.
 *
 * What needs attention is always on the screen: when the rows do not suffice, finished units
 * collapse into one row first, then the least urgent ones into the last.
 */
import { createColors } from 'picocolors';
import { rootLine } from '../../error/render.ts';
import type { ReadinessError } from '../../error/readiness-error.ts';
import { printable, shorten, singleLine } from '../../error/text.ts';
import { formatDurationMs } from '../../kernel/duration.ts';
import { unitStates, type UnitStateName } from '../../unit/state.ts';
import { countStates, selfMs, type Model, type UnitView } from '../model.ts';
import { plural, progressText } from '../plain-lines.ts';

export interface TreeOptions {
  readonly columns: number;
  readonly rows: number;
  readonly colour: boolean;
  /** Monotonic milliseconds. */
  readonly nowMs: number;
}

type Paint = (text: string) => string;
type Style = ReturnType<typeof createColors>;

const symbols: Record<UnitStateName, string> = {
  inactive: '·',
  waiting: '○',
  blocked: '⊘',
  starting: '●',
  ready: '✔',
  done: '✔',
  unhealthy: '!',
  backoff: '↻',
  failed: '✖',
  stopping: '●',
  stopped: '■',
};

/** A lower number keeps its row longer. */
const urgency: Record<UnitStateName, number> = {
  failed: 0,
  backoff: 1,
  unhealthy: 1,
  starting: 2,
  stopping: 2,
  waiting: 3,
  blocked: 4,
  inactive: 5,
  stopped: 6,
  ready: 6,
  done: 6,
};

const longestState = Math.max(...unitStates.map((state) => state.length));
/** A longer name is cut. */
const widestName = 32;

/** Lines of at most `columns` characters, at most `rows` of them. */
export function renderTree(model: Model, options: TreeOptions): string[] {
  const style = createColors(options.colour);
  const lines = [header(model, options, style)];
  if (model.phase === 'building') {
    return [
      ...lines,
      ...[...model.building.values()].map((each) => shorten(`  ${progressText(each)}`, options.columns)),
    ];
  }
  const units = [...model.units.values()];
  const nameWidth = Math.min(widestName, Math.max(0, ...units.map(({ name }) => name.length)));
  const blocks = units.map((view) => ({ view, lines: unitLines(view, model, { ...options, nameWidth }, style) }));
  return [...lines, ...fit(blocks, options.rows - 1, model, style)];
}

function header(model: Model, { columns, nowMs }: TreeOptions, style: Style): string {
  const { phase, startedAt, readyAt, downAt } = model;
  const sinceMs = isStopping(model) ? downAt?.monotonicMs : startedAt?.monotonicMs;
  const untilMs = phase === 'ready' ? (readyAt?.monotonicMs ?? nowMs) : nowMs;
  const elapsed = sinceMs === undefined ? '' : formatDurationMs(Math.max(0, untilMs - sinceMs));
  const counts = countsText(countStates(model), isStopping(model));
  const text = shorten(['k3s-lite', phase, elapsed, counts].filter((part) => part !== '').join('  '), columns);
  return style.bold(text);
}

/** `7 of 14 ready, 2 starting`; while everything is being stopped `7 of 14 stopped, 7 ready`. */
function countsText(counts: ReadonlyMap<UnitStateName, number>, stopping: boolean): string {
  const goal: readonly UnitStateName[] = stopping ? ['stopped', 'inactive'] : ['ready', 'done'];
  const sum = (states: Iterable<UnitStateName>) =>
    [...states].reduce((total, state) => total + (counts.get(state) ?? 0), 0);
  const total = sum(counts.keys());
  if (total === 0) return '';
  const others = unitStates.filter((state) => !goal.includes(state) && counts.has(state));
  const rest = others.map((state) => `${String(counts.get(state))} ${state}`);
  return [`${String(sum(goal))} of ${String(total)} ${goal[0] ?? ''}`, ...rest].join(', ');
}

const isStopping = ({ phase }: Model) => phase === 'stopping' || phase === 'stopped';

function unitLines(
  view: UnitView,
  model: Model,
  { columns, nowMs, nameWidth }: TreeOptions & { readonly nameWidth: number },
  style: Style,
): string[] {
  const { name, state, since } = view;
  const paint = paintOf(state, style);
  const isUp = state === 'ready' || state === 'done';
  const timeMs = isUp ? selfMs(view) : nowMs - since.monotonicMs;
  const isAtRest = state === 'inactive' || state === 'stopped';
  const time = timeMs === undefined || isAtRest ? '' : formatDurationMs(Math.max(0, timeMs));
  const left = `${symbols[state]} ${shorten(name, nameWidth).padEnd(nameWidth)} `;
  const middle = `${state.padEnd(longestState)} ${time.padStart(8)}`;
  const detail = detailOf(view, model, nowMs);
  const room = columns - left.length - middle.length - 2;
  const tail = detail === '' || room < 4 ? '' : `  ${shorten(detail, room)}`;
  const row =
    tail === '' ? `${left}${middle}`.trimEnd() : `${left}${middle}${isFailing(state) ? tail : style.dim(tail)}`;
  const lines = [columns < left.length + middle.length ? shorten(`${left}${middle}`, columns) : paint(row)];
  const output = isFailing(state) ? lastOutputLine(view.error) : undefined;
  if (output !== undefined) lines.push(style.dim(shorten(`    ${output}`, columns)));
  return lines;
}

const isFailing = (state: UnitStateName) => state === 'failed' || state === 'backoff' || state === 'unhealthy';

function paintOf(state: UnitStateName, { green, red, yellow, cyan, dim }: Style): Paint {
  switch (state) {
    case 'ready':
    case 'done':
      return green;
    case 'failed':
    case 'blocked':
      return red;
    case 'backoff':
    case 'unhealthy':
      return yellow;
    case 'starting':
    case 'stopping':
      return cyan;
    case 'inactive':
    case 'waiting':
    case 'stopped':
      return dim;
  }
}

function detailOf(view: UnitView, model: Model, nowMs: number): string {
  switch (view.state) {
    case 'waiting':
      return view.waitingFor.length === 0
        ? ''
        : `for ${view.waitingFor.map((gate) => gateText(gate, model)).join(', ')}`;
    case 'blocked':
      return view.error === undefined ? '' : `by ${view.error.detail.reason}: ${rootLine(view.error)}`;
    case 'starting': {
      const { lastCheck, attempts, status } = view;
      if (lastCheck === undefined) return status === undefined ? '' : singleLine(status);
      return singleLine(`${lastCheck.check}: ${lastCheck.outcome} (${plural(attempts, 'attempt')})`);
    }
    case 'backoff':
    case 'failed': {
      const retryMs = view.nextRetryAt && view.nextRetryAt.monotonicMs - nowMs;
      const again = retryMs === undefined ? '' : `again in ${formatDurationMs(Math.max(0, retryMs))}: `;
      return view.error === undefined ? again : `${again}${rootLine(view.error)}`;
    }
    case 'unhealthy':
      return view.error === undefined ? '' : rootLine(view.error);
    case 'ready':
    case 'done': {
      const without = view.degraded.length === 0 ? [] : [`without ${view.degraded.map(({ unit }) => unit).join(', ')}`];
      return [...(view.adopted ? ['adopted'] : []), ...without].join(', ');
    }
    case 'stopping':
      return view.stopSignal === undefined ? '' : `${view.stopSignal} sent`;
    case 'inactive':
    case 'stopped':
      return '';
  }
}

/** A gate that is closed for an unusual reason says so: `etcd (failed)`, `dns (soft)`. */
function gateText({ unit, kind }: UnitView['waitingFor'][number], model: Model): string {
  const target = model.units.get(unit);
  const notes = [kind === 'hard' ? '' : kind, target !== undefined && isFailing(target.state) ? target.state : ''];
  const note = notes.filter((each) => each !== '').join(', ');
  return note === '' ? unit : `${unit} (${note})`;
}

/** The last line that the process wrote, unless the error quotes it already. */
function lastOutputLine(error: ReadinessError | undefined): string | undefined {
  const last = error?.detail.lastLogLines.at(-1)?.trim();
  if (last === undefined || last === '' || error?.message.includes(last) === true) return undefined;
  return printable(last);
}

interface Block {
  readonly view: UnitView;
  readonly lines: readonly string[];
}

/** Chooses what is shown in `room` lines. */
function fit(blocks: readonly Block[], room: number, model: Model, style: Style): string[] {
  const height = (some: readonly Block[]) => some.reduce((sum, { lines }) => sum + lines.length, 0);
  if (height(blocks) <= room) return blocks.flatMap(({ lines }) => lines);
  const isFinished = ({ view: { state } }: Block) =>
    isStopping(model) ? state === 'stopped' || state === 'inactive' : state === 'ready' || state === 'done';

  const collapsed = new Set<Block>();
  let needed = height(blocks) + 1;
  for (const block of blocks.filter(isFinished)) {
    if (needed <= room) break;
    collapsed.add(block);
    needed -= block.lines.length;
  }
  const what = isStopping(model) ? 'stopped' : 'ready';
  const top = collapsed.size === 0 ? [] : [style.green(`✔ ${plural(collapsed.size, 'unit')} ${what}`)];
  const shown = blocks.filter((block) => !collapsed.has(block));
  if (top.length + height(shown) <= room) return [...top, ...shown.flatMap(({ lines }) => lines)];

  const roomLeft = room - top.length - 1;
  const kept = new Set<Block>();
  let used = 0;
  for (const block of shown.toSorted((a, b) => urgency[a.view.state] - urgency[b.view.state])) {
    if (used + block.lines.length > roomLeft) break;
    kept.add(block);
    used += block.lines.length;
  }
  const hidden = new Map<UnitStateName, number>();
  for (const { view } of shown.filter((block) => !kept.has(block))) {
    hidden.set(view.state, (hidden.get(view.state) ?? 0) + 1);
  }
  const more = [...hidden].map(([state, count]) => `${String(count)} ${state}`).join(', ');
  return [
    ...top,
    ...shown.filter((block) => kept.has(block)).flatMap(({ lines }) => lines),
    style.dim(`… and ${more}`),
  ];
}
