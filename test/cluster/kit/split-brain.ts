/** One fault on real packets, from a settled cluster to a settled one, and what the observer says of it. */
import { randomFrom } from '../../kit/random.ts';
import { judge } from '../vip-rig/judge.ts';
import type { VipCluster } from './vip-cluster.ts';
import { drawFault, faultText, strike, type Fault } from './vip-faults.ts';

export interface Run {
  readonly text: string;
  /** Empty: never two at a time, and nobody without a grant. */
  readonly complaints: readonly string[];
  /** How often an address was answered for by another node than before. */
  readonly handovers: number;
  /** The longest that an address was answered for by nobody, from one node to the next. */
  readonly silentMs: number;
}

export class SplitBrainRuns {
  readonly #vips: VipCluster;
  /** How far each address's history is judged: its last tenure, which goes on, and that one's generation. */
  readonly #judged = new Map<string, { readonly at: number; readonly generation: number }>();

  constructor(vips: VipCluster) {
    this.#vips = vips;
  }

  async run(seed: number, fixed: Partial<Fault> = {}): Promise<Run> {
    const vips = this.#vips;
    const random = randomFrom(seed);
    await vips.settled();
    const fault = drawFault(random, vips, fixed);
    const victim = await this.#victim(fault, random);
    await new Promise((resolve) => setTimeout(resolve, fault.afterMs));
    await strike(vips, victim, fault);
    await vips.settled();
    return { text: `seed ${String(seed)}: ${faultText(fault)}`, ...(await this.verdict()) };
  }

  /** On what was heard since the last one. */
  async verdict(): Promise<Omit<Run, 'text'>> {
    const complaints: string[] = [];
    const silencesMs: number[] = [];
    for (const address of this.#vips.addresses) {
      const { at, generation } = this.#judged.get(address) ?? { at: 0, generation: 0 };
      const all = await this.#vips.historyOf(address);
      const history = all.slice(at);
      const verdict = judge(history, this.#vips.granted(address), generation);
      this.#judged.set(address, { at: Math.max(0, all.length - 1), generation: verdict.generation });
      complaints.push(...verdict.complaints.map((complaint) => `${address}: ${complaint}`));
      for (const [index, { untilMs }] of history.slice(0, -1).entries()) {
        silencesMs.push((history[index + 1]?.fromMs ?? untilMs) - untilMs);
      }
    }
    return { complaints, handovers: silencesMs.length, silentMs: Math.max(0, ...silencesMs) };
  }

  async #victim({ victim }: Fault, random: () => number): Promise<string> {
    const { nodes, addresses } = this.#vips;
    const at = Math.floor(random() * addresses.length);
    if (victim === 'coordinator') return this.#vips.coordinator();
    const holder = await this.#vips.speakerOf(addresses[at] ?? '');
    const others = nodes.filter((name) => name !== holder);
    return (victim === 'holder' ? holder : others[at % others.length]) ?? nodes[0] ?? '';
  }
}
