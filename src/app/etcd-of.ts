/** How commands reach the etcd of one data directory: by what its `up` was asked for, or would be. */
import { etcdClient, type EtcdClient } from '../cluster/etcd/etcd-client.ts';
import { layoutOf } from '../cluster/layout.ts';
import { etcdTls } from '../cluster/members/own-member.ts';
import { resolveSettings, type Settings } from '../cluster/settings.ts';
import { systemClock } from '../kernel/clock.ts';
import type { Configuration } from './configuration.ts';
import { readLastUp } from './last-up.ts';
import { settingsInput } from './prepare.ts';

/** With the flags of the `up` that runs, where there is one; those given now come first. */
export function asLastUp(configuration: Configuration): Configuration {
  const { paths, values } = configuration;
  return { ...configuration, values: { ...readLastUp(paths.runDir)?.values, ...values } };
}

/** @throws StartupError ERR_CONFIG */
export function settingsOf({ paths, values }: Configuration, cwd: string): Settings {
  return resolveSettings(settingsInput(values, cwd), { dataDir: paths.dataDir, runDir: paths.runDir, searchPath: [] });
}

/** The member on this machine. */
export function ownEndpoint({ etcdClientPort }: Pick<Settings, 'etcdClientPort'>): string {
  return `https://127.0.0.1:${String(etcdClientPort)}`;
}

export function etcdClientOf(
  place: Pick<Settings, 'dataDir' | 'runDir'>,
  endpoints: readonly string[],
  requestMs?: number,
): EtcdClient {
  const limit = requestMs === undefined ? {} : { requestMs };
  return etcdClient({ endpoints, tls: etcdTls(layoutOf(place).serverTls), clock: systemClock, ...limit });
}
