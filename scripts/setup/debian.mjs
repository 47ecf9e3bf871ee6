/**
 * Programs that come from the distribution. On a Debian-like system root gets them installed;
 * anybody else is told what to install.
 */
import { existsSync, openSync, readdirSync, readSync, closeSync } from 'node:fs';
import path from 'node:path';
import { run } from './run.mjs';
import { heading, line, warning } from './say.mjs';

const systemFolders = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

const onPath = (program) =>
  [...(process.env.PATH ?? '').split(':'), ...systemFolders].some(
    (folder) => path.isAbsolute(folder) && existsSync(path.join(folder, program)),
  );

/** A node that runs pods. */
const forNode = [
  { package: 'runc', present: () => onPath('runc') },
  { package: 'iptables', present: () => onPath('iptables') },
  { package: 'iproute2', present: () => onPath('ip') },
  { package: 'conntrack', present: () => onPath('conntrack') },
  { package: 'nftables', present: () => onPath('nft') },
  // The image of the example pod holds one static program.
  { package: 'busybox-static', present: () => ['/bin/busybox', '/usr/bin/busybox'].some(isStatic) },
];

/** The graph that README shows: a real database and its client. */
const forTests = [
  {
    package: 'postgresql',
    present: () => folders('/usr/lib/postgresql').some((v) => existsSync(`/usr/lib/postgresql/${v}/bin/postgres`)),
  },
  { package: 'postgresql-client', present: () => onPath('psql') },
  { package: 'prometheus-postgres-exporter', present: () => onPath('prometheus-postgres-exporter') },
];

const isDebian = existsSync('/etc/debian_version') && onPath('apt-get');

// RUNLEVEL: a database that is only there for tests is not to be started by its installation.
const aptEnv = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1', LC_ALL: 'C' };
const aptGet = (...args) =>
  run('apt-get', ['-qq', '-o', 'Dpkg::Use-Pty=0', '-o', 'DPkg::Lock::Timeout=120', ...args], {
    env: aptEnv,
    capture: true,
  });

export async function installPackages({ node, tests = false }) {
  const wanted = [...(node ? forNode : []), ...(tests ? forTests : [])];
  const lacking = () => wanted.filter(({ present }) => !present()).map((each) => each.package);
  const missing = lacking();
  if (missing.length === 0) return;
  const command = `apt-get install ${missing.join(' ')}`;
  if (!isDebian || process.getuid() !== 0) {
    warning(
      `missing: ${missing.join(', ')}; install ${missing.length === 1 ? 'it' : 'them'} with ` +
        (isDebian ? `\`sudo ${command}\`` : `your package manager (on Debian: \`${command}\`)`),
    );
    return;
  }
  heading(`Debian packages: ${missing.join(' ')}`);
  line('apt-get update');
  const update = await aptGet('update');
  line(command);
  const install = await aptGet('install', '-y', '--no-install-recommends', ...missing);
  const still = lacking();
  if (still.length === 0) return;
  process.stderr.write(update.code === 0 ? install.output : update.output + install.output);
  warning(`could not install ${still.join(', ')}: see above; then \`apt-get install ${still.join(' ')}\``);
}

/**
 * Programs that only some command needs, installed when it needs them.
 *
 * @returns whether they are there now
 */
export async function hasPackages(names, purpose) {
  const missing = names.filter((name) => !onPath(name));
  if (missing.length === 0) return true;
  if (!isDebian || process.getuid() !== 0) return false;
  heading(`Debian packages: ${missing.join(' ')} (for ${purpose})`);
  await aptGet('update');
  await aptGet('install', '-y', '--no-install-recommends', ...missing);
  return missing.every(onPath);
}

/**
 * Go from the distribution, if it has one that can fetch the toolchain that the modules ask for
 * (since 1.21). Otherwise nothing: the build then says what is needed.
 */
export async function installGo() {
  if (onPath('go') || existsSync('/usr/local/go/bin/go') || !isDebian || process.getuid() !== 0) return;
  await aptGet('update');
  const { output } = await run('apt-cache', ['policy', 'golang-go'], { env: aptEnv, capture: true });
  const [, major, minor] = /Candidate: \d+:(\d+)\.(\d+)/.exec(output) ?? [];
  if (major === undefined || Number(major) * 1000 + Number(minor) < 1021) return;
  heading('Debian package: golang-go');
  const install = await aptGet('install', '-y', '--no-install-recommends', 'golang-go', 'ca-certificates');
  if (install.code !== 0) process.stderr.write(install.output);
}

function folders(folder) {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** An ELF program without an interpreter. Source: ELF-64 object file format, PT_INTERP = 3; little-endian hosts. */
function isStatic(file) {
  if (!existsSync(file)) return false;
  const handle = openSync(file, 'r');
  try {
    const head = Buffer.alloc(4096);
    readSync(handle, head, 0, head.length, 0);
    if (head.readUInt32BE(0) !== 0x7f454c46) return false;
    const offset = Number(head.readBigUInt64LE(0x20));
    const size = head.readUInt16LE(0x36);
    const count = head.readUInt16LE(0x38);
    for (let index = 0; index < count; index += 1) {
      if (head.readUInt32LE(offset + index * size) === 3) return false;
    }
    return true;
  } catch {
    return false;
  } finally {
    closeSync(handle);
  }
}
