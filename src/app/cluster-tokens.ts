/** What `k3s-lite token` does: shows a server's tokens, or makes new ones. The join server reads them at each request. */
import { readToken, rotateTokens } from '../cluster/join/cluster-token.ts';
import type { TokenUser } from '../cluster/join/token.ts';
import { layoutOf } from '../cluster/layout.ts';
import type { Paths } from './paths.ts';

/** @throws StartupError ERR_TOKEN when there is none */
export function showToken(paths: Paths, user: TokenUser): Promise<string> {
  return readToken(layoutOf(paths), user);
}

/** @throws StartupError ERR_TOKEN when there is none */
export function rotateClusterTokens(paths: Paths): Promise<void> {
  return rotateTokens(layoutOf(paths));
}
