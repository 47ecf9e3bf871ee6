/** The containers that run on a node, asked from its runtime: kubelet's word of them may be old. */
import { grpcUnary } from '../../../src/probe/grpc-unary.ts';
import { decodeFields, stringOf } from '../../../src/probe/protobuf.ts';

/** Source: k8s.io/cri-api runtime.v1, ListContainersResponse.containers, Container.id and .state, CONTAINER_RUNNING. */
const field = { containers: 1, id: 1, state: 6 } as const;
const running = 1n;

/** @returns ids of the containers that run, sorted */
export async function runningContainers(socketPath: string): Promise<readonly string[]> {
  const answer = await grpcUnary({
    address: { kind: 'unix', path: socketPath },
    path: '/runtime.v1.RuntimeService/ListContainers',
    message: new Uint8Array(),
    signal: AbortSignal.timeout(10_000),
  });
  return decodeFields(answer)
    .flatMap((item) => (item.number === field.containers && item.kind === 'bytes' ? [decodeFields(item.value)] : []))
    .filter((container) =>
      container.some(({ number, kind, value }) => number === field.state && kind === 'varint' && value === running),
    )
    .map((container) => stringOf(container, field.id))
    .sort();
}
