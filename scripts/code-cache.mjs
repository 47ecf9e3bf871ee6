/**
 * Makes the code cache of a script (the first argument): runs `up` with it once, on three small units.
 * V8 puts into the cache what has been compiled by then, so that a start compiles next to nothing.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const file = path.resolve(process.argv[2]);
const folder = mkdtempSync(path.join(tmpdir(), 'k3s-lite-cache-'));
const socket = path.join(folder, 'socket');

/** Node.js is the one program that is surely there. `main` ends the run. */
const units = {
  listens: `
about: listens after a while
run: ['${process.execPath}', '-e', 'require("node:net").createServer().listen(process.env.AT)']
env: { AT: '${socket}' }
ready: { unix: '${socket}' }
stop: { within: 5s }
`,
  says: `
about: says that it is ready
run: ['${process.execPath}', '-e', 'console.log("begun"); setTimeout(() => {}, 60_000)']
ready: { log: begun }
`,
  main: `
about: ends when both are there
kind: task
run: ['${process.execPath}', '-e', '0']
needs:
  - hard: listens
  - soft: says
    maxWait: 10s
`,
};
mkdirSync(path.join(folder, 'units'));
for (const [name, text] of Object.entries(units))
  writeFileSync(path.join(folder, 'units', `${name}.yaml`), text.trimStart());

process.env.XDG_RUNTIME_DIR = folder;
const [node] = process.argv;
const places = ['--units', path.join(folder, 'units'), '--data-dir', path.join(folder, 'data')];
process.argv = [node, 'k3s-lite', 'up', ...places, '--exit-with', 'main'];
const { loadScript } = await import('../bin/load-script.js');
const script = loadScript(file);
process.once('exit', () => {
  rmSync(folder, { recursive: true, force: true });
  writeFileSync(`${file}.cache`, script.createCachedData());
  // What this machine makes of the units is no matter of the build.
  process.exitCode = 0;
});
