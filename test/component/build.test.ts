import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test, vi } from 'vitest';
import { thisProcess } from '../../src/component/build-lock.ts';
import { buildComponents, estimateBuildMs, type Progress } from '../../src/component/build.ts';
import { hello, goFixture } from './go-fixture.ts';

// The first build of a machine compiles the standard library, too, for two architectures.
vi.setConfig({ testTimeout: 180_000 });

const artefact = (name: string) => ({ artefact: name });

test('a build gives running programs under all their names, recorded with version and SHA-256', async () => {
  using fixture = goFixture();
  const [built] = await buildComponents(fixture.options);
  expect(built).toMatchObject({
    ...artefact('hello'),
    fresh: true,
    record: { versions: { hello: '1.2.3', hola: '1.2.3' } },
  });
  expect(built?.record.files).toEqual([
    { name: 'hello', size: expect.any(Number) as number, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string },
  ]);
  expect(execFileSync(path.join(built?.folder ?? '', 'hola'), { encoding: 'utf8' })).toBe('hola v1.2.3\n');
});

test('a second build of the same sources builds nothing', async () => {
  using fixture = goFixture();
  const [first] = await buildComponents(fixture.options);
  const [second] = await buildComponents(fixture.options);
  expect(second).toMatchObject({ fresh: false, folder: first?.folder });
  expect(fixture.buildCount()).toBe(1);
});

test('a changed source, a changed flag or another architecture is another build', async () => {
  using fixture = goFixture();
  const { options, folder } = fixture;
  const [first] = await buildComponents(options);
  const [flagged] = await buildComponents({
    ...options,
    artefacts: [{ ...hello, ldflags: ['-X main.version=1.2.3'] }],
  });
  const goArch = first?.record.goArch === 'arm64' ? 'amd64' : 'arm64';
  const [foreign] = await buildComponents({ ...options, goArch });
  folder.write('modules/hello/extra.go', 'package main\n\nconst extra = 1\n');
  const [changed] = await buildComponents(options);
  expect(new Set([first, flagged, foreign, changed].map((each) => each?.folder)).size).toBe(4);
  // ELF header, e_machine: 183 is AArch64, 62 x86-64.
  const machine = readFileSync(path.join(foreign?.folder ?? '', 'hello')).readUInt16LE(18);
  expect(machine).toBe(goArch === 'arm64' ? 183 : 62);
  expect(foreign?.record.versions).toEqual({ hello: '1.2.3', hola: '1.2.3' });
});

test('of two builds at once one builds, the other waits and uses its result', async () => {
  using fixture = goFixture();
  const steps: string[] = [];
  const onProgress = ({ step }: Progress) => void steps.push(step);
  const [[a], [b]] = await Promise.all([
    buildComponents({ ...fixture.options, onProgress }),
    buildComponents({ ...fixture.options, onProgress }),
  ]);
  expect(fixture.buildCount()).toBe(1);
  expect([a?.fresh, b?.fresh].sort()).toEqual([false, true]);
  expect(a?.folder).toBe(b?.folder);
  expect(steps).toContain(`waiting for the build of process ${String(process.pid)}`);
});

test('an interrupted build ends the compiler, leaves nothing half done, and the next one succeeds', async () => {
  using fixture = goFixture();
  const { folder, options } = fixture;
  // A Go that has written half a binary and will not end by itself; its child writes down its pid.
  const pidFile = path.join(folder.path, 'compiler.pid');
  const stuckGo = folder.write(
    'stuck-go',
    `#!/bin/sh
[ "$1" = build ] || exec '${options.go}' "$@"
while [ "$1" != -o ]; do shift; done
echo half > "$2"
sleep 600 &
echo $! > '${pidFile}'
wait
`,
  );
  chmodSync(stuckGo, 0o755);
  const controller = new AbortController();
  const reason = new Error('interrupted');
  const building = expect(buildComponents({ ...options, go: stuckGo, signal: controller.signal })).rejects.toBe(reason);
  await expect.poll(() => existsSync(pidFile) && readFileSync(pidFile, 'utf8').endsWith('\n')).toBe(true);
  expect(readdirSync(options.cache).filter((name) => name.startsWith('.building-'))).toHaveLength(1);
  controller.abort(reason);
  await building;
  const compiler = Number(readFileSync(pidFile, 'utf8'));
  await expect.poll(() => existsSync(`/proc/${String(compiler)}/exe`)).toBe(false);
  expect(readdirSync(options.cache)).toEqual([]);
  const [built] = await buildComponents(options);
  expect(built?.fresh).toBe(true);
});

test('what a killed builder left is taken over and cleared', async () => {
  using fixture = goFixture();
  const { cache } = fixture.options;
  const [first] = await buildComponents(fixture.options);
  const name = path.basename(first?.folder ?? '');
  // The pid of a process that is gone, as a killed builder's.
  const dead = spawn('true');
  await once(dead, 'exit');
  const pid = dead.pid ?? 0;
  writeFileSync(path.join(cache, `.lock-${name}`), JSON.stringify({ pid, startTicks: 1 }));
  mkdirSync(path.join(cache, `.building-${name}-${String(pid)}-1`));
  const [again] = await buildComponents({ ...fixture.options, force: true });
  expect(again?.fresh).toBe(true);
  expect(readdirSync(cache)).toEqual([name]);
});

test('the lock of a later process with the same pid is not believed to be the old holder', async () => {
  using fixture = goFixture();
  const { cache } = fixture.options;
  const [first] = await buildComponents(fixture.options);
  const name = path.basename(first?.folder ?? '');
  writeFileSync(path.join(cache, `.lock-${name}`), JSON.stringify({ ...thisProcess(), startTicks: 1 }));
  const [again] = await buildComponents({ ...fixture.options, force: true });
  expect(again?.fresh).toBe(true);
});

test('a compiler error is reported with its lines, and nothing is left', async () => {
  using fixture = goFixture();
  fixture.folder.write('modules/hello/main.go', 'package main\n\nfunc main() { undefinedName() }\n');
  await expect(buildComponents(fixture.options)).rejects.toMatchObject({
    code: 'ERR_COMPONENT',
    message: expect.stringContaining('cannot build hello: go build exited with code 1') as string,
    detail: {
      component: 'hello',
      lastLogLines: expect.arrayContaining([expect.stringContaining('undefinedName')]) as string[],
    },
  });
  expect(readdirSync(fixture.options.cache)).toEqual([]);
});

test('without Go the error says which version is needed and what else can be done', async () => {
  using fixture = goFixture();
  await expect(buildComponents({ ...fixture.options, go: '/nonexistent/go' })).rejects.toMatchObject({
    code: 'ERR_COMPONENT',
    message: 'cannot build components: Go is not installed or does not run; Go 1.21 or newer is needed',
    detail: { hint: expect.stringContaining('components import') as string },
  });
});

test('a Go that is too old is refused before anything is built', async () => {
  using fixture = goFixture();
  fixture.folder.program('old-go', 'go1.19.8');
  const go = path.join(fixture.folder.path, 'old-go');
  await expect(buildComponents({ ...fixture.options, go })).rejects.toMatchObject({
    message: 'cannot build components: go1.19.8 is too old; Go 1.21 or newer is needed',
  });
  expect(existsSync(fixture.options.cache)).toBe(false);
});

test('more cores make the estimate shorter, but not the linking', () => {
  const kubernetes = { ...hello, coldSeconds: 100 };
  expect(estimateBuildMs(kubernetes, 2)).toBe(100_000);
  expect(estimateBuildMs(kubernetes, 8)).toBe(40_000);
  expect(estimateBuildMs(kubernetes, 1000)).toBeGreaterThan(20_000);
});
