/**
 * What changes in the gate between two writes, as the kernel's nf_tables has it: the elements of its sets, and the
 * rule that compares the wall clock. Pure; one transaction each, which says the same as the text for nft in
 * gate-rules.ts. Tables, chains and all other rules are left as nft has made them.
 *
 * Sources: include/uapi/linux/netfilter/{nfnetlink,nf_tables}.h and linux/netfilter.h for the numbers; what
 * `nft --debug=netlink` says of the same text for the clock's rule.
 */
import { netlinkAttribute as attribute, netlinkFlags, netlinkMessage } from '../../kernel/netlink.ts';
import { clockUntilS, gateTables, tableName, type GateAbilities, type GateState, type Table } from './gate-rules.ts';
import { familyOf, writeBytesOf } from './ip-bytes.ts';

const batch = { begin: 0x10, end: 0x11, nfTables: 10 };
const messages = { newRule: 6, deleteRule: 8, newElements: 12, deleteElements: 14 };
/** NLM_F_ACK, NLM_F_CREATE, NLM_F_APPEND. */
const flags = { answer: 0x4, create: 0x400, append: 0x800 };
/** NFPROTO_ARP and so on. */
const families: Readonly<Record<Table, number>> = { arp: 3, ip6: 10, netdev: 5 };
/** NLA_F_NESTED */
const isNested = 0x8000;
const elementList = { table: 1, set: 2, elements: 3 };
const elementParts = { key: 1, timeout: 4 };
const ruleParts = { table: 1, chain: 2, expressions: 4 };
const expressionParts = { name: 1, data: 2 };
const listElement = 1;
const data = { value: 1, verdict: 2 };
/** NFT_REG_VERDICT, NFT_REG_1. */
const registers = { verdict: 0, first: 1 };
const metaTimeNs = 30;
const hostToNetwork = 1;
const isLess = 2;
/** NF_DROP, NF_ACCEPT. */
const verdicts = { drop: 0, accept: 1 };
/** Behind the headers of the element, its key and the key's value. */
const keyAt = 12;
/** IFNAMSIZ */
const interfaceBytes = 16;
/** As many as fit one attribute of 64 KiB, each of 48 bytes at most. */
const elementsTogether = 1000;

/** The number of the message that is answered when all is done. */
export interface GateBatch {
  readonly bytes: Buffer;
  readonly lastSequence: number;
}

type Messages = readonly ((sequence: number, more: number) => Buffer)[];

/** Everything but tables, chains and their rules: as `gateRules`, where those are there. */
export function gateBatch(abilities: GateAbilities, state: GateState): GateBatch {
  const names = new Map<string, Buffer>();
  const nameOf = (name: string): Buffer => {
    const bytes = names.get(name) ?? nameBytes(name);
    names.set(name, bytes);
    return bytes;
  };
  return batchOf([
    ...([4, 6] as const).flatMap((family) => {
      const table = family === 4 ? 'arp' : 'ip6';
      const addressBytes = family === 4 ? 4 : 16;
      const guarded = state.guarded.filter((address) => familyOf(address) === family);
      const open = state.open.filter(({ address }) => familyOf(address) === family);
      return [
        ...setTo(table, 'guarded', guarded, {
          keyBytes: addressBytes,
          write: (address, into, at) => writeBytesOf(address, into, at),
        }),
        ...setTo(table, 'open', open, {
          keyBytes: addressBytes + interfaceBytes,
          write(one, into, at) {
            writeBytesOf(one.address, into, at);
            nameOf(one.interface).copy(into, at + addressBytes);
          },
        }),
      ];
    }),
    ...armed(abilities, state),
  ]);
}

/** The dead man's switch alone: as `armRules`. */
export const armBatch = (abilities: GateAbilities, state: ArmedState): GateBatch => batchOf(armed(abilities, state));

type ArmedState = Pick<GateState, 'interfaces' | 'remainingMs' | 'wallMs'>;

function armed(abilities: GateAbilities, state: ArmedState): Messages {
  const { interfaces, remainingMs, wallMs } = state;
  const isArmed = remainingMs >= 1 && interfaces.length > 0;
  const timeout = attribute(elementParts.timeout, uint64(BigInt(Math.max(0, Math.floor(remainingMs)))));
  return gateTables(abilities).flatMap((table) => [
    ...setTo(table, 'armed', isArmed ? interfaces : [], {
      keyBytes: interfaceBytes,
      write: ({ name }, into, at) => void nameBytes(name).copy(into, at),
      more: [timeout],
    }),
    rulesGone(table, 'clock'),
    ...(isArmed ? [rule(table, 'clock', [...untilExpressions(clockUntilS(wallMs + remainingMs)), accept])] : []),
    rule(table, 'clock', [drop]),
  ]);
}

interface KeyForm<T> {
  readonly keyBytes: number;
  readonly write: (one: T, into: Buffer, at: number) => void;
  /** What else belongs to each. */
  readonly more?: readonly Buffer[];
}

function setTo<T>(table: Table, set: string, all: readonly T[], form: KeyForm<T>): Messages {
  const names = [attribute(elementList.table, text(tableName)), attribute(elementList.set, text(set))];
  const found = [message(table, messages.deleteElements, 0, names)];
  for (let from = 0; from < all.length; from += elementsTogether) {
    const some = elements(all.slice(from, from + elementsTogether), form);
    found.push(
      message(table, messages.newElements, flags.create, [...names, attribute(elementList.elements | isNested, some)]),
    );
  }
  return found;
}

/** What differs between a thousand of them is the key, so the rest is made once. */
function elements<T>(some: readonly T[], { keyBytes, write, more = [] }: KeyForm<T>): Buffer {
  const key = nested(elementParts.key, [attribute(data.value, Buffer.alloc(keyBytes))]);
  const model = nested(listElement, [key, ...more]);
  const all = Buffer.alloc(model.length * some.length);
  for (const [at, one] of some.entries()) {
    model.copy(all, at * model.length);
    write(one, all, at * model.length + keyAt);
  }
  return all;
}

const rulesGone = (table: Table, chain: string) =>
  message(table, messages.deleteRule, 0, [
    attribute(ruleParts.table, text(tableName)),
    attribute(ruleParts.chain, text(chain)),
  ]);

const rule = (table: Table, chain: string, expressions: readonly Buffer[]) =>
  message(table, messages.newRule, flags.create | flags.append, [
    attribute(ruleParts.table, text(tableName)),
    attribute(ruleParts.chain, text(chain)),
    nested(ruleParts.expressions, expressions),
  ]);

/** `meta time < untilS`: nanoseconds, compared as bytes in network order. */
const untilExpressions = (untilS: number): readonly Buffer[] => [
  expression('meta', [attribute(1, uint32(registers.first)), attribute(2, uint32(metaTimeNs))]),
  expression('byteorder', [
    attribute(1, uint32(registers.first)),
    attribute(2, uint32(registers.first)),
    attribute(3, uint32(hostToNetwork)),
    attribute(4, uint32(8)),
    attribute(5, uint32(8)),
  ]),
  expression('cmp', [
    attribute(1, uint32(registers.first)),
    attribute(2, uint32(isLess)),
    nested(3, [attribute(data.value, uint64(BigInt(untilS) * 1_000_000_000n))]),
  ]),
];

const verdict = (code: number): Buffer =>
  expression('immediate', [
    attribute(1, uint32(registers.verdict)),
    nested(2, [nested(data.verdict, [attribute(1, uint32(code))])]),
  ]);

const expression = (name: string, parts: readonly Buffer[]): Buffer =>
  nested(listElement, [attribute(expressionParts.name, text(name)), nested(expressionParts.data, parts)]);

const message =
  (table: Table, type: number, ownFlags: number, parts: readonly Buffer[]) =>
  (sequence: number, more: number): Buffer =>
    netlinkMessage({ type: (batch.nfTables << 8) | type, flags: netlinkFlags.request | ownFlags | more, sequence }, [
      header(families[table], 0),
      ...parts,
    ]);

/** From 1; the kernel says of the last one alone that it is done, of others what is wrong with them. */
function batchOf(parts: Messages): GateBatch {
  const lastSequence = parts.length;
  const frame = (type: number, sequence: number) =>
    netlinkMessage({ type, flags: netlinkFlags.request, sequence }, [header(0, batch.nfTables)]);
  const bytes = Buffer.concat([
    frame(batch.begin, 0),
    ...parts.map((part, at) => part(at + 1, at + 1 === lastSequence ? flags.answer : 0)),
    frame(batch.end, lastSequence + 1),
  ]);
  return { bytes, lastSequence };
}

/** `struct nfgenmsg` */
function header(family: number, resource: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes[0] = family;
  bytes.writeUInt16BE(resource, 2);
  return bytes;
}

const nested = (type: number, parts: readonly Buffer[]): Buffer => attribute(type | isNested, Buffer.concat(parts));

const text = (value: string): Buffer => Buffer.from(`${value}\0`);

function nameBytes(name: string): Buffer {
  const bytes = Buffer.alloc(interfaceBytes);
  bytes.write(name);
  return bytes;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function uint64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}

const accept = verdict(verdicts.accept);
const drop = verdict(verdicts.drop);
