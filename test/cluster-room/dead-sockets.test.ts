import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { removeDeadSockets } from '../../src/cluster/dead-sockets.ts';
import { temporaryFolder } from './settings-kit.ts';

test('sockets of killed listeners go; live ones, young ones and other files stay', async () => {
  const folder = temporaryFolder();
  const live = createServer();
  onTestFinished(() => void live.close());
  live.listen(path.join(folder, 'live'));
  await once(live, 'listening');
  writeFileSync(path.join(folder, 'file'), '');
  const listenAndDie = `require('node:net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`;
  spawnSync(process.execPath, ['-e', listenAndDie, path.join(folder, 'dead')]);
  expect(readdirSync(folder).sort()).toEqual(['dead', 'file', 'live']);

  await removeDeadSockets(folder, Date.now());
  expect(readdirSync(folder).sort()).toEqual(['dead', 'file', 'live']);
  await removeDeadSockets(folder, Date.now() + 10_000);
  expect(readdirSync(folder).sort()).toEqual(['file', 'live']);
  await removeDeadSockets(path.join(folder, 'none'), Date.now());
});
