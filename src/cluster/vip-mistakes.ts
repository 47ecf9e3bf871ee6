/** What settings of virtual IPs contradict, told by flag. Pure. What pools and windows are, the room `vip` says. */
import type { ControlPlaneParts } from './control-plane-parts.ts';
import { contains, parseAddress, parseNetwork, type Network } from './ipv4.ts';

export interface ComparedVips extends Pick<ControlPlaneParts, 'role' | 'hasApiServer'> {
  readonly nodeIp: string;
  readonly clusterCidr: string;
  readonly serviceCidr: string;
  readonly vipPool: readonly string[];
  readonly vipApiserver: string | undefined;
  readonly vipInterface: unknown;
  readonly vipWindow: readonly string[];
  readonly vipDefaultClass: boolean;
  readonly vipElection: unknown;
  readonly vipBalance: unknown;
  readonly vipLeaseDurationMs: unknown;
  readonly vipRenewDeadlineMs: unknown;
  readonly vipRetryPeriodMs: unknown;
}

export function vipMistakes(settings: ComparedVips, ownAddresses: ReadonlySet<string>): readonly string[] {
  const { vipPool, vipApiserver, vipElection, vipBalance } = settings;
  return [
    ...(vipElection === 'per-service' && vipBalance === 'load'
      ? ['--vip-balance load does not go with --vip-election per-service: there nothing is moved for balance']
      : []),
    ...(vipPool.length > 0 ? [] : withoutPool(settings)),
    ...(vipApiserver === undefined ? [] : apiServerMistakes(vipApiserver, settings, ownAddresses)),
  ];
}

function withoutPool(settings: ComparedVips): readonly string[] {
  const { vipInterface, vipElection, vipLeaseDurationMs, vipRenewDeadlineMs, vipRetryPeriodMs } = settings;
  const ofServices = {
    '--vip-window': settings.vipWindow.length > 0,
    '--vip-default-class': settings.vipDefaultClass,
    '--vip-balance': settings.vipBalance !== undefined,
  };
  const ofAll = {
    '--vip-interface': vipInterface !== undefined,
    '--vip-election': vipElection !== undefined,
    '--vip-lease-duration': vipLeaseDurationMs !== undefined,
    '--vip-renew-deadline': vipRenewDeadlineMs !== undefined,
    '--vip-retry-period': vipRetryPeriodMs !== undefined,
  };
  const given = (flags: Readonly<Record<string, boolean>>) => Object.keys(flags).filter((flag) => flags[flag]);
  return [
    ...given(ofServices).map((flag) => `${flag} needs --vip-pool: without a pool there are no virtual IPs of Services`),
    ...(settings.vipApiserver !== undefined ? [] : given(ofAll)).map(
      (flag) => `${flag} needs --vip-pool or --vip-apiserver: without them there are no virtual IPs`,
    ),
  ];
}

/** First octets of addresses that no machine can have for others. Source: RFC 6890. */
const isOfNoMachine = (address: number): boolean => {
  const first = Math.floor(address / 2 ** 24);
  return first === 0 || first === 127 || first >= 224;
};

function apiServerMistakes(
  vip: string,
  { role, hasApiServer, nodeIp, clusterCidr, serviceCidr }: ComparedVips,
  ownAddresses: ReadonlySet<string>,
): readonly string[] {
  const flag = `--vip-apiserver ${vip}`;
  const address = parseAddress(vip) ?? 0;
  if (role === 'agent') return [`${flag} is for servers: an agent reaches it by --server https://${vip}:6443`];
  return [
    ...(hasApiServer ? [] : [`${flag} does not go with --disable-apiserver: it would lead to no API server`]),
    ...(isOfNoMachine(address) ? [`${flag} can be no machine’s address: take a free one of the servers’ network`] : []),
    ...(vip === nodeIp || ownAddresses.has(vip)
      ? [
          `${flag} is this machine’s own: it has to be a free address of the servers’ network, which one of them has at a time`,
        ]
      : []),
    ...Object.entries({ '--cluster-cidr': clusterCidr, '--service-cidr': serviceCidr }).flatMap(([name, network]) =>
      contains(parseNetwork(network) as Network, address) ? [`${flag} must not lie in ${name} ${network}`] : [],
    ),
  ];
}
