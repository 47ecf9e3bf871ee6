/** The builtins of a server that other machines can join, and those of one that joins others. */
import type { Builtin } from '../../unit/builtin.ts';
import type { ClusterPorts } from '../builtins.ts';
import type { Connect } from '../cluster-dns.ts';
import { configFilesBuiltins } from '../config-files.ts';
import { kubeClient, readCredentials } from '../kube-client.ts';
import { layoutOf } from '../layout.ts';
import { etcdMemberBuiltin } from '../members/etcd-member-builtin.ts';
import { etcdVoterBuiltin } from '../members/etcd-voter-builtin.ts';
import { ownMember } from '../members/own-member.ts';
import { nodeObjectBuiltin } from '../node-object.ts';
import { podCidrOf } from '../pod-network.ts';
import type { Settings } from '../settings.ts';
import { clusterFinder } from './cluster-finder.ts';
import { ensureTokens, readRequiredToken } from './cluster-token.ts';
import { serverJoinBuiltin } from './server-join-builtin.ts';

export function serverBuiltins(settings: Settings, ports: ClusterPorts): Record<string, Builtin> {
  const { clock, notice } = ports;
  const layout = layoutOf(settings);
  const own = ownMember(settings);
  return {
    token: async ({ log }) => {
      const { isNew, isGivenIgnored } = await ensureTokens(layout, settings);
      log(`the tokens are in ${layout.serverToken} and, for agents, ${layout.nodeToken}`);
      if (isNew) log('they are new');
      if (isGivenIgnored) {
        notice(
          `the token that was given is not that of this cluster any more: the one in ${layout.serverToken} counts`,
          'token',
        );
      }
    },
    'etcd-member': etcdMemberBuiltin({
      layout,
      own,
      isJoining: settings.isJoining,
      clock,
      notice: (text) => notice(text, 'etcd-member'),
    }),
    'etcd-voter': etcdVoterBuiltin({ layout, own, clock }),
    ...(settings.isJoining ? joiningBuiltins(settings, ports) : {}),
  };
}

function joiningBuiltins(settings: Settings, { clock, notice }: ClusterPorts): Record<string, Builtin> {
  const { nodeName, clusterCidr, serviceCidr, clusterDns, clusterDomain } = settings;
  const layout = layoutOf(settings);
  const token = () => readRequiredToken(settings, 'server');
  const url = `https://127.0.0.1:${String(settings.httpsListenPort)}`;
  const connect: Connect = async () => kubeClient(await readCredentials(url, layout.serverTls, 'client-admin'), clock);
  return {
    join: serverJoinBuiltin({
      layout,
      nodeName,
      settings: { clusterCidr, serviceCidr, clusterDns, clusterDomain },
      finder: clusterFinder({
        urls: settings.servers,
        file: layout.knownServers,
        token,
        clock,
        random: Math.random,
        log: (line) => notice(line, 'join'),
      }),
      token,
      clock,
      notice: (text) => notice(text, 'join'),
    }),
    // The first server takes the first part of the pod network; who comes later is given one.
    'node-object': nodeObjectBuiltin(nodeName, { clock, connect }),
    cni: async (context) => {
      using client = await connect();
      await configFilesBuiltins({ ...settings, podCidr: await podCidrOf(client, nodeName, context.signal) }).cni(
        context,
      );
    },
  };
}
