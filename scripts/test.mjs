/**
 * `npm test`: set-up, then every check, then every test. Stops after the first step that fails, always
 * ends with a summary and, alone on the last line, "N passed, N failed, N skipped".
 *
 * `npm run test:long` (--long) runs the long tests instead of the checks and the others.
 */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { installNodeModules, requireNode } from './setup/node-modules.mjs';
import { root, setUp } from './setup/all.mjs';
import { run } from './setup/run.mjs';
import { heading, line, main, seconds, SetupError } from './setup/say.mjs';
import { troublesOf } from './test-troubles.mjs';

const cache = path.join(root, '.cache');
const reportFile = path.join(cache, 'test-report.json');
const counts = { passed: 0, failed: 0, skipped: 0 };
const reports = [];

const tool = (script, ...args) => [process.execPath, [path.join(root, 'node_modules', script), ...args]];
const command = async ([file, args]) => (await run(file, args, { cwd: root })).code === 0;
/** As `command`, but what it says is shown when it has ended: others run beside it. */
const quietly = async ([file, args]) => {
  const { code, output } = await run(file, args, { cwd: root, capture: true });
  process.stdout.write(output);
  return code === 0;
};

/** The longest has a core of its own; the others take turns on another. */
const checks = [
  [{ name: 'lint', act: () => quietly(tool('eslint/bin/eslint.js', '.')) }],
  [
    { name: 'format', act: () => quietly(tool('prettier/bin/prettier.cjs', '--check', '--log-level', 'warn', '.')) },
    { name: 'types', act: () => quietly(tool('typescript/bin/tsc', '-p', '.')) },
    { name: 'unused code', act: () => quietly(tool('knip/bin/knip.js')) },
    { name: 'package', act: checkPackage },
  ],
];
const isLong = process.argv.includes('--long');
// Read by vitest.config.ts and test/kit/matrix.ts.
if (isLong) process.env.TEST_MATRIX = 'whole';
const projects = isLong ? ['long'] : ['fast', 'real'];
/** One stage after another; the lanes of a stage at the same time; the steps of a lane one after another. */
const stages = [
  [[{ name: 'set-up', act: async () => (await setUp({ tests: true }), true) }]],
  ...(isLong ? [] : [checks]),
  ...projects.map((project) => [[{ name: `tests: ${project}`, act: () => runTests(project) }]]),
];

await main(async () => {
  await requireNode(root);
  await installNodeModules(root);
  await rm(reportFile, { force: true });
  const done = [];
  for (const lanes of stages) {
    const ok = await Promise.all(lanes.map((lane) => runLane(lane, done)));
    if (ok.includes(false)) break;
  }
  await mkdir(cache, { recursive: true });
  await writeFile(reportFile, JSON.stringify(mergeReports()));
  return summary(done);
});

/** @returns whether all of its steps are well; adds each that ran to `done` */
async function runLane(lane, done) {
  for (const step of lane) {
    heading(step.name);
    const startedMs = performance.now();
    const ok = await step.act().catch((error) => {
      if (!(error instanceof SetupError)) throw error;
      line(error.message);
      return false;
    });
    const ms = performance.now() - startedMs;
    line(`${step.name}: ${ok ? 'ok' : 'FAILED'} (${seconds(ms)})`);
    done.push({ ...step, ok, ms });
    if (!ok) return false;
  }
  return true;
}

async function runTests(project) {
  // Written by the reporter that vitest.config.ts sets up.
  await rm(reportFile, { force: true });
  const ok = await command(tool('vitest/vitest.mjs', 'run', '--project', project));
  const report = await readFile(reportFile, 'utf8').then(JSON.parse, () => undefined);
  if (report !== undefined) {
    reports.push(report);
    counts.passed += report.numPassedTests;
    counts.failed += report.numFailedTests;
    counts.skipped += report.numPendingTests + report.numTodoTests;
  }
  return ok;
}

/** One report of all projects, in vitest's own shape: "What works" is made from it. */
function mergeReports() {
  return {
    numPassedTests: counts.passed,
    numFailedTests: counts.failed,
    numPendingTests: counts.skipped,
    success: reports.length === projects.length && reports.every(({ success }) => success),
    testResults: reports.flatMap(({ testResults }) => testResults),
  };
}

/** What would be published, as its users' tools see it. */
async function checkPackage() {
  const folder = path.join(cache, 'package');
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  // Without scripts: the set-up has built what prepack would build again.
  if (!(await quietly(['npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', folder]]))) return false;
  const [tarball] = await readdir(folder);
  const file = path.join(folder, tarball);
  return (
    (await quietly(tool('publint/src/cli.js', 'run', file, '--strict'))) &&
    (await quietly(tool('@arethetypeswrong/cli/dist/index.js', file, '--profile', 'esm-only')))
  );
}

function summary(done) {
  heading('summary');
  for (const { name, ok, ms } of done) line(`${ok ? 'ok    ' : 'FAILED'} ${name} (${seconds(ms)})`);
  const ran = new Set(done.map(({ name }) => name));
  for (const { name } of stages.flat(2)) if (!ran.has(name)) line(`not run ${name}`);
  // Here too: who reads the end of a long log alone has to learn which it was.
  for (const trouble of troublesOf(mergeReports().testResults, root)) line(trouble);
  const broken = done.filter(({ ok }) => !ok).length;
  // A step that failed without a failed test is a failure of its own.
  const failed = counts.failed === 0 ? broken : counts.failed;
  process.stdout.write(`${counts.passed} passed, ${failed} failed, ${counts.skipped} skipped\n`);
  return failed > 0 || counts.passed === 0 ? 1 : 0;
}
