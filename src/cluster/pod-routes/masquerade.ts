/**
 * What pods of a cluster of several nodes send to the world leaves with their node's address; what
 * they send to each other keeps theirs, on whichever nodes they are. The bridge plugin's own rule
 * knows this node's pods only, and would hide who asks from pods of other nodes.
 *
 * Source of the rule: Kubernetes, "pods can communicate with all other pods on any node without NAT".
 */
import type { BuiltinContext } from '../../unit/builtin.ts';
import { deleteTable } from '../nft-tables.ts';

export const masqueradeTable = { family: 'ip', name: 'k3s-lite-pods' } as const;

export interface PodNetworks {
  readonly podCidr: string;
  readonly clusterCidr: string;
}

/** One transaction: the table is never missing, and never there twice. Priority: nft(8), `srcnat`. */
export function masqueradeRules({ podCidr, clusterCidr }: PodNetworks): string {
  const { family, name } = masqueradeTable;
  return [
    `add table ${family} ${name}`,
    `delete table ${family} ${name}`,
    `table ${family} ${name} {`,
    '  chain postrouting {',
    '    type nat hook postrouting priority srcnat; policy accept;',
    `    ip saddr ${podCidr} ip daddr != { ${clusterCidr}, 224.0.0.0/4 } counter masquerade fully-random`,
    '  }',
    '}',
  ].join('\n');
}

/** @throws an Error with what nft says */
export async function setMasquerade(run: BuiltinContext['run'], networks: PodNetworks): Promise<void> {
  const { exit, output } = await run(['nft', masqueradeRules(networks)]);
  if (exit.kind === 'code' && exit.code === 0) return;
  throw new Error(`nft refuses the rule by which pods reach the world: ${output.trim().split('\n')[0] ?? ''}`);
}

/** @returns false when there was none */
export const removeMasquerade = (run: BuiltinContext['run']): Promise<boolean> => deleteTable(run, masqueradeTable);
