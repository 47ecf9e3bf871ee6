/**
 * Mistakes in unit files: each is told with its place, nothing is started, and what runs on the same
 * data directory meanwhile does not notice.
 *
 *   web ─hard─► api ─hard─► faulty        free
 */
import { statSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createCluster, type Cluster, type Up } from './kit/cluster.ts';
import { install, type Installation } from './kit/installation.ts';
import { processesOf } from './kit/traces.ts';
import { graphWith } from './kit/unit-graph.ts';

let installation: Installation;
/** Runs all the time: what the tests do on its data directory must not touch it. */
let cluster: Cluster;
let up: Up;

beforeAll(async () => {
  installation = await install();
  cluster = await createCluster({ installation });
  up = cluster.up(['--units', cluster.unitFolder('good', graphWith({ run: ['sleep', '86400'] }))]);
  await up.events.ready();
});
afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  installation[Symbol.dispose]();
});

const unit = (...lines: readonly string[]) => ['about: Something', ...lines, ''].join('\n');

const mistakes: readonly {
  readonly name: string;
  readonly units: Readonly<Record<string, string>>;
  /** With the folder of the files for DIR. */
  readonly told: readonly string[];
}[] = [
  {
    name: 'a cycle, with its whole path and the place of each edge',
    units: {
      first: unit('run: [touch, STARTED]', 'needs:', '  - hard: second'),
      second: unit('run: [touch, STARTED]', 'needs:', '  - soft: third'),
      third: unit('run: [touch, STARTED]', 'needs:', '  - hard: first'),
    },
    told: ['first → second → third → first', 'DIR/first.yaml:4:', 'DIR/second.yaml:4:', 'DIR/third.yaml:4:'],
  },
  {
    name: 'an unknown unit, with the nearest known one',
    units: {
      database: unit('run: [touch, STARTED]'),
      api: unit('run: [touch, STARTED]', 'needs:', '  - hard: databse'),
    },
    told: ['DIR/api.yaml:4:', 'databse', 'did you mean "database"?'],
  },
  {
    name: 'a typo in a key, with the nearest known one',
    units: { api: unit('run: [touch, STARTED]', 'startWithn: 10s') },
    told: ['DIR/api.yaml:3:1', 'startWithn', 'startWithin'],
  },
  {
    name: 'an unknown variable, with the nearest known one',
    units: { api: unit("run: [touch, STARTED, '${dataDr}/x']") },
    told: ['DIR/api.yaml:2:', 'dataDr', 'dataDir'],
  },
  {
    name: 'text that is no YAML',
    units: { api: unit('run: [touch, STARTED', 'needs: }') },
    told: ['DIR/api.yaml:'],
  },
];

test.each(mistakes.map((mistake) => [mistake.name, mistake] as const))('%s', async (_name, { units, told }) => {
  const before = processesOf(cluster.paths);
  const started = path.join(cluster.folder('work'), 'started');
  const folder = cluster.unitFolder(
    `bad-${mistakes.findIndex((mistake) => mistake.units === units)}`,
    Object.fromEntries(Object.entries(units).map(([name, text]) => [name, text.replaceAll('STARTED', started)])),
  );
  await using other = await createCluster({ installation });
  for (const [where, command] of [
    [other, 'up'],
    [cluster, 'up'],
    [cluster, 'check'],
    [cluster, 'plan'],
    [cluster, 'graph'],
  ] as const) {
    const { code, out, err } = await where.run(command, '--units', folder);
    expect(code, `${command}: ${out}${err}`).toBe(3);
    for (const part of told) expect(out + err, command).toContain(part.replace('DIR', folder));
  }
  expect(await other.traces()).toEqual([]);
  expect(() => statSync(started)).toThrow('ENOENT');
  expect(processesOf(cluster.paths)).toEqual(before);
  expect((await cluster.status()).ready).toBe(true);
  expect(up.events.of('up.lost')).toEqual([]);
});

test('of several mistakes in several files all are told at once', async () => {
  const folder = cluster.unitFolder('many', {
    one: unit('run: [true]', 'retsart: {}'),
    two: unit('run: [true]', 'needs:', '  - hard: three'),
    four: unit('run: []'),
  });
  const { code, err } = await cluster.run('up', '--units', folder);
  expect(code).toBe(3);
  for (const place of ['one.yaml:3:', 'four.yaml:2:']) expect(err).toContain(path.join(folder, place));
});

test('a flag that is wrong is a mistake of configuration or of usage, and nothing is started', async () => {
  const cases = [
    { args: ['--https-listen-port', 'many'], code: 3, told: '--https-listen-port' },
    { args: ['--etcd-arg', 'nothing'], code: 3, told: 'must be key=value' },
    { args: ['--no-such-flag'], code: 2, told: '--no-such-flag' },
    { args: ['--units', '/nonexistent'], code: 3, told: '/nonexistent' },
    { args: ['no-such-unit', '--disable-agent'], code: 3, told: 'no-such-unit' },
    { args: ['--units', '/nonexistent', '--wait'], code: 3, told: '/nonexistent' },
  ];
  for (const { args, code, told } of cases) {
    await using other = await createCluster({ installation });
    const result = await other.run('up', ...args);
    expect(result.code, result.err).toBe(code);
    expect(result.out + result.err).toContain(told);
    expect(await other.traces()).toEqual([]);
  }
});

test('nonsense on the control socket is refused and harms nothing', async () => {
  const answers = await Promise.all(
    ['GET / HTTP/9\r\n\r\n', 'POST /v1/down HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n{{{', '\0\0\0'].map(
      (text) => answerTo(cluster.paths.controlSocket, text),
    ),
  );
  for (const answer of answers) expect(answer).toMatch(/^HTTP\/1\.1 4\d\d /);
  expect((await cluster.status()).ready).toBe(true);
});

async function answerTo(socketPath: string, text: string): Promise<string> {
  const socket = connect(socketPath);
  socket.setEncoding('utf8').end(text);
  let answer = '';
  for await (const chunk of socket) answer += String(chunk);
  return answer;
}
