/** The Debian base of the node image: made by mmdebstrap, without a container engine. */
import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { hasPackages } from '../setup/debian.mjs';
import { run } from '../setup/run.mjs';
import { SetupError } from '../setup/say.mjs';
import { cached, keyOf } from './cache.mjs';
import { copyLayer } from './layer.mjs';

/** What a node calls, and what Node.js needs (libstdc++6). */
export const packages = [
  ...['ca-certificates', 'conntrack', 'iproute2', 'iptables', 'kmod', 'libstdc++6'],
  ...['mount', 'nftables', 'procps', 'runc', 'util-linux'],
];
const defaultSuite = 'bookworm';

/** Left out: what the builder's machine left in it, what each container gets, what apt and dpkg log. */
const unwanted =
  /^(?:dev\/.|run\/.|tmp\/.|etc\/(?:hostname|hosts|resolv\.conf|machine-id)$|var\/(?:log|cache|tmp|lib\/apt\/lists)\/.)/;

/** @returns the layer: digest, size, file */
export async function baseLayer(say) {
  const { suite, sources } = await debianOfThisMachine();
  const name = `layers/base-${keyOf(suite, packages, process.arch, String(unwanted))}.tar`;
  return cached(
    name,
    async (file) => {
      const bootstrapped = `${file}.rootfs.tar`;
      await bootstrap(suite, sources, bootstrapped);
      try {
        return await copyLayer(file, bootstrapped, (path) => !unwanted.test(path));
      } finally {
        await rm(bootstrapped, { force: true });
      }
    },
    () => say(`base: Debian ${suite} with ${packages.length} packages (mmdebstrap; once, about a minute)`),
  );
}

async function bootstrap(suite, sources, file) {
  if (!(await hasPackages(['mmdebstrap'], 'the root file system of the image'))) {
    throw new SetupError('the image needs mmdebstrap: install it (on Debian: `sudo apt-get install mmdebstrap`)');
  }
  const leftOut = ['doc', 'man', 'locale', 'info'].map((each) => `--dpkgopt=path-exclude=/usr/share/${each}/*`);
  const options = ['--variant=minbase', `--include=${packages.join(',')}`, '--aptopt=APT::Install-Recommends "false"'];
  const result = await run('mmdebstrap', [...options, ...leftOut, '--format=tar', suite, file, ...sources], {
    capture: true,
    env: { ...process.env, SOURCE_DATE_EPOCH: '0' },
  });
  if (result.code !== 0) {
    throw new SetupError(`mmdebstrap failed:\n${result.output.trimEnd().split('\n').slice(-15).join('\n')}`);
  }
}

/**
 * The release of a Debian machine, because its own packages are near, and where it gets them from;
 * elsewhere mmdebstrap's own default.
 */
async function debianOfThisMachine() {
  const text = await readFile('/etc/os-release', 'utf8').catch(() => '');
  if (!/^ID=debian$/m.test(text)) return { suite: defaultSuite, sources: [] };
  const file = ['/etc/apt/sources.list.d/debian.sources', '/etc/apt/sources.list'].find((each) => existsSync(each));
  return {
    suite: /^VERSION_CODENAME=(\w+)$/m.exec(text)?.[1] ?? defaultSuite,
    sources: file === undefined ? [] : [file],
  };
}
