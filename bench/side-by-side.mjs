/**
 * `node bench/side-by-side.mjs [--bin-dir DIR]`: the same node, started by k3s-lite and by the shell entrypoint that
 * it replaces, in one run: the time to node Ready, and what each of them prints when etcd cannot bind its port.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { withFolder } from './place.mjs';
import { prepareStage, startOurs, startShell } from './rows/cluster-start.mjs';
import { requireWorld } from './world.mjs';

const { values } = parseArgs({ options: { 'bin-dir': { type: 'string' } } });

/** How long each of them is looked at when it cannot become ready, in seconds. */
const patienceS = 10;
const holdPort = `require('node:net').createServer().listen(2379, '127.0.0.1')`;
const withPortTaken = ['sh', '-c', '"$0" -e "$1" & sleep 1; shift; exec "$@"', process.execPath, holdPort];

const arms = {
  'k3s-lite': (stage, spec) => startOurs(stage, { view: [], ...spec }),
  'shell entrypoint': (stage, spec) => startShell(stage, { sleep: '1', isTuned: false, ...spec }),
};

requireWorld();
await withFolder(async (folder) => {
  const stage = await prepareStage(folder, values['bin-dir']);
  for (const [name, start] of Object.entries(arms)) {
    const { At } = await start(stage, { waitFor: ['node'] });
    console.log(`${name}: node Ready after ${(At.node / 1000).toFixed(2)} s`);
  }
  for (const [name, start] of Object.entries(arms)) {
    // It never becomes ready: that it was not seen to is no failure of ours.
    const refused = await start(stage, { waitFor: ['etcd'], before: withPortTaken, TimeoutS: patienceS }).catch(
      (error) => error,
    );
    // The world writes the milliseconds before each line.
    const printed = readFileSync(path.join(folder, 'output.log'), 'utf8')
      .replaceAll(/^\d+\.\d /gm, '')
      .trimEnd();
    if (!(refused instanceof Error)) throw new Error(`${name} did not notice that the port is taken`);
    console.log(`\n${name}, port 2379 taken, printed in ${patienceS} s:\n${printed || '(nothing)'}`);
  }
});
process.exit(0);
