/**
 * Records a real start for README: `node scripts/record.mjs [arguments of npm start]` runs `npm start`
 * in a pseudo terminal (util-linux `script`), waits until it is ready, presses Ctrl-C, and writes what
 * was seen to docs/start.svg. As root it starts a whole node on this machine; where the project lies is not shown.
 */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { createScreen } from './recording/screen.mjs';
import { toSvg } from './recording/svg.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const target = path.join(root, 'docs/start.svg');
const size = { columns: 104, rows: 29 };
/** How long the ready cluster, and the end, can be read. */
const holdMs = 5_000;
/** Frames closer than this are one: nobody sees both. */
const frameMs = 400;

const frames = await record(process.argv.slice(2));
const shown = thin(frames.map(elsewhere));
const totalMs = Math.round(shown.at(-1).atMs + holdMs);
const label =
  'npm start: a Kubernetes cluster comes up, each unit as soon as what it needs is ready, and Ctrl-C stops it';
const still = shown.findLastIndex(({ lines }) => isReady(lines) && !hasText(lines, '^C'));
writeFileSync(target, toSvg(shown, { ...size, totalMs, still, label }));
process.stderr.write(`${path.relative(root, target)}: ${shown.length} frames, ${(totalMs / 1000).toFixed(0)} s\n`);

function isReady(lines) {
  return hasText(lines, 'ready in');
}

function hasText(lines, start) {
  return lines.some((runs) => runs.some(({ text }) => text.startsWith(start)));
}

/** Every state of the screen, from the command to its end. */
async function record(args) {
  const quoted = [process.execPath, path.join(root, 'scripts/start.mjs'), ...args].map((word) => `'${word}'`).join(' ');
  const command = `stty cols ${size.columns} rows ${size.rows}; exec ${quoted}`;
  const child = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
    cwd: root,
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, TERM: 'xterm-256color', FORCE_COLOR: '1' },
  });
  const screen = createScreen(size);
  screen.write('$ npm start\r\n');
  const startedMs = performance.now();
  const seen = [{ atMs: 0, lines: screen.lines() }];
  let waiting = true;
  for await (const chunk of child.stdout.setEncoding('utf8')) {
    screen.write(chunk);
    seen.push({ atMs: performance.now() - startedMs, lines: screen.lines() });
    if (waiting && isReady(screen.lines())) {
      waiting = false;
      setTimeout(() => child.stdin.write('\x03'), holdMs);
    }
  }
  return seen;
}

/** As it is for somebody who has cloned the project into his home. */
function elsewhere({ atMs, lines }) {
  const text = (run) => ({ ...run, text: run.text.replaceAll(root, '/home/me/k3s-lite') });
  return { atMs, lines: lines.map((runs) => runs.map(text)) };
}

/** The last of the frames in each interval, and none that shows nothing new. */
function thin(all) {
  const kept = [];
  for (const [index, frame] of all.entries()) {
    const next = all[index + 1];
    const startsMs = kept.at(-1)?.atMs ?? -frameMs;
    if (next !== undefined && next.atMs - startsMs < frameMs) continue;
    if (JSON.stringify(frame.lines) !== JSON.stringify(kept.at(-1)?.lines)) kept.push(frame);
  }
  return kept;
}
