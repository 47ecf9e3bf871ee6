import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { diamonds } from '../../bench/graphs.mjs';
import { processComposeCommand, processComposeProject } from '../../bench/neighbours.mjs';

const run = ({ name }: { name: string }) => ['/bin/stamp', "it's", name];

test('a project of process-compose has every unit with its needs, started without a shell', () => {
  const { processes } = JSON.parse(processComposeProject(diamonds(4, 2), run)) as { processes: object };
  const after = (...names: string[]) =>
    Object.fromEntries(names.map((name) => [name, { condition: 'process_started' }]));
  expect(processes).toEqual({
    u0: { entrypoint: ['/bin/stamp', "it's", 'u0'], depends_on: {} },
    u1: { entrypoint: ['/bin/stamp', "it's", 'u1'], depends_on: after('u0') },
    u2: { entrypoint: ['/bin/stamp', "it's", 'u2'], depends_on: after('u0') },
    u3: { entrypoint: ['/bin/stamp', "it's", 'u3'], depends_on: after('u1', 'u2') },
  });
});

test('or with one, as its manual has it', () => {
  const project = processComposeProject([{ name: 'u0', needs: [] }], run, { throughShell: true });
  expect(JSON.parse(project)).toMatchObject({ processes: { u0: { command: `'/bin/stamp' 'it'\\''s' 'u0'` } } });
});

test('it opens no port and no terminal, and its log lies where it is told', () => {
  const { argv } = processComposeCommand('/bin/pc', '/a/project.yaml', '/a/pc.log');
  expect(argv.slice(0, 2)).toEqual(['/bin/pc', 'up']);
  expect(argv).toEqual(expect.arrayContaining(['--no-server', '-t=false', '-L', '/a/pc.log', '-f', '/a/project.yaml']));
});

test('its version is pinned, and the product has nothing of it', () => {
  const pinned = readFileSync('bench/neighbours/process-compose/go.mod', 'utf8');
  expect(pinned).toMatch(/github\.com\/f1bonacc1\/process-compose v\d+\.\d+\.\d+/);
  expect(readFileSync('package.json', 'utf8')).not.toContain('process-compose');
});
