/** Serves a balancer's control API. */
import { answerControl, type ControlTarget } from '../balancer/control-api.ts';
import { servePrivateApi } from './private-api.ts';

/** A list of a thousand servers fits. */
const maxBodyBytes = 256 * 1024;

/** @throws StartupError ERR_CONTROL if the socket cannot be made safely or another balancer answers there */
export function serveBalancerControl(options: {
  readonly socketPath: string;
  readonly target: ControlTarget;
}): Promise<AsyncDisposable> {
  const { socketPath, target } = options;
  return servePrivateApi({ socketPath, maxBodyBytes, answer: (request) => answerControl(target, request) });
}
