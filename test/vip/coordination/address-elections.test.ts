import { expect, test } from 'vitest';
import { addressElections } from '../../../src/vip/coordination/address-elections.ts';
import type { LeaseRules } from '../../../src/vip/coordination/lease-model.ts';

const [one, two] = ['10.0.0.1', '10.0.0.2'] as const;

const at = (address: string) => ({ address, afterMs: 0 });

/** Leases that are got and lost when the test says so. */
function elections() {
  const said: string[] = [];
  const told: string[] = [];
  const got = new Map<string, (tenure: number) => void>();
  const lost = new Map<string, (tenure: number) => void>();
  const all = addressElections({
    rules: (lease) => ({ lease }) as LeaseRules,
    hold({ rules: { lease }, onAllow, onWithdraw }) {
      const name = lease.replace('vip-address-10.0.0.', '');
      got.set(name, (tenure) => onAllow({ tenure } as Parameters<typeof onAllow>[0]));
      lost.set(name, (tenure) => onWithdraw({ tenure, reason: 'it ran out' }));
      const say = (what: string) => void said.push(`${name} ${what}`);
      return {
        want: () => say('want'),
        stop() {
          say('stop');
          return Promise.resolve();
        },
        seen: () => say('seen'),
        withdrawn: (tenure) => say(`withdrawn ${String(tenure)}`),
      };
    },
    onElected: (address, isElected) => told.push(`${address} ${isElected ? 'won' : 'lost'}`),
  });
  return { all, said, told, got, lost };
}

test('a Lease is tried for as long as it is competed for, and given up then', () => {
  const { all, said } = elections();
  all.compete([at(one)]);
  all.compete([at(one), at(two)]);
  all.compete([at(two)]);
  all.compete([at(one), at(two)]);
  expect(said).toEqual(['1 want', '2 want', '1 stop', '1 want']);
});

test('being elected is told once for each tenure, and what is lost may be given back at once', () => {
  const { all, said, told, got, lost } = elections();
  all.compete([at(one)]);
  for (const tenure of [1, 1, 1]) got.get('1')?.(tenure);
  lost.get('1')?.(1);
  got.get('1')?.(2);
  expect(told).toEqual([`${one} won`, `${one} lost`, `${one} won`]);
  expect(said).toEqual(['1 want', '1 withdrawn 1']);
});

test('of Leases that are not competed for it is known since when they have not changed', () => {
  const { all, said } = elections();
  all.seen(one, undefined);
  expect(said).toEqual(['1 seen']);
});

test('at the end all are given up, and none is tried for again', async () => {
  const { all, said } = elections();
  all.compete([at(one)]);
  all.seen(two, undefined);
  await all.stop();
  all.compete([at(one), at(two)]);
  expect(said).toEqual(['1 want', '2 seen', '1 stop', '2 stop']);
});
