/**
 * Where a cluster may be joined: `--server` values as people write them, and the addresses that each
 * one stands for. Pure.
 *
 * K3s serves joining and the API on one port (6443), k3s-lite joining on its own (9345, RKE2's
 * number). So that a URL written for K3s works, one with no port or with the API's is tried as it
 * stands first and on 9345 after that; whoever joins says which of the two answered.
 */
import { StartupError } from '../../error/startup-error.ts';

/** Port of the join server. Source: RKE2's supervisor port. */
export const joinPort = 9345;
/** Port of the API server, and of K3s's supervisor. */
export const apiPort = 6443;

export interface JoinUrl {
  /** As it was given; for messages. */
  readonly given: string;
  /** Name or address, without brackets. */
  readonly host: string;
  /** Ports to try, in order. */
  readonly ports: readonly number[];
}

/**
 * Reads `--server` values: each may hold several, separated by commas. Doubles are dropped.
 *
 * @throws StartupError ERR_CONFIG that lists every value that is wrong
 */
export function parseJoinUrls(values: readonly string[]): JoinUrl[] {
  const mistakes: string[] = [];
  const urls = new Map<string, JoinUrl>();
  for (const given of values.flatMap((value) => value.split(',')).map((text) => text.trim())) {
    if (given === '') continue;
    const parsed = parseJoinUrl(given);
    if (typeof parsed === 'string') mistakes.push(`--server ${redacted(given)} ${parsed}`);
    else urls.set(`${parsed.host} ${parsed.ports.join(' ')}`, parsed);
  }
  if (mistakes.length > 0) {
    throw new StartupError('ERR_CONFIG', `cannot use the servers to join: ${mistakes.join('; ')}`, { mistakes });
  }
  return [...urls.values()];
}

/** @returns what is wrong with it, as the end of a sentence, or the URL */
function parseJoinUrl(given: string): JoinUrl | string {
  const text = given.includes('://') ? given : `https://${given}`;
  if (!URL.canParse(text)) return 'is no URL; write it like https://server-1:9345';
  const url = new URL(text);
  if (url.protocol !== 'https:') return `must begin with https://, not ${url.protocol}//`;
  if (url.username !== '' || url.password !== '') return 'must not carry credentials; they belong into --token';
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') return 'must end after the port';
  const host = url.hostname.replace(/^\[|\]$/g, '');
  // URL drops a port that is its scheme's own.
  const port = url.port === '' ? (/:443\/?$/.test(text) ? 443 : undefined) : Number(url.port);
  if (port === 0) return 'must not have port 0';
  return { given, host, ports: port === undefined || port === apiPort ? [apiPort, joinPort] : [port] };
}

/** Does it lead to a machine with these addresses and names, whose join server has this port? */
export const isAddressOf = ({ host, ports }: JoinUrl, names: ReadonlySet<string>, port: number): boolean =>
  names.has(host) && ports.includes(port);

/** One origin with a port, ready for a request. */
export const originOf = (host: string, port: number): string =>
  `https://${host.includes(':') ? `[${host}]` : host}:${String(port)}`;

/** Credentials in a URL are a mistake, and messages reach logs. */
const redacted = (text: string): string => text.replace(/^([a-z]*:\/\/)?.*@/is, '$1…@');
