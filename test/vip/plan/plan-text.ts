/**
 * The planner's cases as text: nodes and policy on lines of their own, then a line for each address
 * with what is to become of it behind the arrow.
 *
 *   nodes a b:cordoned c:dead d*2 e~1       (state, *capacity, ~penalty, ! fresh)
 *   policy closed pace=1 hour=2 start=1.2   (absent: everything at once, as even as can be)
 *   1 a on=a,b pin=b … -> b pin             (present owner or -, rules; new owner or -, reason, what it waits for)
 */
import type { NodeState } from '../../../src/vip/model.ts';
import type { Plan, PlanAddress, PlanInput, PlanNode, PlanPolicy } from '../../../src/vip/plan/plan-model.ts';

export const evenAtOnce: PlanPolicy = {
  mayRebalance: true,
  startAbove: 1,
  stopBelow: 1,
  restMs: 60_000,
  movesAtOnce: 1_000,
  movesPerHour: 1_000,
};

/** Plans are made at this time. */
export const nowMs = 10_000_000;

export interface PlanCase {
  readonly title: string;
  readonly input: PlanInput;
  /** As they stand in the file, the summary included. */
  readonly lines: readonly string[];
}

/** Cases begin with a line "# title". */
export function readCases(text: string): readonly PlanCase[] {
  return text
    .split(/^# /m)
    .slice(1)
    .map((block) => {
      const [title = '', ...lines] = block.trimEnd().split('\n');
      return readCase(title, lines);
    });
}

function readCase(title: string, lines: readonly string[]): PlanCase {
  let nodes: readonly PlanNode[] = [];
  let policy = evenAtOnce;
  let options: Pick<PlanInput, 'recentMovesAtMs' | 'rebalancing'> = { recentMovesAtMs: [] };
  const addresses: PlanAddress[] = [];
  const owners = new Map<string, string>();
  const moving = new Set<string>();
  for (const line of inputsOf(lines)) {
    const [first = '', ...words] = (line.split('->')[0] ?? '').trim().split(/\s+/);
    if (first === 'nodes') nodes = words.map(nodeOf);
    else if (first === 'policy') {
      policy = words.map(policyOf).reduce<PlanPolicy>((all, one) => ({ ...all, ...one }), evenAtOnce);
      const recent = words.find((word) => word.startsWith('recent='))?.slice('recent='.length);
      options = {
        recentMovesAtMs: recent?.split(',').map((minutes) => nowMs - Number(minutes) * 60_000) ?? [],
        rebalancing: words.includes('rebalancing'),
      };
    } else if (first !== '') {
      const [owner = '-', ...rules] = words;
      addresses.push(addressOf(first, rules));
      if (owner !== '-') owners.set(first, owner);
      if (rules.includes('moving')) moving.add(first);
    }
  }
  return { title, input: { addresses, nodes, owners, moving, policy, nowMs, ...options }, lines };
}

const inputsOf = (lines: readonly string[]) => lines.filter((line) => !line.startsWith('=>'));

function nodeOf(word: string): PlanNode {
  const [, name = '', state = 'ready', capacity = '1', penalty = '0', fresh] =
    /^(\w+)(?::(\w+))?(?:\*([\d.]+))?(?:~(\d+))?(!)?$/.exec(word) ?? [];
  return {
    name,
    state: state as NodeState,
    capacity: Number(capacity),
    penalty: Number(penalty),
    isFresh: fresh === undefined ? undefined : true,
  };
}

function policyOf(word: string): Partial<PlanPolicy> {
  const [name, value = ''] = word.split('=');
  if (name === 'closed') return { mayRebalance: false };
  if (name === 'pace') return { movesAtOnce: Number(value) };
  if (name === 'hour') return { movesPerHour: Number(value) };
  if (name === 'start') return { startAbove: Number(value) };
  if (name === 'stop') return { stopBelow: Number(value) };
  return {};
}

function addressOf(address: string, rules: readonly string[]): PlanAddress {
  const rule = (name: string) => rules.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1);
  const list = (name: string) => rule(name)?.split(',');
  const preferred = list('prefer')?.map((word): [string, number] => {
    const [node = '', weight = '100'] = word.split(':');
    return [node, Number(weight)];
  });
  const eligible = list('on');
  return {
    address,
    weight: Number(rule('weight') ?? 1),
    eligible: eligible && new Set(eligible),
    preferred: preferred && new Map(preferred),
    group: rule('group'),
    together: rule('with'),
    pinnedTo: rule('pin'),
    movedAtMs: rules.includes('rests') ? nowMs - 1_000 : undefined,
  };
}

/** The lines of a case with what a plan says behind the arrows, and a line of what it says of the whole. */
export function caseText({ title, input, lines }: PlanCase, plan: Plan): string {
  const told = (address: string) => [
    ...plan.moves.filter((move) => move.address === address).map(({ reason }) => reason),
    ...plan.waiting
      .filter((move) => move.address === address)
      .map(({ to, reason, until }) => `(${reason} to ${to}, waits: ${until})`),
    ...plan.violations.filter((broken) => broken.address === address).map(({ kind }) => `breaks ${kind}`),
  ];
  const inputLines = inputsOf(lines);
  const width = Math.max(...inputLines.map((line) => (line.split('->')[0] ?? '').trimEnd().length));
  const body = inputLines.map((line) => {
    const given = (line.split('->')[0] ?? '').trimEnd();
    const [address = ''] = given.split(' ');
    if (!input.addresses.some((each) => each.address === address)) return given;
    return [given.padEnd(width), '->', plan.owners.get(address) ?? '-', ...told(address)].join(' ');
  });
  const loads = input.nodes.map(({ name }) => {
    const held = input.addresses.filter(({ address }) => plan.owners.get(address) === name);
    return `${name} ${String(held.reduce((sum, { weight }) => sum + weight, 0))}`;
  });
  const again = plan.againAtMs === undefined ? [] : [`again in ${String((plan.againAtMs - nowMs) / 1000)} s`];
  const summary = [...loads, `${String(plan.moves.length)} moves`, `imbalance ${plan.imbalance.toFixed(2)}`, ...again];
  return [`# ${title}`, ...body, `=> ${summary.join(', ')}`].join('\n');
}
