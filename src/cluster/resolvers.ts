/** What /etc/resolv.conf says, as far as nodes and pods can use it. Source: resolv.conf(5). */

export interface Nameservers {
  /** Reachable from pods. */
  readonly usable: readonly string[];
  /** On the node's own loopback: a pod's loopback is another one. */
  readonly loopback: readonly string[];
}

export function nameserversOf(text: string): Nameservers {
  const all = text.split('\n').flatMap((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? []);
  const isLoopback = (address: string) => /^(?:127\.|::1$)/.test(address);
  return { usable: all.filter((address) => !isLoopback(address)), loopback: all.filter(isLoopback) };
}
