/** What settings that are each in order contradict in each other, told by flag. Pure. */
import { partMistakes, type ControlPlaneParts } from './control-plane-parts.ts';
import { contains, overlaps, parseAddress, parseNetwork, type Network } from './ipv4.ts';
import { flagOf, portNames, type PortName } from './settings-schema.ts';
import { vipMistakes, type ComparedVips } from './vip-mistakes.ts';

export interface ComparedSettings extends Readonly<Record<PortName, number>>, ControlPlaneParts, ComparedVips {
  readonly podCidr: string;
  readonly clusterDns: string;
  /** Without this machine itself. */
  readonly servers: readonly unknown[];
  readonly token: unknown;
  readonly tokenFile: string | undefined;
}

/** @param ownAddresses of this machine, without those that are its only for a while */
export function contradictionsOf(settings: ComparedSettings, ownAddresses: ReadonlySet<string>): string[] {
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
  mistakes.push(...vipMistakes(settings, ownAddresses));
  mistakes.push(...partMistakes(settings));
  const users = new Map<number, PortName>();
  for (const name of portNames) {
    const other = users.get(settings[name]);
    if (other !== undefined) mistakes.push(`${flagOf(name)} and ${flagOf(other)} are both ${String(settings[name])}`);
    users.set(settings[name], name);
  }
  return mistakes;
}
