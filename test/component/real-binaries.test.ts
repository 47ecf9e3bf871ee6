/** The real programs of this machine's cache and PATH. `npm test` builds them first; alone, this needs them built. */
import { access, readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { cachedBuild } from '../../src/component/cache-entry.ts';
import { findComponents } from '../../src/component/find.ts';
import { manifest, type ProgramSpec } from '../../src/component/manifest.ts';
import { componentCache, hostGoArch, modulesFolder } from '../../src/component/places.ts';
import { askVersion } from '../../src/component/program-version.ts';
import { temporaryFolder } from './temporary.ts';

const { env } = process;
const places = { cache: componentCache(env), modules: modulesFolder(), goArch: hostGoArch() };

for (const artefact of manifest.artefacts) {
  const entry = cachedBuild(artefact, places);
  const programs: readonly ProgramSpec[] = artefact.programs;
  test.skipIf(entry === undefined).each(programs)(
    'our own $name tells the version that it was built as',
    async (spec) => {
      const answer = await askVersion(spec, `${entry?.folder ?? ''}/${spec.name}`, { env });
      expect(answer?.version).toMatch(new RegExp(`^v?${spec.builds?.replaceAll('.', '\\.') ?? 'unknown'}$`));
      expect(answer?.recognised).toBe(true);
    },
  );
}

for (const spec of manifest.distribution) {
  const file = `/usr/sbin/${spec.name}`;
  const isThere = await access(file).then(
    () => true,
    () => false,
  );
  test.skipIf(!isThere)(`the distribution's ${spec.name} tells its version`, async () => {
    expect(await askVersion(spec, file, { env })).toMatchObject({
      recognised: true,
      version: expect.stringMatching(/^\d+\.\d+/) as string,
    });
  });
}

test('what the programs of PATH said is remembered for the next time', async () => {
  using folder = temporaryFolder();
  const report = await findComponents({ env, modules: places.modules, cache: folder.path });
  const remembered = JSON.parse(await readFile(`${folder.path}/versions.json`, 'utf8')) as Record<string, unknown>;
  const onPath = report.programs.filter((each) => each.status === 'found' && each.version !== undefined);
  expect(onPath.length).toBeGreaterThan(0);
  for (const each of onPath) expect(remembered).toHaveProperty([each.status === 'found' ? each.path : '']);
});
