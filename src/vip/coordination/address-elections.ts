/**
 * Drives this node's part in the elections of addresses: a Lease machine for each, told when to try for its Lease
 * and when to give it up. Which these are, `address-election` says; what follows from being elected, the coordinator.
 */
import type { VipAddress } from '../model.ts';
import type { Candidacy } from './coordinator-model.ts';
import { addressLease } from './cluster-api.ts';
import type { LeaseHolder, LeaseHolderOptions } from './lease-holder.ts';
import type { LeaseRecord, LeaseRules } from './lease-model.ts';

type OneElection = Pick<LeaseHolder, 'want' | 'stop' | 'seen' | 'withdrawn'>;

export interface AddressElectionsOptions {
  readonly hold: (options: Pick<LeaseHolderOptions, 'rules' | 'onAllow' | 'onWithdraw'>) => OneElection;
  readonly rules: (lease: string) => LeaseRules;
  readonly onElected: (address: VipAddress, isElected: boolean) => void;
}

export interface AddressElections {
  /** For these and for no other, from now on. */
  compete(candidacies: readonly Candidacy[]): void;
  /** A watch shows its Lease. */
  seen(address: VipAddress, record: LeaseRecord | undefined): void;
  /** Resolves when all are given back, or could not be. */
  stop(): Promise<void>;
}

export function addressElections({ hold, rules, onElected }: AddressElectionsOptions): AddressElections {
  const holders = new Map<VipAddress, OneElection>();
  let competing: ReadonlyMap<VipAddress, number> = new Map();
  let hasEnded = false;

  /** Also of those that are not tried for: since when a Lease has not changed has to be known when it is. */
  const holderOf = (address: VipAddress): OneElection => {
    const known = holders.get(address);
    if (known !== undefined) return known;
    let tenureNow = 0;
    const holder: OneElection = hold({
      rules: { ...rules(addressLease(address)), yieldMs: () => competing.get(address) ?? 0 },
      onAllow({ tenure }) {
        if (tenure === tenureNow) return;
        tenureNow = tenure;
        onElected(address, true);
      },
      // Nobody's answers depend on it: what was granted stays so until the next one takes it over.
      onWithdraw({ tenure }) {
        onElected(address, false);
        holder.withdrawn(tenure);
      },
    });
    holders.set(address, holder);
    return holder;
  };

  return {
    compete(candidacies) {
      if (hasEnded) return;
      const before = competing;
      competing = new Map(candidacies.map(({ address, afterMs }) => [address, afterMs]));
      for (const address of before.keys()) if (!competing.has(address)) void holderOf(address).stop();
      for (const address of competing.keys()) if (!before.has(address)) holderOf(address).want();
    },
    seen: (address, record) => holderOf(address).seen(record),
    async stop() {
      hasEnded = true;
      await Promise.all([...holders.values()].map((holder) => holder.stop()));
    },
  };
}
