/** An address to listen on, as a person writes it. Pure. */
import { StartupError } from '../error/startup-error.ts';

export interface BindAddress {
  readonly host: string;
  readonly port: number;
}

/** "127.0.0.1:9464", "[::1]:9464". @throws StartupError ERR_CONFIG */
export function parseBindAddress(text: string): BindAddress {
  const [, ipv6, name, port = ''] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = ipv6 ?? name;
  if (host !== undefined && Number(port) <= 65_535) return { host, port: Number(port) };
  const hint = /^:?\d+$/.test(text)
    ? `say on which address: 127.0.0.1:${text.replace(':', '')} for this machine alone`
    : 'write ADDRESS:PORT, like 127.0.0.1:9464 or [::1]:9464';
  throw new StartupError('ERR_CONFIG', `--metrics-bind-address is "${text}", but must be an address and a port`, {
    value: text,
    hint,
  });
}
