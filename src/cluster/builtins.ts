/**
 * The builtins that the shipped units run, by the name that stands in their `run` or `undo`.
 *
 * Their code is loaded when they run, and in a turn of its own: the first process waits for one of them alone, the
 * certificates, and that one's is here.
 */
import type { Clock } from '../kernel/clock.ts';
import { fsPromises, lazily } from '../kernel/lazily.ts';
import type { Builtin, Builtins } from '../unit/builtin.ts';
import type { Connect } from './api-objects.ts';
import { certificatesBuiltin } from './certificates.ts';
import { layoutOf } from './layout.ts';
import { apiServerUrl, type Settings } from './settings.ts';

export interface ClusterPorts {
  readonly clock: Clock;
  /** Tells a person what is no failure. */
  notice(text: string, unit: string): void;
}

type Table<Name extends string> = Readonly<Record<Name, Builtin>>;

export function clusterBuiltins(settings: Settings, { clock, notice }: ClusterPorts): Builtins {
  const { serverTls } = layoutOf(settings);
  // A user's files are read at each connection: they may have been renewed meanwhile.
  const connectAs =
    (user: string): Connect =>
    async () => {
      const { kubeClient, readCredentials } = await import('./kube-client.ts');
      return kubeClient(await readCredentials(apiServerUrl(settings), serverTls, user), clock);
    };
  const connect = connectAs('client-admin');
  const turn = () => new Promise<void>((resolve) => void clock.later(resolve));

  const all = <Name extends string>(load: () => Promise<Table<Name>>, ...names: readonly Name[]): Table<Name> => {
    const loaded = lazily(() => turn().then(load));
    const builtin =
      (name: Name): Builtin =>
      async (context) => {
        const functions = await loaded();
        context.signal.throwIfAborted();
        await functions[name](context);
      };
    return Object.fromEntries(names.map((name) => [name, builtin(name)])) as Table<Name>;
  };
  const one = <Name extends string>(name: Name, load: () => Promise<Builtin>): Table<Name> =>
    all(async () => ({ [name]: await load() }) as Table<Name>, name);

  const table: Record<string, Builtin> = {
    certificates: certificatesBuiltin(settings, { clock, notice: (text) => notice(text, 'certificates') }),
    ...one('kubeconfigs', async () => (await import('./kubeconfigs.ts')).kubeconfigsBuiltin(settings)),
    ...all(
      async () => (await import('./config-files.ts')).configFilesBuiltins(settings),
      ...(['config-files', 'cni'] as const),
    ),
    ...all(
      async () => (await import('./kernel-settings.ts')).kernelSettingsBuiltins(settings),
      ...(['kernel-settings', 'restore-kernel-settings'] as const),
    ),
    ...one('import-images', async () => (await import('./images.ts')).importImagesBuiltin(settings)),
    ...one('cluster-dns-objects', async () =>
      (await import('./cluster-dns.ts')).clusterDnsObjectsBuiltin(settings, connect),
    ),
    ...one('cluster-dns', async () => (await import('./cluster-dns.ts')).clusterDnsBuiltin(settings, clock)),
    ...one('vip-objects', async () => (await import('./vip-objects.ts')).vipObjectsBuiltin(connect, settings)),
    ...one('namespace-defaults', async () =>
      (await import('./namespace-defaults.ts')).namespaceDefaultsBuiltin({
        ...{ clock, connect },
        rootCa: () => fsPromises().readFile(`${serverTls}/server-ca.crt`, 'utf8'),
      }),
    ),
    ...one('scheduler-role', async () =>
      (await import('./scheduler-role.ts')).schedulerRoleBuiltin({ clock, connect: connectAs('client-scheduler') }),
    ),
    ...one('node-object', async () =>
      (await import('./node-object.ts')).nodeObjectBuiltin(settings.nodeName, {
        ...{ clock, connect },
        // A single node gets the first part whatever it says; beside others it has to say so.
        podCidr: settings.role === 'server' ? settings.podCidr : undefined,
      }),
    ),
    ...one('node-ready', async () => {
      const { removeNotReadyTaint } = await import('./not-ready-taint.ts');
      return (await import('./node-ready.ts')).nodeReadyBuiltin(settings.nodeName, {
        ...{ clock, connect },
        whenReady: (client, context) => removeNotReadyTaint(client, settings.nodeName, context),
      });
    }),
    ...all(
      async () => (await import('./first-pod.ts')).firstPodBuiltins(settings, connect),
      ...(['first-pod', 'remove-first-pod'] as const),
    ),
    ...all(
      async () => (await import('./node-cleanup.ts')).cleanupBuiltins(settings),
      ...(['remove-pods', 'remove-proxy-rules', 'remove-links', 'remove-containerd-state'] as const),
    ),
    ...all(
      async () => (await import('./container/builtins.ts')).containerBuiltins(settings),
      ...(['cgroup-mounts', 'cgroup-nesting', 'data-volume', 'iptables-flavour', 'kmsg'] as const),
      ...(['machine-id', 'product-uuid', 'resolv-conf', 'run-tmpfs', 'shared-mounts'] as const),
    ),
  };
  return new Map(Object.entries(table));
}
