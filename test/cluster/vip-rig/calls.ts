/** What is asked of the processes of the rig, over IPC. */
import type { ActuatorSighting, HeldAddress, TakeOutcome } from '../../../src/vip/actuator.ts';
import type { ActuatorCounters } from '../../../src/vip/actuate/create-actuator.ts';
import type { ProbeTimes } from '../../../src/vip/actuate/duplicate-probe.ts';
import type { Tenure } from './judge.ts';

export interface NodeOptions {
  readonly name: string;
  readonly stateDir: string;
  readonly probe?: ProbeTimes;
  readonly lookEveryMs?: number;
  /** As on a machine without FFI. */
  readonly withoutPackets?: boolean;
}

/** What became of batches for the kernel's nf_tables, whether or not nft has made up for it. */
export interface GateBatches {
  readonly done: number;
  /** Why not. */
  readonly refused: readonly string[];
}

export interface ClientReport {
  readonly sent: number;
  /** Between the first and the last that was answered. */
  readonly lost: number;
  readonly longestGapMs: number;
  /** Nodes that have answered, in order. */
  readonly from: readonly string[];
}

/** Somebody has said on the link that an address is at a MAC. */
export interface Spoken {
  readonly atMs: number;
  readonly address: string;
  readonly mac: string;
}

export interface Calls {
  cleanUp(): Promise<readonly string[]>;
  take(addresses: readonly string[], deadlineMs: number): Promise<readonly TakeOutcome[]>;
  silence(addresses: readonly string[]): Promise<void>;
  drop(addresses: readonly string[]): Promise<void>;
  arm(deadlineMs: number): Promise<void>;
  held(): Promise<readonly HeldAddress[]>;
  counters(): Promise<ActuatorCounters>;
  sightings(): Promise<readonly ActuatorSighting[]>;
  gateBatches(): Promise<GateBatches>;
  end(): Promise<void>;

  begin(address: string): Promise<void>;
  answered(): Promise<number>;
  lastFrom(): Promise<string | undefined>;
  finish(): Promise<ClientReport>;

  /** Frames in hexadecimal, sent again and again; none: no more. */
  ask(frames: readonly string[], everyMs: number): Promise<void>;
  spoken(): Promise<readonly Spoken[]>;
  /** The same, by who spoke when: little, however long it was. */
  history(address: string): Promise<readonly Tenure[]>;
  forget(): Promise<void>;
  say(frame: string): Promise<void>;
}

export interface Asked {
  readonly id: number;
  readonly call: string;
  readonly args: readonly unknown[];
}

export interface Reply {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}
