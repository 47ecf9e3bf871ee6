/** kubectl of the components, pointed at this cluster. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { findComponents } from '../component/find.ts';
import { requirePrograms } from '../component/report.ts';
import { StartupError } from '../error/startup-error.ts';
import { foreground } from '../process/foreground.ts';
import type { Configuration } from './configuration.ts';

export interface KubectlOptions {
  readonly configuration: Configuration;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

/** @returns kubectl's exit code. @throws StartupError ERR_CONFIG when no cluster was ever started in the data directory */
export async function runKubectl({ configuration, args, env, cwd }: KubectlOptions): Promise<number> {
  const { paths } = configuration;
  const kubeconfig = env['KUBECONFIG'] ?? (await kubeconfigOf(configuration, cwd));
  if (env['KUBECONFIG'] === undefined && !existsSync(kubeconfig)) {
    throw new StartupError(
      'ERR_CONFIG',
      `cannot find the kubeconfig ${kubeconfig}: start the cluster with \`k3s-lite up\`, or name its --data-dir`,
      { kubeconfig },
    );
  }
  const report = await findComponents({ env, dataDir: paths.dataDir });
  const kubectl = requirePrograms(report, ['kubectl']).get('kubectl')?.path ?? 'kubectl';
  return foreground([kubectl, ...args], { env: { ...env, KUBECONFIG: kubeconfig } });
}

/** Where it was told to be, or where the running k3s-lite wrote it, or where it is by default. */
async function kubeconfigOf({ paths, values }: Configuration, cwd: string): Promise<string> {
  const written = values['write-kubeconfig'];
  if (typeof written === 'string') return path.resolve(cwd, written);
  const { controlClient } = await import('../control/client.ts');
  const client = controlClient({ socketPath: paths.controlSocket, dataDir: paths.dataDir });
  const running = await client.status().catch(() => undefined);
  return running?.instance.kubeconfig ?? path.join(paths.dataDir, 'k3s-lite.yaml');
}
