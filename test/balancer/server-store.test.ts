import { describe, expect, test } from 'vitest';
import { maxAgeMs, readStore, storeText } from '../../src/balancer/server-store.ts';
import { Routing } from './routing-kit.ts';

const [a, b] = ['10.0.0.1:6443', '10.0.0.2:6443'] as const;
const nowMs = Date.UTC(2026, 0, 1);

const routing = () => new Routing().input({ type: 'default', address: a }).update(b, a);
const text = storeText(routing().state, nowMs);

describe('the stored list', () => {
  test('[k3s 20] has the default and the addresses', () => {
    expect(JSON.parse(text)).toEqual({
      version: 1,
      default: a,
      savedAtMs: nowMs,
      servers: [
        { address: a, weight: 1, state: 'unchecked' },
        { address: b, weight: 1, state: 'unchecked' },
      ],
    });
  });

  test('[k3s 21] is empty when there is only the default', () => {
    const alone = new Routing().input({ type: 'default', address: a });
    expect(JSON.parse(storeText(alone.state, nowMs))).toMatchObject({ default: a, servers: [] });
  });

  test('[k3s 22] is taken for the same default', () => {
    expect(readStore(text, a, nowMs)).toEqual({
      servers: [
        { address: a, weight: 1 },
        { address: b, weight: 1 },
      ],
    });
  });

  test('[k3s 23] is not taken for another default', () => {
    expect(readStore(text, b, nowMs)).toEqual({ servers: [], ignored: 'it is of another default server' });
    expect(readStore(text, undefined, nowMs)).toMatchObject({ servers: [] });
  });

  test('[k3s 24] is not taken when it is no JSON', () => {
    expect(readStore('{"version": 1,', a, nowMs)).toEqual({ servers: [], ignored: 'it is no JSON' });
  });

  test('need not be there', () => {
    expect(readStore(undefined, a, nowMs)).toEqual({ servers: [] });
  });
});

test.each([
  ['of a later version', text.replace('"version": 1', '"version": 2')],
  ['with other things in it', text.replace('"servers"', '"nodes"')],
  ['a list', '[]'],
])('one that is %s is ignored', (_name, damaged) => {
  expect(readStore(damaged, a, nowMs)).toEqual({ servers: [], ignored: 'it is of another version, or damaged' });
});

test('one that is too old is ignored: its addresses may be somebody else’s', () => {
  expect(readStore(text, a, nowMs + maxAgeMs).servers).toHaveLength(2);
  expect(readStore(text, a, nowMs + maxAgeMs + 1)).toEqual({ servers: [], ignored: 'it is older than 30 days' });
});

test('what it names is checked like any other update', () => {
  const poisoned = text.replaceAll('10.0.0.2:6443', '127.0.0.1:6444');
  const balancer = new Routing({ ownAddresses: ['127.0.0.1:6444'] });
  balancer.input({ type: 'update', servers: readStore(poisoned, a, nowMs).servers });
  expect(balancer.text).toBe(`${a}=unchecked`);
});
