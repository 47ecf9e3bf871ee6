/** `k3s-lite kubectl …`: the multi-call binary's kubectl with this cluster's kubeconfig. */
import { runKubectl } from '../../app/kubectl.ts';
import type { CommandRun } from '../command.ts';
import { configurationOf } from '../configuration-of.ts';

export const run: CommandRun = async (input) => {
  const { args, env, cwd } = input;
  return runKubectl({ configuration: await configurationOf(input), args, env, cwd });
};
