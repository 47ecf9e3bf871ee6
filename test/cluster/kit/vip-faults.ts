/** What may befall a node with virtual addresses, drawn at random: what, whom, when, for how long. */
import type { VipCluster } from './vip-cluster.ts';

export const faultKinds = ['partition', 'black hole', 'hung release', 'pause', 'skewed clocks'] as const;
export type FaultKind = (typeof faultKinds)[number];

const victims = ['holder', 'coordinator', 'other'] as const;

const ways = {
  partition: ['from the API', 'from the other nodes', 'from both'],
  'black hole': ['requests are lost', 'answers are lost', 'kube-apiserver is frozen', 'etcd is frozen'],
  'hung release': ['requests are lost', 'answers are lost'],
  pause: ['once', 'again and again'],
  'skewed clocks': ['and requests are lost', 'and it is frozen', 'and it is cut off'],
} as const satisfies Record<FaultKind, readonly string[]>;

export interface Fault {
  readonly kind: FaultKind;
  readonly way: (typeof ways)[FaultKind][number];
  readonly victim: (typeof victims)[number];
  /** Before it begins: where in the period of renewals that is. */
  readonly afterMs: number;
  readonly lastsMs: number;
  /** How far each node's wall clock is ahead, before and afterwards. */
  readonly aheadS: readonly (readonly [number, number])[];
}

const dayS = 86_400;

/** @param fixed - what is not left to chance */
export function drawFault(random: () => number, vips: VipCluster, fixed: Partial<Fault> = {}): Fault {
  const { leaseDurationMs, retryPeriodMs } = vips.times;
  const oneOf = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)] as T;
  const between = (low: number, high: number) => Math.round(low + random() * (high - low));
  const kind = fixed.kind ?? oneOf(faultKinds);
  return {
    kind,
    way: oneOf<Fault['way']>(ways[kind]),
    // Mostly the one that has something to lose.
    victim: oneOf(['holder', 'holder', 'holder', ...victims]),
    afterMs: between(0, retryPeriodMs),
    lastsMs: between(0.3 * leaseDurationMs, 2.5 * leaseDurationMs),
    aheadS: vips.nodes.map(() => [between(-dayS, dayS), between(-dayS, dayS)] as const),
    ...fixed,
  };
}

/** "pause (once) of n2, the holder, for 1.2 s". */
export const faultText = ({ kind, way, victim, lastsMs }: Fault): string =>
  `${kind} (${way}) of the ${victim}, ${(lastsMs / 1000).toFixed(1)} s`;

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
/** A process that was frozen has a moment before it is frozen again. */
const thawedMs = 30;

/** Strikes, and mends it again: every process runs then. */
export async function strike(vips: VipCluster, name: string, fault: Fault): Promise<void> {
  const { way, lastsMs } = fault;
  const node = vips.processOf(name);
  const place = vips.rig.place(name);
  const lost = (chain: 'input' | 'output', direction: 'iifname' | 'oifname') => {
    place.must(
      'nft',
      `add table inet rig; add chain inet rig ${chain} { type filter hook ${chain} priority 0; }; ` +
        `add rule inet rig ${chain} ${direction} "up0" drop`,
    );
  };
  const found = () => place.must('nft', 'delete table inet rig');
  setClocks(vips, fault, 0);
  switch (way) {
    case 'from the API':
    case 'from the other nodes':
    case 'from both':
    case 'and it is cut off':
      if (way !== 'from the other nodes') node.uplink('down');
      if (way === 'from the other nodes' || way === 'from both') place.cable('down');
      await pause(lastsMs);
      node.uplink('up');
      place.cable('up');
      break;
    case 'requests are lost':
    case 'answers are lost':
    case 'and requests are lost':
      if (way === 'answers are lost') lost('input', 'iifname');
      else lost('output', 'oifname');
      if (fault.kind === 'hung release') {
        // It leaves while its renewals hang already, or as they begin to.
        await pause(lastsMs / 3);
        node.signal('SIGTERM');
        await node.ended;
        found();
        vips.start(name);
      } else {
        await pause(lastsMs);
        found();
      }
      break;
    case 'kube-apiserver is frozen':
    case 'etcd is frozen': {
      const program = way === 'etcd is frozen' ? 'etcd' : 'kube-apiserver';
      vips.freeze(program, true);
      await pause(lastsMs);
      vips.freeze(program, false);
      break;
    }
    case 'once':
    case 'and it is frozen':
      node.signal('SIGSTOP');
      await pause(lastsMs);
      node.signal('SIGCONT');
      break;
    case 'again and again':
      for (let round = 0; round < 3; round += 1) {
        node.signal('SIGSTOP');
        await pause(lastsMs / 3);
        node.signal('SIGCONT');
        await pause(thawedMs);
      }
      break;
  }
  setClocks(vips, fault, 1);
}

function setClocks(vips: VipCluster, { kind, aheadS }: Fault, which: 0 | 1): void {
  if (kind !== 'skewed clocks') return;
  for (const [at, name] of vips.nodes.entries()) vips.clocks.get(name)?.setAheadS(aheadS[at]?.[which] ?? 0);
}
