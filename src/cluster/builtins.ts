/** The builtins that the shipped units run, by the name that stands in their `run` or `undo`. */
import { readFile } from 'node:fs/promises';
import type { Builtin, Builtins } from '../unit/builtin.ts';
import type { Clock } from '../kernel/clock.ts';
import { certificatesBuiltin } from './certificates.ts';
import type { Connect } from './api-objects.ts';
import { clusterDnsBuiltin, clusterDnsObjectsBuiltin } from './cluster-dns.ts';
import { configFilesBuiltins } from './config-files.ts';
import { containerBuiltins } from './container/builtins.ts';
import { firstPodBuiltins } from './first-pod.ts';
import { importImagesBuiltin } from './images.ts';
import { kernelSettingsBuiltins } from './kernel-settings.ts';
import { kubeClient, readCredentials } from './kube-client.ts';
import { kubeconfigsBuiltin } from './kubeconfigs.ts';
import { layoutOf } from './layout.ts';
import { namespaceDefaultsBuiltin } from './namespace-defaults.ts';
import { cleanupBuiltins } from './node-cleanup.ts';
import { nodeObjectBuiltin } from './node-object.ts';
import { nodeReadyBuiltin } from './node-ready.ts';
import { removeNotReadyTaint } from './not-ready-taint.ts';
import { schedulerRoleBuiltin } from './scheduler-role.ts';
import { apiServerUrl, type Settings } from './settings.ts';
import { vipObjectsBuiltin } from './vip-objects.ts';

export interface ClusterPorts {
  readonly clock: Clock;
  /** Tells a person what is no failure. */
  notice(text: string, unit: string): void;
}

export function clusterBuiltins(settings: Settings, { clock, notice }: ClusterPorts): Builtins {
  const url = apiServerUrl(settings);
  const { serverTls } = layoutOf(settings);
  // The administrator's files are read at each connection: they may have been renewed meanwhile.
  const connect: Connect = async () => kubeClient(await readCredentials(url, serverTls, 'client-admin'), clock);
  const table: Record<string, Builtin> = {
    certificates: certificatesBuiltin(settings, { clock, notice: (text) => notice(text, 'certificates') }),
    kubeconfigs: kubeconfigsBuiltin(settings),
    'import-images': importImagesBuiltin(settings),
    'cluster-dns-objects': clusterDnsObjectsBuiltin(settings, connect),
    'vip-objects': vipObjectsBuiltin(connect, settings),
    'cluster-dns': clusterDnsBuiltin(settings, clock),
    'namespace-defaults': namespaceDefaultsBuiltin({
      ...{ clock, connect },
      rootCa: () => readFile(`${serverTls}/server-ca.crt`, 'utf8'),
    }),
    'scheduler-role': schedulerRoleBuiltin({
      clock,
      connect: async () => kubeClient(await readCredentials(url, serverTls, 'client-scheduler'), clock),
    }),
    'node-object': nodeObjectBuiltin(settings.nodeName, {
      clock,
      connect,
      // A single node gets the first part whatever it says; beside others it has to say so.
      podCidr: settings.role === 'server' ? settings.podCidr : undefined,
    }),
    'node-ready': nodeReadyBuiltin(settings.nodeName, {
      ...{ clock, connect },
      whenReady: (client, context) => removeNotReadyTaint(client, settings.nodeName, context),
    }),
    ...configFilesBuiltins(settings),
    ...kernelSettingsBuiltins(settings),
    ...firstPodBuiltins(settings, connect),
    ...cleanupBuiltins(settings),
    ...containerBuiltins(settings),
  };
  return new Map(Object.entries(table));
}
