import { readdirSync, readFileSync } from 'node:fs';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Those that use test/kit/matrix.ts are tried in part, and whole by `npm run test:long`, which says so. */
const isWhole = process.env['TEST_MATRIX'] === 'whole';
const cluster = new URL('test/cluster/', import.meta.url);
const matrices = readdirSync(cluster)
  .filter((name) => name.endsWith('.test.ts') && readFileSync(new URL(name, cluster), 'utf8').includes('kit/matrix.ts'))
  .map((name) => `test/cluster/${name}`);

/** These take longest. Where nothing is known of earlier runs vitest begins with large files, and would end with one of them alone. */
const longest = ['executor/simulation-small.test.ts', 'executor/simulation-large.test.ts', 'cli/up-process.test.ts'];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isLong = ({ moduleId }: TestSpecification) => longest.some((name) => moduleId.endsWith(name));
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}

/**
 * fast: pure logic and small real processes, in parallel. real: the real components, one file at a
 * time, because two control planes on two cores would only measure each other.
 *
 * A test that fails is tried once more, so that half an hour is not lost to one pause of a shared
 * machine. `npm test` names each that needed it (scripts/test-troubles.mjs): it is a bug to look into.
 */
export default defineConfig({
  test: {
    // Half of the fast tests' time is waiting for small processes: a core kept free would be idle.
    maxWorkers: '100%',
    sequence: { sequencer: LongestFirst },
    // What was found instead is told whole: the log may be all that is left of a run.
    chaiConfig: { truncateThreshold: 500 },
    reporters: ['default', ['json', { outputFile: '.cache/test-report.json' }]],
    projects: [
      {
        test: {
          name: 'fast',
          include: ['test/**/*.test.ts'],
          exclude: ['test/cluster/**', 'test/long/**'],
          testTimeout: 20_000,
          retry: 1,
        },
      },
      {
        test: {
          name: 'long',
          include: ['test/long/**/*.test.ts', ...(isWhole ? matrices : [])],
          fileParallelism: false,
          testTimeout: 3_600_000,
          // As of the real components: an installation is copied and, if need be, built.
          hookTimeout: 180_000,
        },
      },
      {
        test: {
          name: 'real',
          include: ['test/cluster/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 180_000,
          retry: 1,
        },
      },
    ],
  },
});
