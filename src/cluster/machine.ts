/**
 * What the defaults of the settings are taken from: name, addresses and abilities of this machine.
 * Read once at start; a test hands in its own.
 */
import { readFileSync, statSync } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';

export interface Machine {
  readonly hostname: string;
  /** Name of the interface of the IPv4 default route. */
  readonly defaultInterface: string | undefined;
  /** IPv4 addresses by interface, loopback included. */
  readonly addresses: readonly {
    readonly interface: string;
    readonly address: string;
    readonly internal: boolean;
    /** Length of its network's prefix. */
    readonly prefix?: number;
  }[];
  /** May a process here lower oom_score_adj? Often not inside containers and sandboxes. */
  readonly canLowerOomScore: boolean;
  /** Hard limit of open files of this process, which its children cannot exceed. */
  readonly openFilesLimit: number;
}

/** CAP_SYS_RESOURCE. Source: capabilities(7), linux/capability.h. */
const capSysResource = 24n;

export function detectMachine(): Machine {
  return {
    hostname: hostname(),
    defaultInterface: defaultInterfaceOf(readOr('/proc/net/route', '')),
    addresses: Object.entries(networkInterfaces()).flatMap(([name, list]) =>
      (list ?? [])
        .filter(({ family }) => family === 'IPv4')
        .map(({ address, internal, cidr }) => ({
          interface: name,
          address,
          internal,
          prefix: Number(cidr?.split('/')[1] ?? 32),
        })),
    ),
    canLowerOomScore: hasCapability(readOr('/proc/self/status', ''), capSysResource),
    openFilesLimit: openFilesLimitOf(readOr('/proc/self/limits', '')),
  };
}

/** Interface of the default route with the lowest metric in the text of /proc/net/route. */
export function defaultInterfaceOf(routes: string): string | undefined {
  const defaults = routes
    .split('\n')
    .slice(1)
    .map((line) => line.split(/\s+/))
    .filter(([, destination, , , , , , mask]) => destination === '00000000' && mask === '00000000')
    .map((fields) => ({ name: fields[0], metric: Number(fields[6]) }))
    .sort((a, b) => a.metric - b.metric);
  return defaults[0]?.name;
}

/** The hard limit in the text of /proc/PID/limits; 1024, the kernel's own default, when it says nothing. */
export function openFilesLimitOf(limits: string): number {
  const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(limits)?.[1];
  return hard === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(hard ?? 1024);
}

export function hasCapability(status: string, capability: bigint): boolean {
  const mask = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  return mask !== undefined && ((BigInt(`0x${mask}`) >> capability) & 1n) === 1n;
}

/** Directory of `searchPath` that holds an executable file called `name`. */
export function directoryOf(name: string, searchPath: readonly string[]): string | undefined {
  return searchPath.find((directory) => {
    try {
      const found = statSync(`${directory}/${name}`);
      return found.isFile() && (found.mode & 0o111) !== 0;
    } catch {
      return false; // Not there, or in a folder of PATH that this user may not look into.
    }
  });
}

function readOr(file: string, otherwise: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return otherwise; // not Linux, or /proc is not mounted: the defaults fall back to loopback
  }
}
