import { readFile, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { serverStates } from '../../src/balancer/routing-state.ts';
import { rulesOf, serverInputs, type ServerInput } from '../../src/balancer/server-table.ts';
import { situations, walk } from './server-fixture.ts';

type Row = Partial<Record<ServerInput, string>>;

const dropped = { dropped: 'invalid + close as removed' };
const overtaken = 'close as takeover';
const silenced = 'close as silent';
const silent = { 'heartbeat lost': `failed + ${silenced}` };
const silentAndIdle = { 'heartbeat lost': 'failed' };

/** Every transition there is. What is not written here must change nothing: the whole cross product is walked. */
const transitions: Record<string, Row> = {
  invalid: { listed: 'unchecked', defaulted: 'standby', 'last closed': 'gone' },
  failed: { dropped: 'gone', 'dial ok': 'recovering', 'dial late': 'recovering', 'check ok': 'recovering' },
  'failed, with connections': {
    ...dropped,
    'dial ok': 'recovering',
    'dial late': 'recovering',
    'check ok': 'recovering',
    'heartbeat lost': `failed + ${silenced}`,
    'rival active': `failed + ${overtaken}`,
    'better found': `failed + ${overtaken}`,
  },
  'failed, default': {
    dropped: 'standby',
    'dial ok': 'recovering',
    'dial late': 'recovering',
    'check ok': 'recovering',
  },
  'failed, by a check': { dropped: 'gone', 'check ok': 'recovering' },
  'failed, by a silent check': {
    ...dropped,
    'check ok': 'recovering',
    'heartbeat lost': `failed + ${silenced}`,
    'rival active': `failed + ${overtaken}`,
    'better found': `failed + ${overtaken}`,
  },
  'failed, unheard': { dropped: 'gone' },
  standby: { listed: 'unchecked', undefaulted: 'gone' },
  'standby, with connections': {
    listed: 'unchecked',
    undefaulted: 'invalid + close as removed',
    'heartbeat lost': `standby + ${silenced}`,
    'rival active': `standby + ${overtaken}`,
    'better found': `standby + ${overtaken}`,
  },
  unchecked: {
    ...silentAndIdle,
    dropped: 'gone',
    'dial ok': 'recovering',
    'dial late': 'recovering',
    'dial failed': 'failed',
    'check ok': 'recovering',
  },
  'unchecked, with connections': {
    ...silent,
    ...dropped,
    'dial ok': 'recovering',
    'dial late': 'recovering',
    'dial failed': 'failed',
    'check ok': 'recovering',
    'rival active': `unchecked + ${overtaken}`,
  },
  'unchecked, default': {
    ...silentAndIdle,
    dropped: 'standby',
    'dial ok': 'recovering',
    'dial late': 'recovering',
    'dial failed': 'failed',
    'check ok': 'recovering',
  },
  recovering: {
    ...silentAndIdle,
    dropped: 'gone',
    'dial failed': 'failed',
    'check failed': 'failed',
    'check ok': 'preferred',
  },
  'recovering, with connections': {
    ...silent,
    ...dropped,
    'dial failed': 'failed',
    'check failed': 'failed',
    'check ok': 'active',
    'rival active': `recovering + ${overtaken}`,
  },
  'recovering, default': {
    ...silentAndIdle,
    dropped: 'standby',
    'dial failed': 'failed',
    'check failed': 'failed',
    'check ok': 'preferred',
  },
  healthy: {
    ...silentAndIdle,
    dropped: 'gone',
    'dial ok': 'active',
    'dial failed': 'failed',
    'check failed': 'failed',
  },
  'healthy, with connections': {
    ...silent,
    ...dropped,
    'dial ok': 'active',
    'dial failed': 'failed + close as failed',
    'check failed': 'failed + close as failed',
    'rival active': `healthy + ${overtaken}`,
  },
  'healthy, default': {
    ...silentAndIdle,
    dropped: 'standby',
    'dial ok': 'active',
    'dial failed': 'failed',
    'check failed': 'failed',
  },
  'healthy, breaking': {
    ...silent,
    ...dropped,
    'dial ok': 'active',
    'dial failed': 'failed + close as failed',
    'check failed': 'failed + close as failed',
    'connection broken': 'failed + close as failed',
    'rival active': `healthy + ${overtaken}`,
  },
  preferred: {
    ...silentAndIdle,
    dropped: 'gone',
    'dial ok': 'active',
    'dial failed': 'failed',
    'check failed': 'failed',
  },
  'preferred, with connections': {
    ...silent,
    ...dropped,
    'dial ok': 'active',
    'dial failed': 'failed + close as failed',
    'check failed': 'failed + close as failed',
    'rival active': `preferred + ${overtaken}`,
  },
  'preferred, default': {
    ...silentAndIdle,
    dropped: 'standby',
    'dial ok': 'active',
    'dial failed': 'failed',
    'check failed': 'failed',
  },
  'preferred, for long': {
    ...silentAndIdle,
    dropped: 'gone',
    'dial ok': 'active',
    'dial failed': 'failed',
    'check ok': 'healthy',
    'check failed': 'failed',
  },
  'preferred, breaking': {
    ...silent,
    ...dropped,
    'dial ok': 'active',
    'dial failed': 'failed + close as failed',
    'check failed': 'failed + close as failed',
    'connection broken': 'failed + close as failed',
    'rival active': `preferred + ${overtaken}`,
  },
  active: {
    ...silent,
    ...dropped,
    'dial slow': 'active + suspect',
    'fell silent': 'active + suspect',
    'connection broken': 'active + suspect',
    'dial failed': 'failed + close as failed',
    'check failed': 'failed + close as failed',
    'rival active': `preferred + ${overtaken}`,
  },
  'active, idle': {
    ...silentAndIdle,
    dropped: 'gone',
    'dial slow': 'active + suspect',
    'fell silent': 'active + suspect',
    'connection broken': 'active + suspect',
    'dial failed': 'failed',
    'check failed': 'failed',
    'rival active': 'preferred',
  },
  'active, suspect': {
    'heartbeat lost': `failed + trusted + ${silenced}`,
    dropped: 'invalid + trusted + close as removed',
    'dial ok': 'active + trusted',
    'dial late': 'active + trusted',
    'dial failed': 'failed + trusted + close as failed',
    'check ok': 'active + trusted',
    'check failed': 'failed + trusted + close as failed',
    'rival active': `preferred + trusted + ${overtaken}`,
  },
  'active, default': {
    ...silent,
    dropped: 'standby + close as removed',
    'dial slow': 'active + suspect',
    'fell silent': 'active + suspect',
    'connection broken': 'active + suspect',
    'dial failed': 'failed + close as failed',
    'check failed': 'failed + close as failed',
    'rival active': `preferred + ${overtaken}`,
  },
  'active, never checked': {
    ...dropped,
    'dial failed': 'failed + close as failed',
    'dial slow': 'active + suspect',
    'check failed': 'failed + close as failed',
    ...silent,
    'rival active': `preferred + ${overtaken}`,
  },
  'active, breaking': {
    ...silent,
    ...dropped,
    'dial slow': 'active + suspect',
    'fell silent': 'active + suspect',
    'dial failed': 'failed + close as failed',
    'check failed': 'failed + close as failed',
    'connection broken': 'failed + close as failed',
    'rival active': `preferred + ${overtaken}`,
  },
};

const cross = [...situations.keys()].flatMap((from) => serverInputs.map((input) => [from, input] as const));

describe('[L2] the table of a server', () => {
  test.each(cross)('%s, on "%s", goes where the table says', (from, input) => {
    expect(walk(from, input)).toBe(transitions[from]?.[input] ?? '·');
  });

  test('every state is in a situation, and every rule is taken by one', () => {
    const states = new Set([...situations.values()].map(({ state }) => state));
    expect([...states].sort()).toEqual([...serverStates].sort());
    const untaken = serverStates.flatMap((state) =>
      serverInputs.flatMap((input) => {
        const wanted = new Set(rulesOf(state, input).map((rule) => rule.to));
        const reached = new Set(
          [...situations]
            .filter(([, server]) => server.state === state)
            .map(([name]) => transitions[name]?.[input]?.split(' ')[0]),
        );
        return [...wanted].filter(
          (to) => !reached.has(to === 'claims active' ? 'active' : to === 'invalid' ? 'invalid' : to),
        );
      }),
    );
    expect(untaken).toEqual([]);
  });
});

test('the committed drawing of the transitions is the one that the table makes', async () => {
  const file = new URL('transitions.golden.md', import.meta.url);
  if (process.env['UPDATE_GOLDEN'] === '1') await writeFile(file, tableText());
  expect(await readFile(file, 'utf8')).toBe(tableText());
});

function tableText(): string {
  const rows = cross.flatMap(([from, input]) => {
    const [to = '·', ...effects] = walk(from, input).split(' + ');
    return to === '·' ? [] : [`| ${from} | ${input} | ${to} | ${effects.join(', ')} |`];
  });
  return `${['| state | input | next state | effect |', '| --- | --- | --- | --- |', ...rows].join('\n')}\n`.replaceAll(
    '|  |',
    '| |',
  );
}
