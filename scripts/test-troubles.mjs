/** What a report of vitest says of tests that failed, or passed only at the second try. Pure. */
import path from 'node:path';

/** Lines of each kind, at most: the end of a log is what people see of it. */
const shown = 12;
const longest = 240;

/** As in vitest's JSON report, and the folder that its names begin with. One line each, those that failed first. */
export function troublesOf(files, root) {
  const failed = [];
  const second = [];
  for (const { name, status, message = '', assertionResults } of files) {
    const file = path.relative(root, name);
    const before = failed.length;
    for (const { status: outcome, fullName, failureMessages = [] } of assertionResults) {
      const [why = ''] = failureMessages;
      if (outcome === 'failed') failed.push(oneLine(`FAILED ${file}: ${fullName}`, why));
      else if (outcome === 'passed' && why !== '') second.push(oneLine(`second try ${file}: ${fullName}`, why));
    }
    // A file that cannot be loaded, or whose set-up failed, has no failed test.
    if (status === 'failed' && failed.length === before) failed.push(oneLine(`FAILED ${file}`, message));
  }
  return [...limited(failed), ...limited(second)];
}

const limited = (lines) =>
  lines.length <= shown ? lines : [...lines.slice(0, shown), `... and ${String(lines.length - shown)} more`];

function oneLine(what, why) {
  const [first = ''] = why.split('\n');
  const text = first === '' ? what : `${what}: ${first}`;
  return text.length <= longest ? text : `${text.slice(0, longest - 1)}…`;
}
