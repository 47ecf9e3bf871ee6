/**
 * The assignment as it is kept: one object for all addresses, written by compare-and-swap.
 *
 * `revision` orders what was read: a late watch never takes anybody back. `lastGeneration` outlives the
 * grants, so that no generation is ever given twice, also of an address that was away.
 */
import * as z from 'zod';
import { parseJson } from '../../kernel/json.ts';
import {
  elections,
  grantStates,
  type Assignment,
  type Election,
  type Grant,
  type NodeName,
  type VipAddress,
} from '../model.ts';

export interface StoredAssignment extends Assignment {
  /** Grows by one with each write. */
  readonly revision: number;
  /** The highest generation that was ever given. */
  readonly lastGeneration: number;
  /** Who keeps an eye on the Leases, to be the next coordinator without waiting first. */
  readonly standbys: readonly NodeName[];
  /** How owners are found in this cluster, whatever single nodes were told; absent: by the coordinator. */
  readonly election?: Election | undefined;
}

export const electionOf = (assignment: Pick<StoredAssignment, 'election'> | undefined): Election =>
  assignment?.election ?? 'coordinator';

export const noAssignment: StoredAssignment = {
  epoch: -1,
  revision: 0,
  lastGeneration: 0,
  standbys: [],
  grants: new Map(),
};

const count = z.number().int().min(0);
/** About 60 bytes for each address: a thousand are 60 KB of the 1 MiB that an object may have. */
const grantSchema = z.strictObject({
  owner: z.string().min(1),
  state: z.enum(grantStates),
  next: z.string().min(1).optional(),
  heir: z.string().min(1).optional(),
  isHandedOver: z.boolean().optional(),
  generation: count,
});
const schema = z.object({
  epoch: z.number().int().min(-1),
  revision: count,
  lastGeneration: count,
  standbys: z.array(z.string()),
  election: z.enum(elections).optional(),
  grants: z.record(z.string(), grantSchema),
});

export function assignmentText({ grants, ...rest }: StoredAssignment): string {
  // What is undefined is not written.
  const entries = [...grants].map(([address, { owner, state, next, heir, isHandedOver, generation }]) => [
    address,
    { owner, state, generation, next, heir, isHandedOver },
  ]);
  return JSON.stringify({ ...rest, grants: Object.fromEntries(entries) as unknown });
}

/** @throws an Error that says what is wrong with it: nobody acts on half an assignment */
export function readAssignment(text: string): StoredAssignment {
  const { grants, ...rest } = schema.parse(parseJson(text));
  return {
    ...rest,
    grants: new Map(
      Object.entries(grants).map(([address, grant]): [VipAddress, Grant] => [address, { address, ...grant }]),
    ),
  };
}

/** "10.0.0.9=4 10.0.0.10=7": generations (or levels) by address, as they stand on a Lease. */
export const generationsText = (generations: ReadonlyMap<VipAddress, number>): string =>
  [...generations].map(([address, generation]) => `${address}=${String(generation)}`).join(' ');

/** What is no generation is left out. */
export function readGenerations(text: string | undefined): ReadonlyMap<VipAddress, number> {
  const pairs = (text ?? '').split(' ').flatMap((pair): [VipAddress, number][] => {
    const at = pair.lastIndexOf('=');
    const generation = Number(pair.slice(at + 1));
    return at > 0 && Number.isInteger(generation) ? [[pair.slice(0, at), generation]] : [];
  });
  return new Map(pairs);
}

/** Names of what nodes say on their Leases. */
export const notes = {
  /** Generations of addresses that it had and lets go: they are silent here for good. */
  released: 'released',
  /** Generations of addresses that it could not take. */
  refused: 'refused',
  /** Generations of addresses that it is ready to get, as their heir. */
  prepared: 'prepared',
  /** It is about to end, and waits for others to take what it has. */
  leaving: 'leaving',
  /** Relative capacity, as a number. */
  capacity: 'capacity',
  /** How owners are to be found, as this node was told; absent: by the coordinator. */
  election: 'election',
  /** It has an API server, and this is the address that all API servers share. */
  apiServerVip: 'apiserver-vip',
  /** That API server is ready. */
  apiServerReady: 'apiserver-ready',
  /** Levels of traffic of addresses that it answers for: see plan/traffic-weight. */
  load: 'load',
} as const;

/** What waits for the next renewal: nobody has to know it at once, and it changes often. */
export const patientNotes: ReadonlySet<string> = new Set([notes.load]);
