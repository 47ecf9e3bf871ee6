/** From what the configuration says to the probe that asks one server. */
import { describeAddress, parseTcpAddress } from '../probe/connection.ts';
import { httpProbe } from '../probe/http.ts';
import type { Probe } from '../probe/probe.ts';
import { connectProbe } from '../probe/tcp.ts';
import type { TlsFiles } from '../probe/tls.ts';

export type CheckKind =
  /** The API server's own word. Anybody may ask for it; certificates are only needed where that was forbidden. */
  | ({ readonly kind: 'readyz'; readonly exclude?: readonly string[] | undefined } & TlsFiles)
  /** A GET is answered with 2xx: etcd's /health, or something of one's own. */
  | ({
      readonly kind: 'get';
      readonly scheme: 'http' | 'https';
      readonly path: string;
      /** Where another port answers than the one that is balanced. */
      readonly port?: number | undefined;
    } & TlsFiles)
  /** It accepts connections. */
  | { readonly kind: 'tcp' }
  /** Nothing is asked: only what dials and connections tell. */
  | { readonly kind: 'none' };

/** Undefined when nothing is to be asked. */
export function createCheck(check: CheckKind, address: string): Probe | undefined {
  const parsed = parseTcpAddress(address);
  if (check.kind === 'none' || parsed?.kind !== 'tcp') return undefined;
  if (check.kind === 'tcp') return connectProbe(parsed);
  const { ca, cert, key, serverName } = check;
  const tls = { ca, cert, key, serverName };
  if (check.kind === 'readyz') {
    return httpProbe({ url: new URL(`https://${address}/readyz`), exclude: check.exclude, tls });
  }
  const { scheme, path, port = parsed.port } = check;
  const where = describeAddress({ ...parsed, port });
  return httpProbe({ url: new URL(`${scheme}://${where}${path}`), ...(scheme === 'https' ? { tls } : {}) });
}
