/** docs/unit-reference.md: the reference of unit files, which needs the variables of the cluster. */
import { resolveSettings } from '../cluster/settings.ts';
import { variablesOf } from '../cluster/variables.ts';
import { unitReference } from '../unit/reference.ts';

export function unitReferencePage(): string {
  // Only names and meanings are used, so any settings will do that depend on no machine.
  const settings = resolveSettings(
    { nodeName: 'node', nodeIp: '192.0.2.1' },
    { dataDir: '/var/lib/k3s-lite', runDir: '/run/k3s-lite', searchPath: ['/usr/bin'], defaultKubeconfig: '/k.yaml' },
  );
  const ofEveryUnit = [
    ['unitDir', 'Folder of the unit file'],
    ['instance', 'In a template: what stands behind the @'],
  ] as const;
  const ofTheCluster = [...variablesOf(settings)].map(([name, { about }]) => [name, about] as const);
  return unitReference(new Map([...ofEveryUnit, ...ofTheCluster]));
}
