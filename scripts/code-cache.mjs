/** Makes the code cache of a script (the first argument): runs it once with work like that of a start. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';

const file = path.resolve(process.argv[2]);
process.argv = [process.argv[0], 'k3s-lite', 'check'];
const { loadScript } = await import('../bin/load-script.js');
const script = loadScript(file);
process.once('exit', () => {
  writeFileSync(`${file}.cache`, script.createCachedData());
  // What `check` says of this machine's configuration is no matter of the build.
  process.exitCode = 0;
});
