/** What docs/guide.md says of files and folders, on the installed command, by a plain user. */
import { chmodSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { plainUser, type PlainUser } from './plain-user.ts';

const unit = "about: Sleeps\nrun: [sleep, '600']\n";

describe('docs/guide.md', () => {
  let user: PlainUser;
  beforeEach(() => {
    user = plainUser();
    user.write('units/sleeper.yaml', unit);
  });
  afterEach(async () => {
    await user[Symbol.asyncDispose]();
  });

  test('a configuration file says what the command line would; all commands find the place by it', async () => {
    user.write('config.yaml', 'data-dir: ./data\nunits: [units]\n');
    user.write('config.yaml.d/10-other.yaml', 'data-dir: ./other\n');
    const running = user.start(['k3s-lite', 'up', '--config', 'config.yaml']);
    await running.line('everything is ready');
    const status = user.run(['k3s-lite', 'status', '--config', 'config.yaml']);
    expect(status.code, status.output).toBe(0);
    expect(status.output).toContain(`data in ${path.join(user.folder, 'other')}`);
    // Not `run`, which blocks: `down` waits until the other process is gone, and we are its parent.
    const down = await user.start(['k3s-lite', 'down', '--config', 'config.yaml']).ended;
    expect(down.code, down.output).toBe(0);
    expect((await running.ended).code).toBe(0);
  });

  test('a mistake in it is told with its place and the nearest key', () => {
    user.write('config.yaml', 'data-dir: ./data\nhttps-listen-prot: 1\n');
    const { code, output } = user.run(['k3s-lite', 'up', '--config', 'config.yaml']);
    expect(code).toBe(3);
    expect(output).toContain(
      'config.yaml:2:1: key "https-listen-prot" is not known; did you mean "https-listen-port"?',
    );
  });

  test('a folder that others can change is no place for the control socket: all is stopped, and it says why', async () => {
    const open = path.join(user.folder, 'open');
    mkdirSync(open);
    chmodSync(open, 0o777);
    const up = ['k3s-lite', 'up', '--units', 'units', '--data-dir', './data'];
    const { code, output } = await user.start(['env', `XDG_RUNTIME_DIR=${open}`, ...up]).ended;
    expect(code, output).toBe(4);
    expect(output).toContain(`k3s-lite: ${open} can be changed by other users`);
    expect(output).not.toContain('    at ');
    expect(user.processes()).toEqual([]);
  });
});
