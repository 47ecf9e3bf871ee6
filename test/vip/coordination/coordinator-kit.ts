/** A coordinator that tests lead by hand: short words for inputs, and what came of them. */
import { newCoordinator, stepCoordinator } from '../../../src/vip/coordination/coordinator.ts';
import type { CoordinatorInput, CoordinatorRules } from '../../../src/vip/coordination/coordinator-model.ts';
import type { LeaseRecord } from '../../../src/vip/coordination/lease-model.ts';
import type { StoredAssignment } from '../../../src/vip/coordination/stored-assignment.ts';
import { flapHalfLifeMs } from '../../../src/vip/plan/flap-penalty.ts';
import { plan } from '../../../src/vip/plan/plan.ts';

/** Of the node `a`, with Leases of a second. */
export const rules: CoordinatorRules = {
  node: 'a',
  plan,
  graceMs: 20,
  leaseDurationMs: 1000,
  standbys: 2,
  flapHalfLifeMs,
};

export const leaseOf = (node: string, version: number, change: Partial<LeaseRecord> = {}): CoordinatorInput => ({
  type: 'lease',
  node,
  record: {
    version: String(version),
    uid: node,
    holder: `${node}-1`,
    durationMs: 1000,
    transitions: 0,
    nonce: String(version),
    notes: {},
    ...change,
  },
});

export class Driven {
  state = newCoordinator;
  nowMs = 0;
  wakeAtMs: number | undefined;
  /** Of the last input. */
  effects: ReturnType<typeof stepCoordinator>['effects'] = [];
  readonly #rules: CoordinatorRules;

  constructor(change: Partial<CoordinatorRules> = {}) {
    this.#rules = { ...rules, ...change };
  }

  at(nowMs: number): this {
    this.nowMs = nowMs;
    return this;
  }

  give(...inputs: readonly CoordinatorInput[]): this {
    for (const input of inputs) {
      const step = stepCoordinator(this.state, input, this.#rules, this.nowMs);
      this.state = step.state;
      this.effects = step.effects;
      this.wakeAtMs = step.wakeAtMs;
    }
    return this;
  }

  /** What is under way is answered with this. */
  read(assignment: StoredAssignment, version = 'v'): this {
    return this.give({ type: 'read', call: this.state.calls, stored: { version, assignment } });
  }

  written(version: string): this {
    return this.give({ type: 'written', call: this.state.calls, version });
  }

  /** What is to be written now. */
  get draft(): StoredAssignment | undefined {
    return this.effects.find((effect) => effect.type === 'write')?.assignment;
  }

  /** Addresses whose Leases are to be tried for from now on. */
  get competing(): readonly string[] | undefined {
    return this.effects.find((effect) => effect.type === 'compete')?.candidacies.map((each) => each.address);
  }
}
