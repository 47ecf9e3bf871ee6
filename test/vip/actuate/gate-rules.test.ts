import { describe, expect, test } from 'vitest';
import { armRules, gateRules, noGate, type GateState } from '../../../src/vip/actuate/gate-rules.ts';

const eth0 = { name: 'eth0', index: 3 };
const state: GateState = {
  guarded: ['10.0.0.50', '10.0.0.51', 'fd00::50'],
  open: [
    { address: '10.0.0.50', interface: 'eth0' },
    { address: 'fd00::50', interface: 'eth0' },
  ],
  interfaces: [eth0],
  remainingMs: 2873.9,
  wallMs: 1_000_000,
};
const lines = (script: string) => script.trimEnd().split('\n');

describe('the gate', () => {
  test('says what is guarded and what is open where', () => {
    expect(lines(gateRules({ hasEgress: true }, state))).toEqual(
      expect.arrayContaining([
        'flush set arp k3s-lite-vip open',
        'flush set arp k3s-lite-vip guarded',
        'add element arp k3s-lite-vip guarded { 10.0.0.50, 10.0.0.51 }',
        'add element ip6 k3s-lite-vip guarded { 0xfd000000000000000000000000000050 }',
        'add element arp k3s-lite-vip open { 10.0.0.50 . "eth0" }',
        'add element ip6 k3s-lite-vip open { 0xfd000000000000000000000000000050 . "eth0" }',
      ]),
    );
  });

  test('replaces tables only at the first time', () => {
    expect(lines(gateRules({ hasEgress: true }, state)).filter((line) => line.startsWith('delete'))).toEqual([]);
    expect(lines(gateRules({ hasEgress: true }, state, true)).filter((line) => line.startsWith('delete'))).toEqual(
      ['arp', 'ip6', 'netdev'].map((family) => `delete table ${family} k3s-lite-vip`),
    );
  });

  test('goes without the chains that an older kernel lacks', () => {
    expect(gateRules({ hasEgress: true }, state)).toContain('egress-3 { type filter hook egress device "eth0"');
    expect(gateRules({ hasEgress: false }, state)).not.toContain('netdev');
    expect(noGate({ hasEgress: false })).not.toContain('netdev');
  });
});

describe('the switch', () => {
  const armed = (remainingMs: number, interfaces = [eth0]) =>
    lines(armRules({ hasEgress: false }, { ...state, interfaces, remainingMs })).filter((line) =>
      line.includes(' arp '),
    );

  test('counts down whole milliseconds, never more, and the wall clock to the next whole second', () => {
    expect(armed(2873.9)).toEqual([
      'flush set arp k3s-lite-vip armed',
      'flush chain arp k3s-lite-vip clock',
      'add element arp k3s-lite-vip armed { "eth0" timeout 2873ms }',
      'add rule arp k3s-lite-vip clock meta time < 1003 accept',
      'add rule arp k3s-lite-vip clock drop',
    ]);
  });

  test.each([
    ['the deadline has passed', -5, [eth0]],
    // 0 would be for ever.
    ['less than a millisecond is left', 0.9, [eth0]],
    ['no interface is used', 2000, []],
  ])('is off when %s', (_, remainingMs, interfaces) => {
    expect(armed(remainingMs, interfaces)).toEqual([
      'flush set arp k3s-lite-vip armed',
      'flush chain arp k3s-lite-vip clock',
      'add rule arp k3s-lite-vip clock drop',
    ]);
  });

  test('costs the same for any number of addresses', () => {
    const many = {
      ...state,
      guarded: Array.from({ length: 1000 }, (_, at) => `10.1.${String(at >> 8)}.${String(at & 255)}`),
    };
    expect(armRules({ hasEgress: true }, many)).toBe(armRules({ hasEgress: true }, state));
  });
});
