import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { balancerClient } from '../../src/cli/commands/lb-client.ts';

test('a balancer that takes the question and never answers is told of, and nobody waits for ever', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'k3s-lite-lb-'));
  const socketPath = path.join(folder, 'stopped.sock');
  // As a stopped process: the kernel accepts, and nothing comes.
  const server = createServer(() => undefined).listen(socketPath);
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  });
  await once(server, 'listening');
  const client = balancerClient({ name: 'stopped', socketPath }, new AbortController().signal, 50);
  const silent = { code: 'ERR_CONTROL', detail: { reason: 'silent' } };
  await expect(client.servers()).rejects.toMatchObject(silent);
  await expect(client.operate('unpin', {})).rejects.toMatchObject(silent);
  await expect(client.follow()).rejects.toMatchObject(silent);
});
