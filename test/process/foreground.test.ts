import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { foreground } from '../../src/process/foreground.ts';
import { bundle } from './bundle.ts';

let folder = '';
let program = '';

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'k3s-lite-foreground-'));
  program = await bundle('foreground.ts', folder);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('the program has our standard streams, and its exit code is ours', async () => {
  const child = spawn(process.execPath, [program, 'sh', '-c', 'read word; echo "got $word"; exit 42']);
  child.stdin.end('hello\n');
  const [output] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  expect(output).toBe('got hello\n');
  expect(child.exitCode).toBe(42);
});

test.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('%s to us reaches the program, which decides', async (signal) => {
  const script = `trap 'echo caught; exit 9' ${signal.slice(3)}; echo ready; while :; do sleep 0.02; done`;
  const child = spawn(process.execPath, [program, 'sh', '-c', script]);
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
    if (output === 'ready\n') child.kill(signal);
  });
  const [code] = (await once(child, 'close')) as [number];
  expect(output).toBe('ready\ncaught\n');
  expect(code).toBe(9);
});

test('a program ended by signal n gives 128 + n', async () => {
  expect(await foreground(['sh', '-c', 'kill -9 $$'], { env: process.env })).toBe(137);
});

test('a missing program is an ENOENT, and no listener is left behind', async () => {
  const before = process.listenerCount('SIGTERM');
  await expect(foreground(['no-such-program'], { env: { PATH: '/bin' } })).rejects.toMatchObject({ code: 'ENOENT' });
  expect(await foreground(['true'], { env: process.env })).toBe(0);
  expect(process.listenerCount('SIGTERM')).toBe(before);
});
