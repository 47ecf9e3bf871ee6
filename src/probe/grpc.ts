/** grpc: the health service answers SERVING, or a container runtime answers CRI `Version`. */
import { connectionFailure, describeAddress, paceOf, type Address } from './connection.ts';
import { GrpcError, grpcStatus } from './grpc-session.ts';
import { grpcUnary } from './grpc-unary.ts';
import { listenHint } from './listen-hint.ts';
import type { ListenWatch } from './listen-watch.ts';
import { oneLine } from './outcome.ts';
import { ProbeFailure, type Probe } from './probe.ts';
import { bytesField, decodeFields, integerOf, stringOf } from './protobuf.ts';
import type { OwnerCheck } from './socket-owner.ts';
import type { TlsFiles } from './tls.ts';

export interface GrpcProbeOptions {
  readonly address: Address;
  readonly service: string;
  /** Ask the CRI runtime service for its version instead. */
  readonly cri: boolean;
  readonly tls?: TlsFiles | undefined;
  readonly owner?: OwnerCheck | undefined;
  readonly listening?: ListenWatch | undefined;
}

/** HealthCheckResponse.ServingStatus. Source: grpc.io, "GRPC Health Checking Protocol". */
const servingStatuses = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];
const serving = 1;

export function grpcProbe(options: GrpcProbeOptions): Probe {
  const { address, service, cri, tls, owner } = options;
  const pace = paceOf(address, true);
  const watch = pace === undefined || tls !== undefined ? undefined : options.listening;
  const { onHint, isWatched } = listenHint(address, watch, owner);
  const what = cri ? 'cri' : service === '' ? 'health' : `health of ${service}`;
  return {
    describe: () => `grpc ${what} ${describeAddress(address)}`,
    ...(pace === undefined ? {} : { pace }),
    onHint,
    async check(signal) {
      const call = { address, tls, signal, owner, isWatched };
      try {
        if (cri) await askCri(call);
        else await askHealth(call, service);
      } catch (error) {
        if (error instanceof GrpcError) throw explained(error, cri);
        throw signal.aborted ? error : connectionFailure(error as Error);
      }
    },
  };
}

type Call = Omit<Parameters<typeof grpcUnary>[0], 'path' | 'message'>;

export const healthPath = '/grpc.health.v1.Health/Check';

async function askHealth(call: Call, service: string): Promise<void> {
  requireServing(await grpcUnary({ ...call, path: healthPath, message: bytesField(1, service) }));
}

/** @param answer - HealthCheckResponse, encoded. @throws {@link ProbeFailure} with its status when that is not SERVING */
export function requireServing(answer: Uint8Array): void {
  const status = integerOf(decodeFields(answer), 1);
  if (status !== serving) throw new ProbeFailure(servingStatuses[status] ?? `status ${String(status)}`);
}

/** VersionRequest.version is field 1, VersionResponse.runtime_name field 2. Source: k8s.io/cri-api runtime/v1. */
async function askCri(call: Call): Promise<void> {
  const path = '/runtime.v1.RuntimeService/Version';
  const answer = await grpcUnary({ ...call, path, message: bytesField(1, 'v1') });
  if (stringOf(decodeFields(answer), 2) === '') throw new ProbeFailure('answers without a runtime name');
}

/** @returns the failure in one line, with what an unknown service means */
function explained(error: GrpcError, cri: boolean): ProbeFailure {
  const hint =
    error.status === grpcStatus.unimplemented
      ? cri
        ? 'the server has no CRI service: is its CRI plugin disabled or broken?'
        : 'the server has no gRPC health service: use a tcp check'
      : undefined;
  return new ProbeFailure(oneLine(error.message), { hint, cause: error });
}
