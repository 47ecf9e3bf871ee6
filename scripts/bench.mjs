/** `npm run bench`: set-up, then the benchmarks in bench/. Arguments are passed on. */
import path from 'node:path';
import { root, setUp } from './setup/all.mjs';
import { run } from './setup/run.mjs';
import { main } from './setup/say.mjs';

await main(async () => {
  await setUp();
  const bench = path.join(root, 'bench/main.mjs');
  return (await run(process.execPath, [bench, ...process.argv.slice(2)], { cwd: root })).code;
});
