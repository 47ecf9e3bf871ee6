/**
 * The gate as text for nft: which answers to ARP and neighbour solicitations may leave this machine.
 * Pure; each function gives one transaction. What is wanted is said whole, never as a change.
 *
 * An address is `guarded` before it is on an interface: whatever speaks in its name is dropped, also by
 * an interface that happens to hear the question, unless it is `open` there, and `armed` says that the
 * lease is good. `armed` is the dead man's switch: one element for each interface, however many
 * addresses there are, which the kernel forgets at the deadline. Its timers stand still while a machine
 * is suspended or its snapshot is stored; the rule in `clock` compares the wall clock, which does not.
 *
 * Three tables, since sets belong to one family: ARP; IPv6; and what our own packet sockets send, which
 * passes by the first two. That is known by its mark.
 */
import { unreachable } from '../../kernel/unreachable.ts';
import type { VipAddress } from '../model.ts';
import { bytesOf, familyOf } from './ip-bytes.ts';

export const tableName = 'k3s-lite-vip';
/** Of the frames that our own sockets send: "k3v" in ASCII. */
export const frameMark = 0x6b3376;

/** Kernel and nft differ in what they know. */
export interface GateAbilities {
  /** Chains at an interface's exit (Linux 5.16), where packet sockets pass too. */
  readonly hasEgress: boolean;
}

export interface GateInterface {
  readonly name: string;
  readonly index: number;
}

export interface OpenAddress {
  readonly address: VipAddress;
  readonly interface: string;
}

export interface GateState {
  readonly guarded: readonly VipAddress[];
  readonly open: readonly OpenAddress[];
  /** Where answers may leave, and where our own frames pass the gate. */
  readonly interfaces: readonly GateInterface[];
  /** Until the lease ends. Not positive: all is closed. */
  readonly remainingMs: number;
  readonly wallMs: number;
}

export type Table = 'arp' | 'ip6' | 'netdev';

export const gateTables = ({ hasEgress }: GateAbilities): readonly Table[] =>
  hasEgress ? ['arp', 'ip6', 'netdev'] : ['arp', 'ip6'];

/**
 * What speaks in an address's name: answers, announcements, and questions of ours that give it as the
 * sender (others learn from them). Offsets: target of RFC 4861 §4.3 in the ICMPv6 header, source address
 * in the IPv6 header (RFC 8200 §3).
 */
const target = '@th,64,128';
const source = '@nh,64,128';
const outputHook = '{ type filter hook output priority filter; policy accept; }';

interface Chain {
  readonly name: string;
  readonly hook?: string;
  readonly rules: readonly string[];
}

const setsOf: Readonly<Record<Table, readonly string[]>> = {
  arp: ['guarded { type ipv4_addr; }', 'open { type ipv4_addr . ifname; }'],
  ip6: [`guarded { typeof ${target}; }`, `open { typeof ${target} . oifname; }`],
  netdev: [],
};

function chainsOf(table: Table, interfaces: readonly GateInterface[]): readonly Chain[] {
  const isOpen = (key: string) => [`${key} . oifname @open oifname @armed goto clock`, 'drop'];
  switch (table) {
    case 'arp':
      return [
        { name: 'guard', rules: isOpen('arp saddr ip') },
        { name: 'output', hook: outputHook, rules: ['arp saddr ip @guarded goto guard'] },
      ];
    case 'ip6':
      return [
        { name: 'guard-answer', rules: isOpen(target) },
        { name: 'guard-question', rules: isOpen(source) },
        {
          name: 'output',
          hook: outputHook,
          rules: [
            `icmpv6 type nd-neighbor-advert ${target} @guarded goto guard-answer`,
            `icmpv6 type nd-neighbor-solicit ${source} @guarded goto guard-question`,
          ],
        },
      ];
    case 'netdev':
      return [
        { name: 'guard', rules: ['oifname @armed goto clock', 'drop'] },
        ...interfaces.map(({ name, index }) => ({
          name: `egress-${String(index)}`,
          hook: `{ type filter hook egress device "${name}" priority filter; policy accept; }`,
          rules: [`meta mark ${String(frameMark)} goto guard`],
        })),
      ];
    default:
      return unreachable(table);
  }
}

/**
 * The whole gate, whatever was there before: what somebody has flushed is back.
 *
 * @param isFirst - also an older version's tables are replaced; later that would only cost time
 */
export function gateRules(abilities: GateAbilities, state: GateState, isFirst = false): string {
  const structure = gateTables(abilities).flatMap((table) => {
    const place = `${table} ${tableName}`;
    const chains = chainsOf(table, state.interfaces);
    return [
      ...(isFirst ? removal(table) : []),
      `add table ${place}`,
      ...[armedSet, ...setsOf[table]].map((set) => `add set ${place} ${set}`),
      `add chain ${place} clock`,
      // All of them before the first rule that leads to one.
      ...chains.map(({ name, hook = '' }) => `add chain ${place} ${name} ${hook}`),
      ...chains.flatMap(({ name, rules }) => [
        `flush chain ${place} ${name}`,
        ...rules.map((rule) => `add rule ${place} ${name} ${rule}`),
      ]),
    ];
  });
  const sets = (['arp', 'ip6'] as const).flatMap((table) => [
    `flush set ${table} ${tableName} open`,
    `flush set ${table} ${tableName} guarded`,
  ]);
  return [
    script([...structure, ...sets]),
    script(elements('guarded', state.guarded.map(keyOf))),
    script(elements('open', state.open.map(openKey))),
    armRules(abilities, state),
  ].join('');
}

const armedSet = 'armed { type ifname; flags timeout; }';

/** Whole seconds are all that nft takes. Source: nft 1.0 `date_type_parse`. */
export const clockUntilS = (wallMs: number): number => Math.ceil(wallMs / 1000);

/** The dead man's switch anew, for all addresses at once. The tables have to be there. */
export function armRules(
  abilities: GateAbilities,
  { interfaces, remainingMs, wallMs }: Pick<GateState, 'interfaces' | 'remainingMs' | 'wallMs'>,
): string {
  const untilS = clockUntilS(wallMs + remainingMs);
  const timeout = `timeout ${String(Math.floor(remainingMs))}ms`;
  const armed = interfaces.map(({ name }) => `"${name}" ${timeout}`).join(', ');
  const isArmed = remainingMs >= 1 && interfaces.length > 0;
  return script(
    gateTables(abilities).flatMap((table) => {
      const place = `${table} ${tableName}`;
      return [
        `flush set ${place} armed`,
        `flush chain ${place} clock`,
        ...(isArmed
          ? [`add element ${place} armed { ${armed} }`, `add rule ${place} clock meta time < ${String(untilS)} accept`]
          : []),
        `add rule ${place} clock drop`,
      ];
    }),
  );
}

/** Nothing of ours is left. */
export const noGate = (abilities: GateAbilities): string => script(gateTables(abilities).flatMap(removal));

/** Of one that may not be there. */
const removal = (table: Table) => [`add table ${table} ${tableName}`, `delete table ${table} ${tableName}`];

interface Key {
  readonly table: 'arp' | 'ip6';
  readonly text: string;
}

function keyOf(address: VipAddress): Key {
  if (familyOf(address) === 4) return { table: 'arp', text: address };
  return { table: 'ip6', text: `0x${bytesOf(address).toString('hex')}` };
}

function openKey({ address, interface: name }: OpenAddress): Key {
  const { table, text } = keyOf(address);
  return { table, text: `${text} . "${name}"` };
}

function elements(set: string, keys: readonly Key[]): readonly string[] {
  return (['arp', 'ip6'] as const).flatMap((table) => {
    const own = keys.filter((key) => key.table === table).map(({ text }) => text);
    return own.length === 0 ? [] : [`add element ${table} ${tableName} ${set} { ${own.join(', ')} }`];
  });
}

const script = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('');
