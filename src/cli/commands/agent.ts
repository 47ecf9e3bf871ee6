/** `k3s-lite agent [UNIT…]`: `up` in the role of an agent. */
import type { CommandRun } from '../command.ts';
import { run as up } from './up.ts';

export const run: CommandRun = (input) => up({ ...input, options: { ...input.options, role: 'agent' } });
