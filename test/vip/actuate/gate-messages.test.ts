/**
 * What the kernel is told of the gate, read back by the numbers of linux/netfilter/{nfnetlink,nf_tables}.h. That a
 * real kernel makes the same gate of it as of nft's text: test/cluster/vip-actuator.test.ts.
 */
import { describe, expect, test } from 'vitest';
import { armBatch, gateBatch, type GateBatch } from '../../../src/vip/actuate/gate-messages.ts';
import type { GateState } from '../../../src/vip/actuate/gate-rules.ts';

interface Attribute {
  readonly type: number;
  readonly isNested: boolean;
  readonly value: Buffer;
}

/** Aligned to four, each within what holds it. */
function attributesIn(bytes: Buffer): readonly Attribute[] {
  const found: Attribute[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = bytes.readUInt16LE(at);
    const type = bytes.readUInt16LE(at + 2);
    if (length < 4 || at + length > bytes.length)
      throw new Error(`attribute at ${String(at)}: ${String(length)} bytes`);
    found.push({ type: type & 0x3fff, isNested: (type & 0x8000) !== 0, value: bytes.subarray(at + 4, at + length) });
    at += (length + 3) & ~3;
  }
  return found;
}

/** Values in hexadecimal by their attributes' numbers. */
type Tree = { readonly [type: number]: string | Tree };

const treeOf = (bytes: Buffer): Tree =>
  Object.fromEntries(
    attributesIn(bytes).map(({ type, isNested, value }) => [type, isNested ? treeOf(value) : value.toString('hex')]),
  );

const valueOf = (attributes: readonly Attribute[], type: number): Buffer | undefined =>
  attributes.find((one) => one.type === type)?.value;
const textOf = (bytes: Buffer | undefined): string | undefined => bytes?.toString().replace(/\0$/, '');

interface Element {
  /** In hexadecimal. */
  readonly key: string;
  readonly timeoutMs?: bigint;
}

function elementOf({ value }: Attribute): Element {
  const parts = attributesIn(value);
  const key = valueOf(attributesIn(valueOf(parts, 1) ?? Buffer.alloc(0)), 1)?.toString('hex') ?? '';
  const timeout = valueOf(parts, 4);
  return timeout === undefined ? { key } : { key, timeoutMs: timeout.readBigUInt64BE() };
}

interface Message {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly family: number;
  readonly resource: number;
  readonly attributes: readonly Attribute[];
}

function messagesIn({ bytes }: GateBatch): readonly Message[] {
  const found: Message[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = bytes.readUInt32LE(at);
    if (length < 20 || length % 4 !== 0 || at + length > bytes.length) throw new Error(`message of ${String(length)}`);
    found.push({
      type: bytes.readUInt16LE(at + 4),
      flags: bytes.readUInt16LE(at + 6),
      sequence: bytes.readUInt32LE(at + 8),
      family: bytes.readUInt8(at + 16),
      resource: bytes.readUInt16BE(at + 18),
      attributes: attributesIn(bytes.subarray(at + 20, at + length)),
    });
    at += length;
  }
  return found;
}

/** NFNL_SUBSYS_NFTABLES, with NFT_MSG_NEWRULE and so on. */
const names: Readonly<Record<number, string>> = { 0xa06: '+rule', 0xa08: '-rules', 0xa0c: '+elements', 0xa0e: '-all' };
const familyNames: Readonly<Record<number, string>> = { 3: 'arp', 5: 'netdev', 10: 'ip6' };

/** "arp guarded -all": without what frames them. */
const told = (batch: GateBatch): readonly string[] =>
  messagesIn(batch)
    .slice(1, -1)
    .map(({ type, family, attributes }) => {
      expect(textOf(valueOf(attributes, 1))).toBe('k3s-lite-vip');
      return [familyNames[family], textOf(valueOf(attributes, 2)), names[type]].join(' ');
    });

/** Lists of them, one for each message that brings some. */
const elementsOf = (batch: GateBatch, family: number, set: string): readonly (readonly Element[])[] =>
  messagesIn(batch)
    .filter(({ type, attributes, ...one }) => {
      return type === 0xa0c && one.family === family && textOf(valueOf(attributes, 2)) === set;
    })
    .map(({ attributes }) => attributesIn(valueOf(attributes, 3) ?? Buffer.alloc(0)).map(elementOf));

/** Expressions of each rule of a chain: its name, and what it says. */
const rulesOf = (batch: GateBatch, family: number, chain: string): readonly (readonly [string, Tree])[][] =>
  messagesIn(batch)
    .filter(({ type, attributes, ...one }) => {
      return type === 0xa06 && one.family === family && textOf(valueOf(attributes, 2)) === chain;
    })
    .map(({ attributes }) =>
      attributesIn(valueOf(attributes, 4) ?? Buffer.alloc(0)).map(({ value }) => {
        const parts = attributesIn(value);
        return [textOf(valueOf(parts, 1)) ?? '', treeOf(valueOf(parts, 2) ?? Buffer.alloc(0))] as const;
      }),
    );

const eth0 = '65746830'.padEnd(32, '0');
const br10 = '62722d3130'.padEnd(32, '0');
const [all, without] = [{ hasEgress: true }, { hasEgress: false }];
const [arp, netdev, ip6] = [3, 5, 10];

const state: GateState = {
  guarded: ['10.98.0.50', 'fd98::50', '10.98.0.51'],
  open: [
    { address: 'fd98::50', interface: 'eth0' },
    { address: '10.98.0.51', interface: 'br-10' },
  ],
  interfaces: [
    { name: 'eth0', index: 7 },
    { name: 'br-10', index: 9 },
  ],
  remainingMs: 2999.7,
  wallMs: 1_700_000_000_000,
};
const addresses = (count: number) =>
  Array.from({ length: count }, (_, at) => `10.98.${String(at >> 8)}.${String(at & 255)}`);
const ipv4Key = (at: number) => (0x0a620000 + at).toString(16).padStart(8, '0');

describe('a batch', () => {
  test.each([
    ['the gate', gateBatch(all, state)],
    ['the switch', armBatch(all, state)],
    ['a switch that is off', armBatch(without, { ...state, remainingMs: 0 })],
  ])('of %s is framed, numbered, and answered once: for its last message', (_what, batch) => {
    const messages = messagesIn(batch);
    const [first, last] = [messages[0], messages.at(-1)];
    // NFNL_MSG_BATCH_BEGIN and _END, of nf_tables.
    expect(first).toEqual({ type: 0x10, flags: 1, sequence: 0, family: 0, resource: 10, attributes: [] });
    expect(last).toEqual({ ...first, type: 0x11, sequence: batch.lastSequence + 1 });
    expect(messages.map(({ sequence }) => sequence)).toEqual(messages.map((_, at) => at));
    const answered = messages.filter(({ flags }) => (flags & 0x4) !== 0);
    expect(answered.map(({ sequence }) => sequence)).toEqual([batch.lastSequence]);
    for (const { flags } of messages) expect(flags & 0x1).toBe(1);
  });

  test('of the gate empties each set before it fills it, and says the clock’s rules anew', () => {
    const switchOf = (table: string) => [
      ...[`${table} armed -all`, `${table} armed +elements`],
      ...[`${table} clock -rules`, `${table} clock +rule`, `${table} clock +rule`],
    ];
    const setsOf = (table: string) =>
      ['guarded', 'open'].flatMap((set) => [`${table} ${set} -all`, `${table} ${set} +elements`]);
    const switches = ['arp', 'ip6', 'netdev'].flatMap(switchOf);
    expect(told(gateBatch(all, state))).toEqual([...setsOf('arp'), ...setsOf('ip6'), ...switches]);
    expect(told(armBatch(all, state))).toEqual(switches);
    expect(told(armBatch(without, state))).toEqual(['arp', 'ip6'].flatMap(switchOf));
  });

  test('takes nothing away by name, and makes sets’ elements and rules in order', () => {
    for (const { type, flags, attributes } of messagesIn(gateBatch(all, state)).slice(1, -1)) {
      // Without elements, or a rule's handle, all of them go.
      if (type === 0xa0e || type === 0xa08) expect(attributes.map((one) => one.type)).toEqual([1, 2]);
      // NLM_F_CREATE; of rules NLM_F_APPEND too.
      expect(flags & ~0x5).toBe(
        new Map([
          [0xa0c, 0x400],
          [0xa06, 0xc00],
        ]).get(type) ?? 0,
      );
    }
  });
});

describe('an element', () => {
  test('is an address of its family, or one with an interface’s name of 16 bytes', () => {
    const batch = gateBatch(all, state);
    const fd98 = 'fd980000000000000000000000000050';
    expect(elementsOf(batch, arp, 'guarded')).toEqual([[{ key: '0a620032' }, { key: '0a620033' }]]);
    expect(elementsOf(batch, ip6, 'guarded')).toEqual([[{ key: fd98 }]]);
    expect(elementsOf(batch, arp, 'open')).toEqual([[{ key: `0a620033${br10}` }]]);
    expect(elementsOf(batch, ip6, 'open')).toEqual([[{ key: `${fd98}${eth0}` }]]);
  });

  test('of the switch is an interface with whole milliseconds, never more than are left', () => {
    const batch = armBatch(all, state);
    const expected = [eth0, br10].map((key) => ({ key, timeoutMs: 2999n }));
    for (const family of [arp, ip6, netdev]) expect(elementsOf(batch, family, 'armed')).toEqual([expected]);
  });

  test.each([
    [0, []],
    [1, [1]],
    [1000, [1000]],
    [1001, [1000, 1]],
    [2500, [1000, 1000, 500]],
  ])('of %d comes with others in messages of a thousand: %j', (count, together) => {
    const guarded = addresses(count);
    const open = guarded.map((address) => ({ address, interface: 'eth0' }));
    const batch = gateBatch(all, { ...state, guarded, open });
    const closed = elementsOf(batch, arp, 'guarded');
    expect(closed.map(({ length }) => length)).toEqual(together);
    expect(closed.flat().map(({ key }) => key)).toEqual(guarded.map((_, at) => ipv4Key(at)));
    expect(
      elementsOf(batch, arp, 'open')
        .flat()
        .map(({ key }) => key),
    ).toEqual(guarded.map((_, at) => `${ipv4Key(at)}${eth0}`));
  });

  test('of the longest kind fits too, a thousand times', () => {
    const open = Array.from({ length: 1000 }, (_, at) => ({
      address: `fd98::${(at + 1).toString(16)}`,
      interface: 'eth0',
    }));
    const found = elementsOf(gateBatch(all, { ...state, open }), ip6, 'open');
    expect(found.map(({ length }) => length)).toEqual([1000]);
    expect(found[0]?.at(-1)).toEqual({ key: `fd980000${'0'.repeat(20)}03e8${eth0}` });
  });
});

describe('the clock', () => {
  const accept = ['immediate', { 1: '00000000', 2: { 2: { 1: '00000001' } } }];
  const drop = ['immediate', { 1: '00000000', 2: { 2: { 1: '00000000' } } }];

  test('is compared in nanoseconds, in network order; whoever comes later is dropped', () => {
    const until = Buffer.alloc(8);
    until.writeBigUInt64BE(1_700_000_003_000_000_000n);
    const rules = [
      [
        // NFT_META_TIME_NS to register 1; NFT_BYTEORDER_HTON of 8 bytes there; NFT_CMP_LT.
        ['meta', { 1: '00000001', 2: '0000001e' }],
        ['byteorder', { 1: '00000001', 2: '00000001', 3: '00000001', 4: '00000008', 5: '00000008' }],
        ['cmp', { 1: '00000001', 2: '00000002', 3: { 1: until.toString('hex') } }],
        accept,
      ],
      [drop],
    ];
    for (const batch of [armBatch(all, state), gateBatch(all, state)]) {
      for (const family of [arp, ip6, netdev]) expect(rulesOf(batch, family, 'clock')).toEqual(rules);
    }
  });

  test.each([
    { wallMs: 1_700_000_000_000, remainingMs: 1, untilS: 1_700_000_001n },
    { wallMs: 1_700_000_000_000, remainingMs: 3000, untilS: 1_700_000_003n },
    { wallMs: 1_700_000_000_001, remainingMs: 2999, untilS: 1_700_000_003n },
    { wallMs: 1_700_000_000_001, remainingMs: 3000, untilS: 1_700_000_004n },
    { wallMs: 1_700_000_000_999.5, remainingMs: 1000.25, untilS: 1_700_000_002n },
    // Behind 32 bits of seconds.
    { wallMs: 4_294_967_296_000, remainingMs: 500, untilS: 4_294_967_297n },
  ])('at $wallMs with $remainingMs ms left is $untilS: the next whole second', ({ untilS, ...times }) => {
    const rule = rulesOf(armBatch(all, { ...state, ...times }), arp, 'clock')[0];
    const compared = (rule?.[2]?.[1][3] as Tree | undefined)?.[1];
    expect(compared).toBe((untilS * 1_000_000_000n).toString(16).padStart(16, '0'));
  });

  test.each([
    ['less than a millisecond is left', { remainingMs: 0.99 }],
    ['nothing is left', { remainingMs: 0 }],
    ['the deadline has passed', { remainingMs: -5000 }],
    ['there is no interface', { interfaces: [] }],
  ])('drops all, and nothing is armed, when %s', (_why, change) => {
    for (const batch of [armBatch(all, { ...state, ...change }), gateBatch(all, { ...state, ...change })]) {
      for (const family of [arp, ip6, netdev]) {
        expect(elementsOf(batch, family, 'armed')).toEqual([]);
        expect(rulesOf(batch, family, 'clock')).toEqual([[drop]]);
      }
      expect(told(batch).slice(-9)).toEqual(
        ['arp', 'ip6', 'netdev'].flatMap((table) => [
          ...[`${table} armed -all`, `${table} clock -rules`, `${table} clock +rule`],
        ]),
      );
    }
  });
});
