#!/usr/bin/env node
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const [first] = process.argv.slice(2);
if (first === '--version' || first === '-V' || first === 'version') {
  // Nothing else is loaded for it.
  process.stdout.write(`k3s-lite ${createRequire(import.meta.url)('../package.json').version}\n`);
} else {
  const { loadScript } = await import('./load-script.js');
  loadScript(fileURLToPath(new URL('../dist/cli.cjs', import.meta.url)));
}
