/** What is said to rtnetlink, and this machine's own answers. Changes on a real kernel: test/cluster/vip-actuator.test.ts. */
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/kernel/clock.ts';
import { runProgram } from '../../../src/process/run-program.ts';
import { parseLinks, type Link } from '../../../src/vip/actuate/network-state.ts';
import { changeRequests, readRouteMessages, type NumberedChange } from '../../../src/vip/actuate/route-messages.ts';
import { routeNetlink } from '../../../src/vip/actuate/route-netlink.ts';

const hex = (...parts: readonly string[]) => parts.join('').replaceAll(' ', '');
const bytes = (...parts: readonly string[]) => Buffer.from(hex(...parts), 'hex');

const requestFor = (...changes: readonly NumberedChange[]) => changeRequests(changes, new Map([['eth0', 7]]));

describe('a request', () => {
  test('adds an address that nobody prefers, or says anew how long it is there', () => {
    const request = requestFor({ address: '10.98.0.50', interface: 'eth0', validS: 30, number: 5 });
    expect(request.toString('hex')).toBe(
      hex(
        '44000000 1400 0105 05000000 00000000', // RTM_NEWADDR; request, replace, create
        '02 20 00 00 07000000',
        '0800 0200 0a620032 0800 0100 0a620032',
        '1400 0600 00000000 1e000000 00000000 00000000',
        '0800 0800 00020000',
      ),
    );
  });

  test('of IPv6 asks for no search of duplicates', () => {
    const request = requestFor({ address: 'fd98::50', interface: 'eth0', validS: 30, number: 5 });
    expect(request.subarray(-8).toString('hex')).toBe(hex('0800 0800 02020000'));
    expect([request[16], request[17]]).toEqual([10, 128]);
  });

  test('may be of many at once', () => {
    const [one, other] = [
      { address: '10.98.0.50', interface: 'eth0', validS: 30, number: 1 },
      { address: 'fd98::50', interface: 'eth0', validS: undefined, number: 2 },
    ];
    expect(requestFor(one, other, one)).toEqual(Buffer.concat([requestFor(one), requestFor(other), requestFor(one)]));
  });

  test('takes an address away', () => {
    const request = requestFor({ address: '10.98.0.50', interface: 'eth0', validS: undefined, number: 5 });
    expect(request.toString('hex')).toBe(
      hex('28000000 1500 0100 05000000 00000000', '02 20 00 00 07000000', '0800 0200 0a620032 0800 0100 0a620032'),
    );
  });
});

describe('an answer', () => {
  const end = bytes('14000000 0300 0200 01000000 00000000', '00000000');

  test('ends', () => {
    expect(readRouteMessages(end)).toEqual([{ kind: 'end', errno: 0, sequence: 1, text: '' }]);
  });

  test('is a complaint, with its text', () => {
    const complaint = bytes(
      '30000000 0200 0003 05000000 00000000',
      '9dffffff',
      '28000000 1500 0100 05000000 00000000',
      '0900 0100 4e6f706500 000000',
    );
    expect(readRouteMessages(complaint)).toEqual([{ kind: 'end', errno: 99, sequence: 5, text: 'Nope' }]);
  });

  test('tells that it lacks something', () => {
    const interrupted = Buffer.from(end);
    interrupted.writeUInt16LE(0x12, 6);
    expect(readRouteMessages(interrupted)[0]).toEqual({ kind: 'interrupted' });
  });

  test.each([
    ['is cut off', end.subarray(0, 18)],
    ['says that it is longer than it is', bytes('ff000000 1400 0000 01000000 00000000', '02200000 07000000')],
    ['says that it has no length', bytes('00000000 1400 0000 01000000 00000000')],
  ])('that %s is none', (_why, datagram) => {
    expect(readRouteMessages(datagram)).toEqual([]);
  });
});

const routes = process.platform === 'linux' ? routeNetlink(systemClock) : undefined;

describe.skipIf(routes === undefined)('this machine’s kernel', () => {
  test('tells what `ip` tells', async () => {
    const told = parseLinks((await runProgram({ argv: ['ip', '-json', 'address', 'show'] })).stdout);
    const byName = (links: readonly Link[] = []) => [...links].sort((a, b) => a.index - b.index);
    expect(byName(routes?.links())).toEqual(byName(told));
  });

  test('has no interface of a name that nobody has', async () => {
    const change = { address: '10.98.0.50', interface: 'k3s-lite-none', validS: 30 };
    expect(await routes?.change([change])).toBe('there is no interface k3s-lite-none');
  });
});
