/** What a report of vitest says of tests that failed, or passed only at the second try. Pure. */
import path from 'node:path';

/** Lines of each kind, at most: the end of a log is what people see of it. */
const shown = 12;
const longest = 240;
/** What all failed tests share: the fewer there are, the more is said of each. */
const longestOfAll = 1200;

/** As in vitest's JSON report, and the folder that its names begin with. One line each, those that failed first. */
export function troublesOf(files, root) {
  const failed = [];
  const second = [];
  for (const { name, status, message = '', assertionResults } of files) {
    const file = path.relative(root, name);
    const before = failed.length;
    for (const { status: outcome, fullName, failureMessages = [] } of assertionResults) {
      // Each try has its own.
      const why = [...new Set(failureMessages.map(firstLine))].join(' | then: ');
      if (outcome === 'failed') failed.push(told(`FAILED ${file}: ${fullName}`, why));
      else if (outcome === 'passed' && why !== '') second.push(told(`second try ${file}: ${fullName}`, why));
    }
    // A file that cannot be loaded, or whose set-up failed, has no failed test.
    if (status === 'failed' && failed.length === before) failed.push(told(`FAILED ${file}`, firstLine(message)));
  }
  const share = Math.max(longest, Math.floor(longestOfAll / Math.max(1, failed.length)));
  return [...limited(failed, share), ...limited(second, longest)];
}

const told = (what, why) => (why === '' ? what : `${what}: ${why}`);

const firstLine = (text) => text.split('\n')[0] ?? '';

function limited(lines, longestLine) {
  const cut = lines
    .slice(0, shown)
    .map((text) => (text.length <= longestLine ? text : `${text.slice(0, longestLine - 1)}…`));
  return lines.length <= shown ? cut : [...cut, `... and ${String(lines.length - shown)} more`];
}
