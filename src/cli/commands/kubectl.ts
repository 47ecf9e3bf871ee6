/** `k3s-lite kubectl …`: the multi-call binary's kubectl with this cluster's kubeconfig. */
import { readConfiguration } from '../../app/configuration.ts';
import { runKubectl } from '../../app/kubectl.ts';
import type { CommandRun } from '../command.ts';

export const run: CommandRun = async ({ args, options, env, cwd }) => {
  const configuration = readConfiguration({ options, env, cwd, uid: process.getuid?.() ?? 0 });
  return runKubectl({ configuration, args, env, cwd });
};
