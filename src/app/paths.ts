/**
 * Where things are. Root: the system's folders; anybody else: the XDG folders. With --data-dir
 * everything of one k3s-lite lies under that directory's name, so that several run side by side.
 * Source: design, "Paths and names"; XDG Base Directory Specification.
 */
import { createHash } from 'node:crypto';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';

export interface Paths {
  readonly dataDir: string;
  /** Run-time state of this data directory: control socket, notify sockets. Mode 0700. */
  readonly runDir: string;
  readonly controlSocket: string;
  /** One file of output per unit. */
  readonly logDir: string;
  /** One record per start, for `analyze`. */
  readonly startsDir: string;
  /** Configuration folder: config.yaml, config.yaml.d/, units.d/. */
  readonly configDir: string;
}

/** The control socket of one balancer; a folder of their own says which ones there are. */
export const balancerSocket = ({ runDir }: Pick<Paths, 'runDir'>, name: string): string =>
  path.join(runDir, 'lb', `${name}.sock`);

/** The control socket of this node's process of virtual IPs. */
export const vipSocket = ({ runDir }: Pick<Paths, 'runDir'>): string => path.join(runDir, 'vip.sock');

export interface PathInput {
  readonly dataDir?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly uid: number;
}

export function pathsOf({ dataDir, env, uid }: PathInput): Paths {
  const isRoot = uid === 0;
  // Source: XDG Base Directory Specification: unset, empty and relative are the same.
  const folder = (name: string) => (path.isAbsolute(env[name] ?? '') ? env[name] : undefined);
  const home = folder('HOME') ?? homedir();
  const defaultDataDir = isRoot
    ? '/var/lib/k3s-lite'
    : path.join(folder('XDG_DATA_HOME') ?? path.join(home, '.local/share'), 'k3s-lite');
  const data = path.resolve(dataDir ?? defaultDataDir);
  const runRoot = isRoot
    ? '/run/k3s-lite'
    : path.join(folder('XDG_RUNTIME_DIR') ?? path.join(tmpdir(), `k3s-lite-${String(uid)}`), 'k3s-lite');
  // A unix socket's path holds 107 bytes (sun_path, unix(7)): the data directory's path may not fit.
  const runDir = path.join(
    runRoot,
    data === defaultDataDir ? 'default' : createHash('sha256').update(data).digest('hex').slice(0, 12),
  );
  return {
    dataDir: data,
    runDir,
    controlSocket: path.join(runDir, 'control.sock'),
    logDir: path.join(data, 'logs'),
    startsDir: path.join(data, 'starts'),
    configDir: isRoot
      ? '/etc/k3s-lite'
      : path.join(folder('XDG_CONFIG_HOME') ?? path.join(home, '.config'), 'k3s-lite'),
  };
}

/** Of the process that asks. */
export const ownPaths = ({ dataDir, env }: Pick<PathInput, 'dataDir' | 'env'>): Paths =>
  pathsOf({ dataDir, env, uid: process.getuid?.() ?? 0 });
