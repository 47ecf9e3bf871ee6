/**
 * `limits.capabilities` of a unit: setpriv(1) takes all others from root for good, and becomes the unit's
 * program (same pid). Capabilities are each thread's own, and Node.js has threads before we could drop any:
 * so it is done before the program begins.
 *
 * What the system refuses is told and left out, as with the other limits. So is what would keep root from the
 * program itself: without DAC_OVERRIDE root cannot enter another user's home.
 */
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import type { Unit } from '../unit/schema.ts';
import type { Account } from './account.ts';
import { tryFindProgram } from './find-program.ts';

interface Command {
  readonly file: string;
  readonly args: readonly string[];
}

export interface ConfinementRequest {
  readonly command: Command;
  readonly limits: Unit['limits'];
  readonly account: Account | undefined;
  readonly cwd: string;
  readonly searchPath: string | undefined;
  /** Told when they cannot be taken away. */
  readonly notice: (text: string) => void;
}

/** Source: linux/capability.h, CAP_SETPCAP. */
const setpcap = 8n;

export function confinedCommand(request: ConfinementRequest): Command {
  const { command, limits, account, cwd, searchPath, notice } = request;
  const kept = limits?.capabilities;
  // Nobody but root gets any when a program begins.
  if (kept === undefined || (account?.uid ?? process.getuid?.()) !== 0) return command;
  const setpriv = tryFindProgram('setpriv', searchPath);
  if (setpriv === undefined || !mayDrop()) {
    const why = setpriv === undefined ? 'there is no setpriv (package util-linux)' : 'CAP_SETPCAP is missing';
    notice(`limits.capabilities is not set: ${why}`);
    return command;
  }
  const closed = closedTo([command.file, ...command.args, path.join(cwd, 'anything')]);
  if (closed !== undefined) {
    notice(`limits.capabilities: DAC_READ_SEARCH is kept too, since ${closed} is closed to root without it`);
  }
  const names = [...kept, ...(closed === undefined ? [] : ['DAC_READ_SEARCH'])];
  const bounding = ['-all', ...names.map((name) => `+${name.toLowerCase()}`)].join(',');
  return {
    file: setpriv,
    args: [`--bounding-set=${bounding}`, '--inh-caps=-all', '--ambient-caps=-all', command.file, ...command.args],
  };
}

/** The first folder on the way to one of these (what is no absolute path is none) that root only enters by a capability. */
function closedTo(words: readonly string[]): string | undefined {
  const seen = new Set<string>();
  for (const word of words) {
    if (!path.isAbsolute(word)) continue;
    for (let folder = path.dirname(word); !seen.has(folder); folder = path.dirname(folder)) {
      seen.add(folder);
      const stat = statSync(folder, { throwIfNoEntry: false });
      if (stat !== undefined && stat.uid !== 0 && (stat.mode & 0o001) === 0) return folder;
    }
  }
  return undefined;
}

function mayDrop(): boolean {
  try {
    const [, effective = '0'] = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'latin1')) ?? [];
    return ((BigInt(`0x${effective}`) >> setpcap) & 1n) === 1n;
  } catch {
    return false;
  }
}
