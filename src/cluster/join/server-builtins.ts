/** The builtins of a server that other machines can join. */
import type { Builtin } from '../../unit/builtin.ts';
import { layoutOf } from '../layout.ts';
import type { Settings } from '../settings.ts';
import { ensureTokens } from './cluster-token.ts';

export interface ServerPorts {
  /** Tells a person. */
  notice(text: string, unit: string): void;
}

export function serverBuiltins(settings: Settings, { notice }: ServerPorts): Record<'token', Builtin> {
  const layout = layoutOf(settings);
  return {
    token: async ({ log }) => {
      const { isNew, isGivenIgnored } = await ensureTokens(layout, settings);
      log(`the tokens are in ${layout.serverToken} and, for agents, ${layout.nodeToken}`);
      if (isNew) log('they are new');
      if (isGivenIgnored) {
        notice(
          `the token that was given is not that of this cluster any more: the one in ${layout.serverToken} counts`,
          'token',
        );
      }
    },
  };
}
