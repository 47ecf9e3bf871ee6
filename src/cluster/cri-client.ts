/** The three CRI calls that `down` needs. Source: k8s.io/cri-api runtime.v1 (field numbers). */
import { grpcUnary } from '../probe/grpc-unary.ts';
import { bytesField, decodeFields, stringOf } from '../probe/protobuf.ts';

export interface CriClient {
  /** Ids of all pod sandboxes, stopped ones included. */
  listSandboxes(signal: AbortSignal): Promise<readonly string[]>;
  /** Kills the containers of a sandbox and takes its network down; idempotent. */
  stopSandbox(id: string, signal: AbortSignal): Promise<void>;
  removeSandbox(id: string, signal: AbortSignal): Promise<void>;
}

export function criClient(socketPath: string): CriClient {
  const call = (method: string, message: Uint8Array, signal: AbortSignal) =>
    grpcUnary({
      address: { kind: 'unix', path: socketPath },
      path: `/runtime.v1.RuntimeService/${method}`,
      message,
      signal,
    });
  const sandboxId = (id: string) => bytesField(1, id);
  return {
    async listSandboxes(signal) {
      const answer = decodeFields(await call('ListPodSandbox', new Uint8Array(), signal));
      return answer.flatMap((item) =>
        item.number === 1 && item.kind === 'bytes' ? [stringOf(decodeFields(item.value), 1)] : [],
      );
    },
    async stopSandbox(id, signal) {
      await call('StopPodSandbox', sandboxId(id), signal);
    },
    async removeSandbox(id, signal) {
      await call('RemovePodSandbox', sandboxId(id), signal);
    },
  };
}
