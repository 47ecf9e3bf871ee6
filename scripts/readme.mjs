/**
 * The parts of README.md that are made from other files. Each stands between a pair of comments,
 * and everything else in it is written by hand.
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { lastReport, whatWorks } from './what-works.mjs';

/**
 * @param present README.md as it is
 * @param root folder of the clone
 * @param options.tests whether the table of demands is made anew; the report of the tests is not in a fresh clone
 * @param options.say told what was left as it is, and which demands lack a test on real processes
 */
export async function readmeText(present, root, { tests, say }) {
  const unit = await readFile(path.join(root, 'units/kube-scheduler.yaml'), 'utf8');
  const withUnit = fill(present, 'unit:kube-scheduler', `\`\`\`yaml\n${unit}\`\`\``);
  const report = tests ? lastReport(root) : undefined;
  if (report === undefined) {
    if (tests) say('README.md: "What works" is left as it is, because there is no test report: run `npm test`');
    return withUnit;
  }
  try {
    const { table, unproven } = whatWorks(report, root);
    if (unproven.length > 0) say(`README.md: no passed test on real processes for ${unproven.join(', ')}`);
    return fill(withUnit, 'what-works', table);
  } catch (error) {
    say(`README.md: "What works" is left as it is: ${error.message}`);
    return withUnit;
  }
}

function fill(text, name, content) {
  const [start, end] = [`<!-- start:${name} -->\n`, `<!-- end:${name} -->`];
  const [from, to] = [text.indexOf(start), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`README.md lacks ${start.trim()} … ${end}`);
  return `${text.slice(0, from + start.length)}${content}\n${text.slice(to)}`;
}
