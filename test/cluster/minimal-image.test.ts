/**
 * The image of examples/entrypoint as a container: three units and their own programs, nothing of
 * Kubernetes, with k3s-lite-init as process 1.
 *
 *   site (task) ◄── backend ◄── web (main unit)
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ContainerEngine, type Container } from './kit/container-engine.ts';
import { makeImage, minimalImage } from './kit/image-archive.ts';
import { isRoot } from './node-rig.ts';

describe.skipIf(!isRoot)('[C5] the minimal image', () => {
  let engine: ContainerEngine;
  let container: Container;
  const get = (at: string) => engine.inNetwork('busybox', 'wget', '-q', '-O', '-', `http://127.0.0.1:8080${at}`);
  const [backend, web, supervisor] = [/^\/app\/bin\/busybox httpd/, /front\.mjs/, /^node \S+k3s-lite up/];

  beforeAll(async () => {
    const archive = makeImage('--minimal');
    engine = await ContainerEngine.start();
    engine.import(archive);
    container = engine.start(minimalImage);
    await container.line(/^web +\| listening/);
  }, 240_000);
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
    expect(engine.traces()).toEqual([]);
  });

  test('process 1 is the init; the units run in graph order and answer', async () => {
    expect(container.exec('/app/bin/busybox', 'cat', '/proc/1/comm').output).toBe('k3s-lite-init\n');
    await expect.poll(() => get('/').output).toBe('hello\n');
    expect(get('/api/index.html').output).toContain('made by the task');
  });

  test('their output is on the container’s own, behind their names', async () => {
    await container.line(/^web +\| GET \/api\/index\.html$/);
    await container.line(/^backend +\| .*response:200/);
  });

  test('a killed unit comes again, the others stay', async () => {
    const others = container.pids(web);
    expect(others).toHaveLength(1);
    const before = container.killHard(backend);
    await expect.poll(() => get('/api/index.html').output, { timeout: 10_000 }).toContain('made by the task');
    // It forks for each request.
    await expect.poll(() => container.pids(backend)).toHaveLength(1);
    expect(container.pids(backend)).not.toEqual([before]);
    expect(container.pids(web)).toEqual(others);
  });

  test('a killed k3s-lite comes again, and its units live on', async () => {
    const pids = () => [backend, web].map((command) => container.pids(command));
    await expect.poll(pids).toEqual([[expect.any(Number)], [expect.any(Number)]]);
    const pidsBefore = pids();
    const before = container.killHard(supervisor);
    const fresh = () => container.pids(supervisor).filter((pid) => pid !== before);
    await expect.poll(fresh, { timeout: 10_000 }).toHaveLength(1);
    await expect.poll(() => container.isReady(), { timeout: 20_000, interval: 200 }).toBe(true);
    expect(get('/api/index.html').output).toContain('made by the task');
    // One of them forks for each request.
    await expect.poll(pids).toEqual(pidsBefore);
  });

  test('SIGTERM stops it within its deadline, with 0', async () => {
    const startedMs = performance.now();
    container.signal('SIGTERM');
    expect(await container.ended).toBe(0);
    expect(performance.now() - startedMs).toBeLessThan(10_000);
    await container.remove();
    expect(engine.traces()).toEqual([]);
  });

  test('words behind the image are for the main unit, and the container ends with its exit code', async () => {
    container = engine.start(minimalImage, { args: ['--', '--greeting=good day'] });
    await container.line(/^web +\| listening/);
    await expect.poll(() => get('/').output).toBe('good day\n');
    get('/fail');
    expect(await container.ended).toBe(3);
  });

  test('an output that nobody reads disturbs nothing', async () => {
    await container.remove();
    container = engine.start(minimalImage, { isMute: true });
    await expect.poll(() => get('/').output, { timeout: 20_000 }).toBe('hello\n');
    for (let request = 0; request < 3; request += 1) expect(get(`/${'x'.repeat(4000)}`).code).toBe(0);
    container.signal('SIGTERM');
    expect(await container.ended).toBe(0);
  });
});
