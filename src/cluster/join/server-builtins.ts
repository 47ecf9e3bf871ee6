/** The builtins of a server that other machines can join, and those of one that joins others. */
import type { Builtin } from '../../unit/builtin.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { ClusterPorts } from '../builtins.ts';
import type { Connect } from '../api-objects.ts';
import { configFilesBuiltins } from '../config-files.ts';
import { dnsMemberBuiltins } from '../dns-membership.ts';
import { kubeClient, readCredentials } from '../kube-client.ts';
import { layoutOf } from '../layout.ts';
import { etcdMemberBuiltin } from '../members/etcd-member-builtin.ts';
import { etcdVoterBuiltin } from '../members/etcd-voter-builtin.ts';
import { ownMember } from '../members/own-member.ts';
import { nodeObjectBuiltin } from '../node-object.ts';
import { podCidrOf } from '../pod-network.ts';
import { apiServerUrl, type Settings } from '../settings.ts';
import { apiSourceBuiltin } from './api-source-builtin.ts';
import { clusterFinder } from './cluster-finder.ts';
import { ensureTokens, readRequiredToken } from './cluster-token.ts';
import { serverJoinBuiltin } from './server-join-builtin.ts';
import { originOf } from './server-url.ts';
import type { CriticalSettings } from './wire.ts';

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
    ...(settings.isJoining ? { join: joinOf(settings, ports) } : {}),
    ...(settings.hasApiServer
      ? dnsMemberBuiltins(settings, adminOf(settings, clock), clock)
      : { 'api-source': apiSourceOf(settings, ports) }),
    // The first server takes the first part of the pod network as soon as there is an API; who comes later is given one.
    ...(settings.isJoining || !settings.hasApiServer ? givenPodNetwork(settings, ports) : {}),
  };
}

const criticalOf = ({ clusterCidr, serviceCidr, clusterDns, clusterDomain }: Settings): CriticalSettings => ({
  clusterCidr,
  serviceCidr,
  clusterDns,
  clusterDomain,
});

function joinOf(settings: Settings, { clock, notice }: ClusterPorts): Builtin {
  const layout = layoutOf(settings);
  const token = () => readRequiredToken(settings, 'server');
  return serverJoinBuiltin({
    layout,
    nodeName: settings.nodeName,
    settings: criticalOf(settings),
    vipApiserver: settings.vipApiserver,
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
  });
}

function apiSourceOf(settings: Settings, { clock }: ClusterPorts): Builtin {
  return apiSourceBuiltin({
    layout: layoutOf(settings),
    origin: originOf(settings.nodeIp, settings.joinPort),
    apiServer: apiServerUrl(settings),
    settings: criticalOf(settings),
    clock,
  });
}

function adminOf(settings: Settings, clock: Clock): Connect {
  const { serverTls } = layoutOf(settings);
  return async () => kubeClient(await readCredentials(apiServerUrl(settings), serverTls, 'client-admin'), clock);
}

function givenPodNetwork(settings: Settings, { clock }: ClusterPorts): Record<'node-object' | 'cni', Builtin> {
  const { nodeName } = settings;
  const connect = adminOf(settings, clock);
  return {
    'node-object': nodeObjectBuiltin(nodeName, { clock, connect }),
    cni: async (context) => {
      using client = await connect();
      const podCidr = await podCidrOf(client, nodeName, context.signal);
      await configFilesBuiltins({ ...settings, podCidr }).cni(context);
    },
  };
}
