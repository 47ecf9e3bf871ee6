/**
 * The `resolv-conf` builtin: names inside the container. Engines differ in what they give: no
 * /etc/hosts, no /etc/resolv.conf, or a resolver on loopback (the engine's own), which pods cannot reach.
 *
 * The loopback resolver itself needs no change here: cluster DNS runs on the node and asks it, and pods
 * ask cluster DNS (see `corefile` and `podResolvConf` in config-files.ts). It is only said.
 */
import { writeFile } from 'node:fs/promises';
import type { Builtin } from '../../unit/builtin.ts';
import { nameserversOf } from '../resolvers.ts';
import { readIfThere } from '../../kernel/stored-file.ts';
import type { ContainerPlace } from './place.ts';

export interface NodeNames {
  readonly nodeName: string;
  readonly nodeIp: string;
}

/** The lines that /etc/hosts lacks. Source: hosts(5). */
export function missingHosts(hosts: string, { nodeName, nodeIp }: NodeNames): readonly string[] {
  const known = new Set(
    hosts.split('\n').flatMap((line) =>
      line
        .replace(/#.*/, '')
        .split(/\s+/)
        .slice(1)
        .filter((name) => name !== ''),
    ),
  );
  const wanted = [`127.0.0.1 localhost`, `::1 localhost`, `${nodeIp} ${nodeName}`];
  return wanted.filter((line) => !known.has(line.split(' ')[1] ?? ''));
}

export function resolvConfBuiltin({ root }: ContainerPlace, names: NodeNames): Builtin {
  return async ({ log }) => {
    const hostsFile = `${root}/etc/hosts`;
    const hosts = (await readIfThere(hostsFile)) ?? '';
    const missing = missingHosts(hosts, names);
    if (missing.length > 0) {
      const separator = hosts === '' || hosts.endsWith('\n') ? '' : '\n';
      // In place and not by renaming: the engine may have mounted the file.
      await writeFile(hostsFile, `${hosts}${separator}${missing.join('\n')}\n`);
      log(`/etc/hosts: added ${missing.join(', ')}`);
    }
    const text = await readIfThere(`${root}/etc/resolv.conf`);
    if (text === undefined) await writeFile(`${root}/etc/resolv.conf`, '');
    const { usable, loopback } = nameserversOf(text ?? '');
    if (usable.length > 0) log(`names outside of the cluster are asked of ${usable.join(', ')}`);
    else if (loopback.length > 0) {
      log(`the resolver ${loopback.join(', ')} is on loopback: cluster DNS asks it, pods ask cluster DNS`);
    } else log('no resolver in /etc/resolv.conf: names outside of the cluster are not known');
  };
}
