/** Byte for byte: what goes over the link for an address. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { arpAnnouncements, arpProbe, parseArp } from '../../../src/vip/actuate/arp-frame.ts';
import { claimIn } from '../../../src/vip/actuate/claim.ts';
import { bytesOf, familyOf, isIpInPrefix, textOf } from '../../../src/vip/actuate/ip-bytes.ts';
import { parseIp, type IpAddress } from '../../../src/vip/ip-address.ts';
import { neighbourAdvertisement, neighbourProbe, parseNeighbour } from '../../../src/vip/actuate/neighbour-frame.ts';

const mac = '02:00:00:00:00:0a';
const hex = (frame: Buffer | undefined) => frame?.toString('hex');

describe('ARP', () => {
  const head = 'ffffffffffff02000000000a08060001080006040';
  const [request, reply] = arpAnnouncements(mac, '10.0.0.50');

  test('an announcement is a request for itself, and a reply with our own MAC as its target', () => {
    expect(hex(request)).toBe(`${head}00102000000000a0a0000320000000000000a000032`);
    expect(hex(reply)).toBe(`${head}00202000000000a0a00003202000000000a0a000032`);
  });

  test('a probe is from nobody', () => {
    expect(hex(arpProbe(mac, '10.0.0.50'))).toBe(`${head}00102000000000a000000000000000000000a000032`);
  });

  test('what is sent is what is read', () => {
    expect(parseArp(reply ?? Buffer.alloc(0))).toEqual({
      operation: 'reply',
      senderMac: mac,
      senderIp: '10.0.0.50',
      targetMac: mac,
      targetIp: '10.0.0.50',
    });
  });

  test.each([
    ['too short', (frame: Buffer) => frame.subarray(0, 41)],
    ['another EtherType', (frame: Buffer) => withByte(frame, 13, 0x00)],
    ['another hardware', (frame: Buffer) => withByte(frame, 15, 6)],
    ['longer addresses', (frame: Buffer) => withByte(frame, 18, 8)],
    ['another operation', (frame: Buffer) => withByte(frame, 21, 3)],
  ])('no ARP: %s', (_, change) => {
    expect(parseArp(change(arpProbe(mac, '10.0.0.50')))).toBeUndefined();
  });
});

describe('neighbour discovery', () => {
  test('an advertisement overrides what all nodes believe', () => {
    // Checksum by hand: see the last test of this group for the rule.
    expect(hex(neighbourAdvertisement(mac, 'fd00::50'))).toMatch(
      new RegExp(
        '^33330000000102000000000a86dd' + // to all nodes
          '6000000000203aff' + // 32 bytes of ICMPv6, hop limit 255
          'fd000000000000000000000000000050' +
          'ff020000000000000000000000000001' +
          '8800.{4}20000000' + // override, neither router nor solicited
          'fd000000000000000000000000000050' +
          '020102000000000a$', // target's MAC
      ),
    );
  });

  test('a probe is from nobody, to the group of whoever has it', () => {
    expect(hex(neighbourProbe(mac, 'fd00::12:3456'))).toMatch(
      new RegExp(
        '^3333ff12345602000000000a86dd' +
          '6000000000183aff' +
          '0{32}' +
          'ff0200000000000000000001ff123456' +
          '8700.{4}00000000' +
          'fd000000000000000000000000123456$',
      ),
    );
  });

  test.each([neighbourAdvertisement(mac, 'fd00::50'), neighbourProbe(mac, 'fe80::ffff:ffff')])(
    'with its checksum, a message and its pseudo header sum up to all ones',
    (frame) => {
      const message = frame.subarray(54);
      const pseudo = Buffer.from([0, 0, 0, message.length, 0, 0, 0, 58]);
      let sum = 0;
      for (const part of [frame.subarray(22, 54), pseudo, message]) {
        for (let at = 0; at < part.length; at += 2) sum += part.readUInt16BE(at);
      }
      while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
      expect(sum).toBe(0xffff);
    },
  );

  test('what has come through a router is not believed', () => {
    const frame = neighbourAdvertisement(mac, 'fd00::50');
    expect(parseNeighbour(frame)).toMatchObject({ kind: 'advertisement', senderMac: mac, target: 'fd00::50' });
    expect(parseNeighbour(withByte(frame, 21, 254))).toBeUndefined();
  });
});

describe('a claim', () => {
  test.each([
    ['an announcement', arpAnnouncements(mac, '10.0.0.50')[0], { address: '10.0.0.50', mac, isProbe: false }],
    ['a probe', arpProbe(mac, '10.0.0.50'), { address: '10.0.0.50', mac, isProbe: true }],
    ['an advertisement', neighbourAdvertisement(mac, 'fd00::50'), { address: 'fd00::50', mac, isProbe: false }],
    ['a probe of IPv6', neighbourProbe(mac, 'fd00::50'), { address: 'fd00::50', mac, isProbe: true }],
    ['a question from it', neighbourProbe(mac, 'fd00::1', 'fd00::50'), { address: 'fd00::50', mac, isProbe: false }],
    ['anything else', Buffer.alloc(60), undefined],
  ])('is in %s', (_, frame, claim) => {
    expect(claimIn(frame ?? Buffer.alloc(0))).toEqual(claim);
  });
});

describe('addresses', () => {
  test.each([
    '10.98.0.50',
    '0.0.0.0',
    '::',
    '::1',
    'fd98::50',
    '2001:db8:1:2:3:4:5:6',
    'ff02::1:ff00:0',
    'fd00:0:0:1::',
  ])('%s survives its bytes', (address) => {
    expect(textOf(bytesOf(address))).toBe(address);
  });

  test('an embedded IPv4 address is four bytes', () => {
    expect(bytesOf('::ffff:1.2.3.4').toString('hex')).toBe('00000000000000000000ffff01020304');
  });

  test.each([
    ['10.0.3.255', '10.0.0.1', 22, true],
    ['10.0.4.0', '10.0.0.1', 22, false],
    ['10.0.0.2', '10.0.0.1', 32, false],
    ['1.2.3.4', '9.9.9.9', 0, true],
    ['fd00::1:0:0:9', 'fd00::1', 64, true],
    ['fd00:0:0:1::9', 'fd00::1', 64, false],
    ['10.0.0.1', 'fd00::1', 0, false],
  ])('%s is in the network of %s/%i: %s', (address, other, prefix, expected) => {
    const [one, two] = [address, other].map((text) => parseIp(text)) as [IpAddress, IpAddress];
    expect(isIpInPrefix(one, two, prefix)).toBe(expected);
  });

  test.each([
    '',
    '1.2.3',
    '1.2.3.4.5',
    '1.2.3.256',
    '1.2.3.-1',
    '1.2.3.04',
    '1.2.3.',
    '1.2.3.1e1',
    'fe80::1%eth0',
    '::g',
  ])('"%s" is no address', (text) => {
    expect(parseIp(text)).toBeUndefined();
    expect(() => bytesOf(text)).toThrow('not an IP address');
  });

  test('every IPv4 address is read as it is written', () => {
    fc.assert(
      fc.property(fc.ipV4(), (text) => {
        expect([textOf(bytesOf(text)), familyOf(text)]).toEqual([text, 4]);
      }),
    );
  });
});

function withByte(frame: Buffer, at: number, value: number): Buffer {
  const changed = Buffer.from(frame);
  changed[at] = value;
  return changed;
}
