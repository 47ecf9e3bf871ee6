import { expect, test } from 'vitest';
import { commandName } from '../../src/app/command-name.ts';

test.each([
  ['/usr/local/bin/k3s-lite', '/root', 'k3s-lite'],
  ['/app/node_modules/.bin/k3s-lite', '/app', 'k3s-lite'],
  ['/home/me/clone/bin/k3s-lite.js', '/home/me/clone', 'node bin/k3s-lite.js'],
  ['/home/me/clone/bin/k3s-lite.js', '/home/me', 'node clone/bin/k3s-lite.js'],
  ['/home/me/clone/bin/k3s-lite.js', '/srv', 'node /home/me/clone/bin/k3s-lite.js'],
  ['', '/', 'k3s-lite'],
])('%s, called in %s, is %s', (script, cwd, name) => {
  expect(commandName(script, cwd)).toBe(name);
});
