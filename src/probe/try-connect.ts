/**
 * Asks the kernel whether somebody listens at an address of this machine: four system calls, 10 µs.
 * A socket of Node.js takes ten times as long, and tells it one or two turns of the event loop later.
 */
import { constants } from 'node:os';
import { libc } from '../kernel/foreign.ts';
import { lazily, net } from '../kernel/lazily.ts';
import type { Address } from './connection.ts';

/** `full`: somebody listens, and has as many connections waiting as it may. */
export type Listening = 'accepts' | 'full' | 'nobody';

export type TryConnect = (address: Address) => Listening;

/** Sources: socket(2), ip(7), ipv6(7), unix(7) of Linux. */
const family = { unix: 1, ipv4: 2, ipv6: 10 };
const stream = 1;
const nonBlocking = 0o4000;
const closeOnExec = 0o2000000;
/** With a terminating zero. Source: unix(7). */
const longestPath = 108;
const { EINPROGRESS, EALREADY, EAGAIN } = constants.errno;

/** Undefined where there is no FFI for this platform. */
export const tryConnect = lazily(load);

function load(): TryConnect | undefined {
  const library = libc();
  if (library === undefined) return undefined;
  const socket = library.func('int socket(int family, int type, int protocol)');
  const connect = library.func('int connect(int fd, const void *address, unsigned int length)');
  const close = library.func('int close(int fd)');
  const attempt = (bytes: Buffer): Listening => {
    const fd = socket(bytes.readUInt16LE(0), stream | nonBlocking | closeOnExec, 0);
    if (fd < 0) return 'nobody';
    const ask = () => (connect(fd, bytes, bytes.length) === 0 ? 0 : library.errno());
    const first = ask();
    // The answer of this machine has come with the first call, and the second one tells it.
    const told = first === EINPROGRESS ? ask() : first;
    close(fd);
    if (told === 0) return 'accepts';
    // The first for tcp, the second for unix.
    return told === EALREADY || told === EAGAIN ? 'full' : 'nobody';
  };
  return (address) => {
    const all = socketAddresses(address).map(attempt);
    return all.find((one) => one === 'accepts') ?? all.find((one) => one === 'full') ?? 'nobody';
  };
}

/** As the kernel wants them, on a little-endian machine (all that Node.js 20 runs on but s390x, where only tcp and unix checks get slower). */
function socketAddresses(address: Address): readonly Buffer[] {
  if (address.kind === 'unix') {
    const name = Buffer.from(address.path);
    if (name.length >= longestPath) return [];
    const bytes = Buffer.alloc(2 + name.length + 1);
    bytes.writeUInt16LE(family.unix);
    name.copy(bytes, 2);
    return [bytes];
  }
  const { host, port } = address;
  if (host === 'localhost') return [ipv4(port, '127.0.0.1'), ipv6Loopback(port)];
  if (net().isIPv4(host)) return [ipv4(port, host)];
  return host === '::1' ? [ipv6Loopback(port)] : [];
}

function ipv4(port: number, host: string): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt16LE(family.ipv4);
  bytes.writeUInt16BE(port, 2);
  bytes.set(host.split('.').map(Number), 4);
  return bytes;
}

function ipv6Loopback(port: number): Buffer {
  const bytes = Buffer.alloc(28);
  bytes.writeUInt16LE(family.ipv6);
  bytes.writeUInt16BE(port, 2);
  bytes[23] = 1;
  return bytes;
}
