/**
 * The library: load unit files, build their graph, and run it in a program of your own.
 *
 * ```ts
 * import { createExecutor, loadUnits } from 'k3s-lite';
 *
 * const units = await loadUnits({ dirs: ['units'] });
 * await using executor = createExecutor({ units, dataDir: '/tmp/my-app' });
 * executor.start();
 * await executor.unit('database').ready();
 * await executor.stop();
 * ```
 */
export { createExecutor, loadUnits, type CreateExecutorOptions, type LoadUnitsOptions } from './library.ts';
export type { Executor, StopReport } from './executor/executor-api.ts';
export type { LocalExecutor } from './executor/local-executor.ts';
export type { ReadinessChannel, Ready } from './executor/channel.ts';
export type { UnitGraph } from './graph/unit-graph.ts';
export { toDot, type DotOptions } from './graph/to-dot.ts';
export type { LoadedUnits } from './unit/load-units.ts';
export type { Need, Unit, UnitInput } from './unit/schema.ts';
export type { Degraded, Moment, UnitSnapshot, UnitStateName, WaitingFor } from './unit/state.ts';
export type { Builtin, BuiltinContext, Builtins } from './unit/builtin.ts';
export type { Variable, VariableTable } from './unit/variables.ts';
export { renderDiagnostics, type Diagnostic } from './unit/diagnostic.ts';
export type { Envelope, Event, EventOf, EventType } from './event/event.ts';
export type { EventStream, Subscriber } from './event/stream.ts';
export { errorCodes, type ErrorCode } from './error/codes.ts';
export { causeChain, errorToJson, rootCause, StartupError, type ErrorJson } from './error/startup-error.ts';
export { ReadinessError, type Attempt, type Exit, type ReadinessDetail } from './error/readiness-error.ts';
export { renderError } from './error/render.ts';
