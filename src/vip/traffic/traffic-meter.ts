/**
 * Counts the bytes to and from addresses, in the kernel: a table of nft with a counter for each of them, which a
 * packet of any other address costs one lookup. It is before the translation of addresses on the way in and
 * after it on the way out, so a Service's answers count, wherever its pods are.
 *
 * Elements are added and deleted, never written anew as the gate's are: their counters go on.
 */
import * as z from 'zod';
import { parseJson } from '../../kernel/json.ts';
import { tableName } from '../actuate/gate-rules.ts';
import { familyOf } from '../actuate/ip-bytes.ts';
import type { RunProgram } from '../actuate/kernel-network.ts';
import type { VipAddress } from '../model.ts';

export interface TrafficMeter {
  /**
   * Bytes of each of these since it has been counted, but for those that are counted from now on.
   *
   * @throws an Error when the kernel does not count
   */
  read(addresses: readonly VipAddress[], signal: AbortSignal): Promise<ReadonlyMap<VipAddress, number>>;
  /** Nothing is counted any more; also what an earlier process has left. Never rejects. */
  end(): Promise<void>;
}

const place = `inet ${tableName}`;
const sets = { 4: 'ipv4', 6: 'ipv6' } as const;

/** What is there already is not changed by it. `raw` is before conntrack; after `srcnat`, 100, answers have the address. */
const structure = [
  `add table ${place}`,
  `add set ${place} ipv4 { type ipv4_addr; counter; }`,
  `add set ${place} ipv6 { type ipv6_addr; counter; }`,
  ...[
    ['in', 'prerouting priority raw', 'daddr'],
    ['out', 'postrouting priority 300', 'saddr'],
  ].flatMap(([chain = '', hook = '', field = '']) => [
    `add chain ${place} ${chain} { type filter hook ${hook}; policy accept; }`,
    `flush chain ${place} ${chain}`,
    `add rule ${place} ${chain} ip ${field} @ipv4`,
    `add rule ${place} ${chain} ip6 ${field} @ipv6`,
  ]),
];

/** From what is counted to what is to be. */
export function meterRules(present: ReadonlySet<VipAddress>, wanted: ReadonlySet<VipAddress>): string {
  const change = (verb: 'add' | 'delete', addresses: readonly VipAddress[]) =>
    ([4, 6] as const).flatMap((family) => {
      const own = addresses.filter((address) => familyOf(address) === family);
      return own.length === 0 ? [] : [`${verb} element ${place} ${sets[family]} { ${own.join(', ')} }`];
    });
  const lines = [
    ...structure,
    ...change(
      'delete',
      [...present].filter((address) => !wanted.has(address)),
    ),
    ...change(
      'add',
      [...wanted].filter((address) => !present.has(address)),
    ),
  ];
  return lines.map((line) => `${line}\n`).join('');
}

const element = z.object({
  elem: z.object({ val: z.union([z.ipv4(), z.ipv6()]), counter: z.object({ bytes: z.number() }) }),
});
const answerSchema = z.object({
  nftables: z.array(z.object({ set: z.object({ elem: z.array(element).default([]) }).optional() })),
});

/** Source: libnftables-json(5). @throws an Error when it is no such answer */
export function countedIn(json: string): ReadonlyMap<VipAddress, number> {
  const answer = answerSchema.safeParse(parseJson(json));
  if (!answer.success) throw new Error('traffic cannot be read: nft gave no answer that we know');
  const elements = answer.data.nftables.flatMap(({ set }) => set?.elem ?? []);
  return new Map(elements.map(({ elem }) => [elem.val, elem.counter.bytes]));
}

export function trafficMeter(run: RunProgram): TrafficMeter {
  async function nft(argv: readonly string[], input?: string, signal?: AbortSignal) {
    const request = { argv: ['nft', ...argv] as const, ...(input === undefined ? {} : { input }) };
    const { exit, stdout, stderr } = await run(signal === undefined ? request : { ...request, signal });
    return { isOk: exit.kind === 'code' && exit.code === 0, stdout, complaint: stderr.trim().split('\n')[0] ?? '' };
  }
  return {
    async read(addresses, signal) {
      const wanted = new Set(addresses);
      const listed = await nft(['--json', 'list', 'table', 'inet', tableName], undefined, signal);
      // Where there is none, nothing is counted yet, or somebody has flushed it.
      const counted = listed.isOk ? countedIn(listed.stdout) : new Map<VipAddress, number>();
      const isSame = counted.size === wanted.size && addresses.every((address) => counted.has(address));
      if (!isSame) {
        const { isOk, complaint } = await nft(['-f', '-'], meterRules(new Set(counted.keys()), wanted), signal);
        if (!isOk) throw new Error(`traffic cannot be counted: nft: ${complaint || 'it does not say why'}`);
      }
      return new Map([...counted].filter(([address]) => wanted.has(address)));
    },
    async end() {
      const removal = `add table ${place}\ndelete table ${place}\n`;
      await nft(['-f', '-'], removal).catch(() => undefined);
    },
  };
}
