/**
 * Adds to package-lock.json the optional platform packages that it lacks.
 *
 * npm leaves out what the registry in use does not have (a mirror may hold only the platforms asked
 * for), and then `npm ci` refuses the lockfile everywhere. Run after `npm install PACKAGE`.
 */
import { readFileSync, writeFileSync } from 'node:fs';

const file = new URL('../package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(file, 'utf8'));
const { '': project, ...packages } = lock.packages;
const platform =
  /(android|darwin|freebsd|linux|openharmony|win32)-(arm64|arm|x64|ia32|ppc64|riscv64|s390x)-?(gnu|musl)?\w*$/;

for (const [place, { optionalDependencies = {}, dev, license, engines }] of Object.entries({ ...packages })) {
  for (const [name, version] of Object.entries(optionalDependencies)) {
    if (packages[`node_modules/${name}`] ?? packages[`${place}/node_modules/${name}`]) continue;
    const [, os, cpu, libc] = platform.exec(name) ?? [];
    if (os === undefined) throw new Error(`${name} of ${place} is missing and does not tell its platform`);
    packages[`node_modules/${name}`] = {
      version,
      cpu: [cpu],
      ...(dev ? { dev } : {}),
      ...(os === 'linux' && libc ? { libc: [libc === 'gnu' ? 'glibc' : 'musl'] } : {}),
      license,
      optional: true,
      os: [os],
      ...(engines ? { engines } : {}),
    };
    process.stdout.write(`added ${name} ${version}\n`);
  }
}
const sorted = Object.entries(packages).sort(([a], [b]) => a.localeCompare(b, 'en'));
lock.packages = { '': project, ...Object.fromEntries(sorted) };
writeFileSync(file, `${JSON.stringify(lock, undefined, 2)}\n`);
