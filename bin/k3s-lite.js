#!/usr/bin/env node
// CommonJS, by the package.json beside it: Node.js's loader of modules costs a start some 10 ms.
'use strict';
const path = require('node:path');

const [first] = process.argv.slice(2);
if (first === '--version' || first === '-V' || first === 'version') {
  // Nothing else is loaded for it.
  process.stdout.write(`k3s-lite ${require('../package.json').version}\n`);
} else {
  const { loadScript } = require('./load-script.js');
  // What a start needs is a part of all; the other script has it, too (scripts/build.mjs).
  const script = ['up', 'server', 'agent'].includes(first) ? 'up' : 'cli';
  loadScript(path.join(__dirname, `../dist/${script}.cjs`));
}
