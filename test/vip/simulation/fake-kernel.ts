/** What the kernel of a node has of virtual addresses: gates, and the dead man's switch that closes all of them. */
import type { VipAddress } from '../../../src/vip/model.ts';

export class FakeKernel {
  /** Open as long as the switch is armed. */
  readonly open = new Set<VipAddress>();
  /** Added to the interface; silent ones too. */
  readonly present = new Set<VipAddress>();
  /** True time. */
  armedUntilMs = 0;
  readonly #onSpeak: () => void;

  constructor(onSpeak: () => void) {
    this.#onSpeak = onSpeak;
  }

  arm(untilMs: number): void {
    this.armedUntilMs = untilMs;
    this.#onSpeak();
  }

  take(address: VipAddress): void {
    this.present.add(address);
    this.open.add(address);
    this.#onSpeak();
  }

  silence(address: VipAddress): void {
    this.open.delete(address);
  }

  drop(address: VipAddress): void {
    this.open.delete(address);
    this.present.delete(address);
  }

  cleanUp(): void {
    this.open.clear();
    this.present.clear();
    this.armedUntilMs = 0;
  }

  speaks(address: VipAddress, nowMs: number): boolean {
    return this.open.has(address) && nowMs < this.armedUntilMs;
  }
}
