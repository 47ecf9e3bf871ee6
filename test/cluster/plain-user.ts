/**
 * A person without rights who has installed k3s-lite: an own empty folder, an own home, and the
 * package as it would be published on PATH and in node_modules.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import {
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { copyDependencies } from './kit/dependencies.ts';

const root = path.resolve(import.meta.dirname, '../..');
/** `nobody` on every distribution, when we are root; else ourselves. */
const owner = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};

export interface Ended {
  readonly code: number | null;
  readonly output: string;
}

/** A command that keeps running. */
export interface Running {
  /** Resolves with the first line that contains `text`; rejects with all output when the command ends before. */
  line(text: string): Promise<string>;
  signal(name: NodeJS.Signals): void;
  readonly ended: Promise<Ended>;
}

export interface PlainUser extends AsyncDisposable {
  readonly folder: string;
  write(file: string, text: string): void;
  run(argv: readonly string[]): Ended;
  start(argv: readonly string[]): Running;
  /** Living processes that work in this folder, whoever their parent is by now. */
  processes(): readonly string[];
}

export function plainUser(): PlainUser {
  if (!existsSync(path.join(root, 'dist/cli.cjs'))) throw new Error('there is no dist/: npm run build');
  const base = mkdtempSync(path.join(tmpdir(), 'k3s-lite-user-'));
  const folder = path.join(base, 'work');
  const home = path.join(base, 'home');
  const runtime = path.join(base, 'run');
  install(path.join(folder, 'node_modules'));
  mkdirSync(path.join(base, 'bin'));
  symlinkSync(path.join(folder, 'node_modules/k3s-lite/bin/k3s-lite.js'), path.join(base, 'bin/k3s-lite'));
  for (const dir of [base, folder, home, runtime]) {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    if (owner.uid !== undefined) chownSync(dir, owner.uid, owner.gid);
  }
  const env = {
    PATH: [path.join(base, 'bin'), path.dirname(process.execPath), process.env['PATH'] ?? ''].join(':'),
    HOME: home,
    XDG_RUNTIME_DIR: runtime,
    LC_ALL: 'C',
  };
  const options = { cwd: folder, env, ...owner };
  const children: ChildProcess[] = [];
  const processes = () =>
    readdirSync('/proc').flatMap((pid) => {
      if (!/^\d+$/.test(pid)) return [];
      try {
        if (!readlinkSync(`/proc/${pid}/cwd`).startsWith(`${folder}/`)) return [];
        return [`${pid} ${readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')}`];
      } catch {
        return []; // it has ended meanwhile, or it is not ours
      }
    });

  return {
    folder,
    write(file, text) {
      const target = path.join(folder, file);
      mkdirSync(path.dirname(target), { recursive: true });
      writeFileSync(target, text);
    },
    run([program = '', ...args]) {
      const { status, stdout, stderr, error } = spawnSync(program, args, { ...options, encoding: 'utf8' });
      if (error !== undefined) throw error;
      return { code: status, output: `${stdout}${stderr}` };
    },
    start([program = '', ...args]) {
      const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
      children.push(child);
      return runningOf(child);
    },
    processes,
    async [Symbol.asyncDispose]() {
      for (const child of children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null)) {
        await new Promise((resolve) => {
          child.once('close', resolve);
          child.kill('SIGTERM');
        });
      }
      for (const line of processes()) process.kill(Number(line.split(' ')[0]), 'SIGKILL');
      rmSync(base, { recursive: true, force: true });
    },
  };
}

/** What `npm install k3s-lite` would put there; copied, because a clone may lie where the user cannot look. */
function install(modules: string): void {
  const target = path.join(modules, 'k3s-lite');
  for (const each of ['package.json', 'bin', 'dist', 'units']) {
    cpSync(path.join(root, each), path.join(target, each), { recursive: true });
  }
  copyDependencies(root, modules);
}

function runningOf(child: ChildProcess): Running {
  const lines: string[] = [];
  const waiting = new Set<{ text: string; resolve(line: string): void; reject(error: Error): void }>();
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue;
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      for (const wait of [...waiting].filter(({ text }) => line.includes(text))) {
        waiting.delete(wait);
        wait.resolve(line);
      }
    });
  }
  const ended = new Promise<Ended>((resolve) => {
    child.once('close', (code) => {
      const output = lines.join('\n');
      for (const { text, reject } of waiting) {
        reject(new Error(`it ended with ${String(code)} and never said "${text}":\n${output}`));
      }
      resolve({ code, output });
    });
  });
  return {
    line(text) {
      const told = lines.find((line) => line.includes(text));
      if (told !== undefined) return Promise.resolve(told);
      return new Promise((resolve, reject) => waiting.add({ text, resolve, reject }));
    },
    signal: (name) => void child.kill(name),
    ended,
  };
}
