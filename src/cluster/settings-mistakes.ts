/** What settings that are each in order contradict in each other, told by flag. Pure. */
import { partMistakes, type ControlPlaneParts } from './control-plane-parts.ts';
import { contains, overlaps, parseAddress, parseNetwork, type Network } from './ipv4.ts';
import { flagOf, portNames, type PortName } from './settings-schema.ts';

export interface ComparedSettings extends Readonly<Record<PortName, number>>, ControlPlaneParts {
  readonly nodeIp: string;
  readonly clusterCidr: string;
  readonly serviceCidr: string;
  readonly podCidr: string;
  readonly clusterDns: string;
  /** Without this machine itself. */
  readonly servers: readonly unknown[];
  readonly token: unknown;
  readonly tokenFile: string | undefined;
  readonly vipPool: readonly string[];
  readonly vipInterface: unknown;
  readonly vipWindow: readonly string[];
  readonly vipDefaultClass: boolean;
  readonly vipLeaseDurationMs: unknown;
  readonly vipRenewDeadlineMs: unknown;
  readonly vipRetryPeriodMs: unknown;
}

export function contradictionsOf(settings: ComparedSettings): string[] {
  const mistakes: string[] = [];
  const pods = parseNetwork(settings.clusterCidr) as Network;
  const services = parseNetwork(settings.serviceCidr) as Network;
  const nodeIp = parseAddress(settings.nodeIp) ?? 0;
  const dns = parseAddress(settings.clusterDns);
  if (overlaps(pods, services)) {
    mistakes.push(`--cluster-cidr ${settings.clusterCidr} and --service-cidr ${settings.serviceCidr} overlap`);
  }
  if (services.prefix > 28)
    mistakes.push(`--service-cidr ${settings.serviceCidr} is too small: at least a /28 is needed`);
  if (dns === undefined || !contains(services, dns)) {
    mistakes.push(`--cluster-dns ${settings.clusterDns} must lie in --service-cidr ${settings.serviceCidr}`);
  }
  const podNetwork = parseNetwork(settings.podCidr) as Network;
  if (!contains(pods, podNetwork.base) || podNetwork.prefix < pods.prefix) {
    mistakes.push(`--pod-cidr ${settings.podCidr} must lie in --cluster-cidr ${settings.clusterCidr}`);
  }
  for (const [flag, taken] of [
    ['--cluster-cidr', pods],
    ['--service-cidr', services],
  ] as const) {
    if (contains(taken, nodeIp)) mistakes.push(`--node-ip ${settings.nodeIp} must not lie in ${flag}`);
  }
  if (settings.token !== undefined && settings.tokenFile !== undefined) {
    mistakes.push('--token and --token-file exclude each other');
  }
  if (settings.isJoining && !settings.hasJoined && settings.servers.length === 0) {
    mistakes.push(
      '--server names this machine itself and no other; the first server begins the cluster by --cluster-init',
    );
  }
  if (settings.vipPool.length === 0) {
    const { vipInterface, vipLeaseDurationMs, vipRenewDeadlineMs, vipRetryPeriodMs } = settings;
    const given = {
      '--vip-interface': vipInterface !== undefined,
      '--vip-window': settings.vipWindow.length > 0,
      '--vip-default-class': settings.vipDefaultClass,
      '--vip-lease-duration': vipLeaseDurationMs !== undefined,
      '--vip-renew-deadline': vipRenewDeadlineMs !== undefined,
      '--vip-retry-period': vipRetryPeriodMs !== undefined,
    };
    for (const [flag, isGiven] of Object.entries(given)) {
      if (isGiven) mistakes.push(`${flag} needs --vip-pool: without a pool there are no virtual IPs`);
    }
  }
  mistakes.push(...partMistakes(settings));
  const users = new Map<number, PortName>();
  for (const name of portNames) {
    const other = users.get(settings[name]);
    if (other !== undefined) mistakes.push(`${flagOf(name)} and ${flagOf(other)} are both ${String(settings[name])}`);
    users.set(settings[name], name);
  }
  return mistakes;
}
