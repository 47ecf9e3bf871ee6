/** The network of one node: a namespace with an address and a way out, a cable's other end on this machine. */
import { must, run } from '../rig/run.ts';

export interface NodeNetwork extends Disposable {
  readonly nodeIp: string;
  /** What becomes a program inside. */
  readonly enter: readonly string[];
}

/**
 * @param namespace - its name
 * @param outside - name of the cable's end on this machine, at most 15 characters
 * @throws an Error after it has cleaned up
 */
export function makeNodeNetwork(namespace: string, outside: string): NodeNetwork {
  const nodeIp = '198.51.100.1';
  const remove = () => {
    run(['ip', 'link', 'delete', outside]);
    run(['ip', 'netns', 'delete', namespace]);
  };
  try {
    must('ip', 'netns', 'add', namespace);
    must('ip', 'link', 'add', outside, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace);
    must('ip', 'link', 'set', outside, 'up');
    const enter = setUpInside(namespace, nodeIp, '198.51.100.254');
    return { nodeIp, enter, [Symbol.dispose]: remove };
  } catch (error) {
    remove();
    throw error;
  }
}

/**
 * Gives the inner end of a namespace's cable, `eth0`, an address and a way out.
 *
 * @returns what becomes a program inside
 */
export function setUpInside(namespace: string, ip: string, gateway: string): readonly string[] {
  // nsenter and not `ip netns exec`: that mounts a new /sys, which hides the cgroups.
  const enter = ['nsenter', `--net=/run/netns/${namespace}`];
  for (const command of [
    ['link', 'set', 'lo', 'up'],
    ['address', 'add', `${ip}/24`, 'dev', 'eth0'],
    ['link', 'set', 'eth0', 'up'],
    ['route', 'add', 'default', 'via', gateway],
  ]) {
    must(...enter, 'ip', ...command);
  }
  return enter;
}
