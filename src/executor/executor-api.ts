/** The executor as everybody else sees it. `createExecutor` makes one. */
import type { EventStream } from '../event/stream.ts';
import type { UnitGraph } from '../graph/unit-graph.ts';
import type { UnitSnapshot } from '../unit/state.ts';
import type { ReadinessChannel, Ready } from './channel.ts';
import type { Reload } from './reload.ts';
import type { UnitControl } from './unit-control.ts';
import type { UnitInspection } from './unit-runner.ts';

export interface StopReport {
  readonly elapsedMs: number;
  /** What could not be ended or undone, one line each. */
  readonly leftovers: readonly string[];
}

/** The executor's inner state, for a dump. */
export interface Inspection {
  /** Starts that wait for their turn. */
  readonly startQueue: number;
  readonly units: readonly UnitInspection[];
}

export interface Executor extends UnitControl, Reload {
  /** The present graph: another one after a reload. */
  readonly graph: UnitGraph;
  readonly events: EventStream;
  /**
   * Wants `units` (default: all) and what they need up; returns at once. Readiness comes by channel. Does nothing once `stop` was called.
   *
   * @param options - `rests`: of all, which are not wanted until something needs them, by an edge or by name; a reload asks again
   */
  start(units?: readonly string[], options?: { rests?(unit: string): boolean }): void;
  /** @throws ERR_UNKNOWN_UNIT, with the nearest known name */
  unit(name: string): ReadinessChannel;
  /** Present snapshots of all units, in start order; then those that a reload is removing. */
  snapshots(): readonly UnitSnapshot[];
  /** Units that must have stopped before a stop of `unit` begins that was asked for; some may have. Empty when none is waited for. */
  stopWaitsFor(unit: string): readonly string[];
  /**
   * Resolves when every unit in `units` (default: all that are wanted) is ready or done at the same time.
   *
   * @throws the signal's reason when it aborts; a unit that fails may recover, so failing is not rejecting
   */
  ready(options?: { readonly units?: readonly string[]; readonly signal?: AbortSignal }): Promise<void>;
  /** True when every wanted unit is ready or done. */
  isReady(): boolean;
  /** Stops everything in stop order and resolves when all is gone. Aborting `hurry` kills at once. Idempotent. */
  stop(options?: { readonly reason?: string; readonly hurry?: AbortSignal }): Promise<StopReport>;
  /** A cheap reason to try a failed unit again at once: its port is free, its file changed. */
  hint(unit: string, source: string): void;
  /** What is not in the snapshots; changes nothing. */
  inspect(): Inspection;

  getCertificatesReady(): Promise<Ready>;
  getEtcdReady(): Promise<Ready>;
  getApiServerReady(): Promise<Ready>;
  getControllerManagerReady(): Promise<Ready>;
  getSchedulerReady(): Promise<Ready>;
  getContainerRuntimeReady(): Promise<Ready>;
  getKubeletReady(): Promise<Ready>;
  getKubeProxyReady(): Promise<Ready>;
  getClusterDnsReady(): Promise<Ready>;
  getNodeReady(): Promise<Ready>;
}

/** The shipped unit behind each getter. */
export const getterUnits = {
  getCertificatesReady: 'certificates',
  getEtcdReady: 'etcd',
  getApiServerReady: 'kube-apiserver',
  getControllerManagerReady: 'kube-controller-manager',
  getSchedulerReady: 'kube-scheduler',
  getContainerRuntimeReady: 'containerd',
  getKubeletReady: 'kubelet',
  getKubeProxyReady: 'kube-proxy',
  getClusterDnsReady: 'cluster-dns',
  getNodeReady: 'node-ready',
} as const;
