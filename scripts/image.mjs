/**
 * `npm run image`: makes the node image, or with `--minimal` the example of an image with units of one's
 * own, as an OCI archive; without a container engine. `--output FILE` says where to (default: the cache).
 *
 * Layers are kept in the user's cache by what they were made from, so that a second time takes seconds.
 */
import { copyFile } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { cached, keyOf } from './image/cache.mjs';
import { describeImage, writeImage } from './image/oci.mjs';
import { minimalImage, nodeImage } from './image/recipes.mjs';
import { root, setUp } from './setup/all.mjs';
import { run } from './setup/run.mjs';
import { heading, line, main, seconds, SetupError } from './setup/say.mjs';

/** GOARCH of this machine: the image holds its programs. */
const architecture = process.arch === 'x64' ? 'amd64' : process.arch;

await main(async () => {
  const { values } = parseArgs({ options: { minimal: { type: 'boolean' }, output: { type: 'string' } } });
  const startedMs = performance.now();
  await setUp();
  const listed = await run(process.execPath, [path.join(root, 'bin/k3s-lite.js'), 'components', 'list', '--json'], {
    capture: true,
  });
  if (listed.code !== 0) throw new SetupError(listed.output);
  const kind = values.minimal ? 'minimal' : 'node';
  heading(`image: ${kind}`);
  const input = { root, report: JSON.parse(listed.output), say: line };
  const image = await (values.minimal ? minimalImage(input) : nodeImage(input));
  const described = describeImage({ ...image, architecture });
  const archive = await cached(
    `${kind}-${keyOf(described.digest, image.name)}.tar`,
    (file) => writeImage(file, described, image.layers),
    () => line('archive'),
  );
  const file = values.output === undefined ? archive.file : path.resolve(values.output);
  if (values.output !== undefined) await copyFile(archive.file, file);
  line(
    `${image.name} ${described.digest}, ${Math.round(archive.size / 1e6)} MB, ${seconds(performance.now() - startedMs)}`,
  );
  process.stdout.write(`${file}\n`);
  return 0;
});
