/**
 * The addresses of servers, in the one way of writing them that serves as their identity:
 * "host:port", lower case, IPv6 in brackets. Pure; names are not resolved here, each dial does that.
 */
import { describeAddress, parseTcpAddress } from '../probe/connection.ts';
import { err, ok, type Result } from '../kernel/result.ts';

/** "10.0.0.1:6443", "[fd00::1]:6443", "server-1.example:6443". */
export function parseServerAddress(text: string): Result<string, string> {
  const trimmed = text.trim().toLowerCase();
  const address = parseTcpAddress(trimmed);
  if (address?.kind !== 'tcp' || !/^[^:]+:|^\[/.test(trimmed)) {
    return err(`"${text}" is not host:port with a port from 1 to 65535`);
  }
  return ok(describeAddress(address));
}

/** The server that a URL names; without a port the scheme's own. Source: K3s takes 443 and 80. */
export function serverOfUrl(text: string): Result<string, string> {
  if (!URL.canParse(text)) return err(`"${text}" is not a URL, like https://10.0.0.1:6443`);
  const { protocol, hostname, port } = new URL(text);
  const ownPort = { 'https:': '443', 'http:': '80' }[protocol];
  if (ownPort === undefined) return err(`"${text}" begins with neither https:// nor http://`);
  return parseServerAddress(`${hostname}:${port === '' ? ownPort : port}`);
}

export interface CleanAddresses {
  /** Each once, sorted. */
  readonly addresses: readonly string[];
  /** What was not empty and yet no address, with the reason. */
  readonly refused: readonly string[];
  /** The address that was looked for is among them. */
  readonly found: boolean;
}

/** Makes one list of what somebody told: nothing empty, nothing twice, always in the same order. */
export function cleanAddresses(texts: readonly string[], lookFor = ''): CleanAddresses {
  const addresses = new Set<string>();
  const refused: string[] = [];
  for (const text of texts) {
    if (text.trim() === '') continue;
    const parsed = parseServerAddress(text);
    if (parsed.ok) addresses.add(parsed.value);
    else refused.push(parsed.error);
  }
  const wanted = parseServerAddress(lookFor);
  return { addresses: [...addresses].sort(), refused, found: wanted.ok && addresses.has(wanted.value) };
}

/** True if a connection to `server` would come back to the listener at `own`: the same port of this machine. */
export function isOwnAddress(server: string, own: string): boolean {
  if (server === own) return true;
  const [there, here] = [parseTcpAddress(server), parseTcpAddress(own)];
  if (there?.kind !== 'tcp' || here?.kind !== 'tcp' || there.port !== here.port) return false;
  // "Any address" answers on each of the loopback; two addresses of the loopback are otherwise two places.
  const isAny = here.host === '0.0.0.0' || here.host === '::';
  return there.host === 'localhost' || (isAny && (there.host === '::1' || there.host.startsWith('127.')));
}
