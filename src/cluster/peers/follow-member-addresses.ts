/**
 * Follows where the members of etcd are, as the join server of the same machine writes it down: a server with etcd
 * alone and no node is in no list of the API, and is a peer all the same. Agents have no such file.
 */
import { sleep, type Clock } from '../../kernel/clock.ts';
import { hostOfServer } from '../../probe/connection.ts';
import { readKnownMembers } from '../etcd/known-members.ts';
import { parseAddress } from '../ipv4.ts';

export interface FollowMemberAddressesOptions {
  /** Of `known-members.ts`. */
  readonly file: string;
  /** IPv4 addresses, whenever they are others than before; none is where it begins. */
  readonly onMembers: (ips: readonly string[]) => void;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** It is written every 15 s at most. */
const everyMs = 5_000;

/** Runs until `signal` aborts, and then rejects with its reason. */
export async function followMemberAddresses(options: FollowMemberAddressesOptions): Promise<never> {
  const { file, onMembers, clock, signal } = options;
  let last = '';
  for (;;) {
    const { clientUrls } = await readKnownMembers(file).catch(() => ({ clientUrls: [] }));
    const hosts = clientUrls.map((url) => hostOfServer(new URL(url).host));
    const ips = [...new Set(hosts.filter((host) => parseAddress(host) !== undefined))].sort();
    if (ips.join() !== last) onMembers(ips);
    last = ips.join();
    await sleep(clock, everyMs, signal);
  }
}
