/** What nft is told and tells, and how it is followed. On real packets: test/cluster/vip-traffic.test.ts. */
import { describe, expect, test } from 'vitest';
import type { RunProgram } from '../../../src/vip/actuate/kernel-network.ts';
import { followTraffic, measureEveryMs } from '../../../src/vip/traffic/follow-traffic.ts';
import { countedIn, meterRules, trafficMeter, type TrafficMeter } from '../../../src/vip/traffic/traffic-meter.ts';
import { fakeClock } from '../../kit/fake-clock.ts';

const never = new AbortController().signal;
const answer = (...elements: readonly (readonly [string, number])[]) =>
  JSON.stringify({
    nftables: [
      { metainfo: {} },
      {
        set: {
          name: 'ipv4',
          elem: elements.map(([val, bytes]) => ({ elem: { val, counter: { packets: 1, bytes } } })),
        },
      },
      { set: { name: 'ipv6' } },
    ],
  });

test('only what differs is changed: counters of the others go on', () => {
  const rules = meterRules(new Set(['10.0.0.1', '10.0.0.2', 'fd00::1']), new Set(['10.0.0.2', '10.0.0.3', 'fd00::2']));
  expect(rules.split('\n').filter((line) => line.includes(' element '))).toEqual([
    'delete element inet k3s-lite-vip ipv4 { 10.0.0.1 }',
    'delete element inet k3s-lite-vip ipv6 { fd00::1 }',
    'add element inet k3s-lite-vip ipv4 { 10.0.0.3 }',
    'add element inet k3s-lite-vip ipv6 { fd00::2 }',
  ]);
});

test('what is no answer of nft is refused', () => {
  expect(() => countedIn('Error: syntax')).toThrow('nft gave no answer that we know');
});

describe('the meter', () => {
  /** `listed`: what nft tells; undefined: there is no table. */
  function meter(listed: string | undefined, refuses = false) {
    const written: string[] = [];
    const run: RunProgram = ({ input }) => {
      if (input !== undefined) written.push(input);
      const isOk = input === undefined ? listed !== undefined : !refuses;
      const exit = { kind: 'code', code: isOk ? 0 : 1 } as const;
      return Promise.resolve({ exit, stdout: listed ?? '', stderr: isOk ? '' : 'Error: no\nmore' });
    };
    return { written, meter: trafficMeter(run) };
  }

  test('reads, and writes nothing while it counts what it should', async () => {
    const { written, meter: one } = meter(answer(['10.0.0.1', 7], ['10.0.0.2', 0]));
    expect([...(await one.read(['10.0.0.1', '10.0.0.2'], never))]).toEqual([
      ['10.0.0.1', 7],
      ['10.0.0.2', 0],
    ]);
    expect(written).toEqual([]);
  });

  test('counts what is new from now on, and tells nothing of it yet', async () => {
    const { written, meter: one } = meter(answer(['10.0.0.1', 7], ['10.0.0.9', 3]));
    expect([...(await one.read(['10.0.0.1', '10.0.0.2'], never))]).toEqual([['10.0.0.1', 7]]);
    expect(written).toHaveLength(1);
  });

  test('where it may not, says why', async () => {
    const { meter: one } = meter(undefined, true);
    await expect(one.read(['10.0.0.1'], never)).rejects.toThrow('traffic cannot be counted: nft: Error: no');
    await one.end();
  });
});

test('it is measured again and again, and a fault is told until it is over', async () => {
  const clock = fakeClock();
  const end = new AbortController();
  const told: (string | undefined)[] = [];
  const levels: (readonly (readonly [string, number])[])[] = [];
  let reads = 0;
  const meter: TrafficMeter = {
    read() {
      reads += 1;
      return reads === 2
        ? Promise.reject(new Error('nft is not there'))
        : Promise.resolve(new Map([['10.0.0.1', reads * 1_000_000]]));
    },
    end: () => Promise.resolve(),
  };
  const following = followTraffic({
    meter,
    held: () => ['10.0.0.1'],
    clock,
    onLevels: (each) => levels.push([...each]),
    onFault: (fault) => told.push(fault),
    signal: end.signal,
  });
  for (let time = 0; time < 4; time += 1) await clock.advance(measureEveryMs);
  end.abort(new Error('it is over'));
  await expect(following).rejects.toThrow('it is over');
  expect(told.slice(0, 4)).toEqual([undefined, 'nft is not there', undefined, undefined]);
  expect(levels[0]).toEqual([]);
  expect(levels.at(-1)).toHaveLength(1);
});
