import { describe, expect, test } from 'vitest';
import { errorFromJson } from '../../src/error/from-json.ts';
import { oneLine, renderError, rootLine } from '../../src/error/render.ts';
import { errorToJson, StartupError, type ErrorJson } from '../../src/error/startup-error.ts';
import { portConflict, readinessError } from '../report/facts.ts';

const overTheWire = (error: unknown) => JSON.parse(JSON.stringify(errorToJson(error))) as ErrorJson;

describe('renderError', () => {
  test('[S4] prints the first line, the chain down to the root, the output of the process at the root, one hint', () => {
    expect(renderError(portConflict().kubelet)).toBe(
      [
        'cannot start kubelet: blocked by kube-apiserver',
        '  ← cannot start kube-apiserver: blocked by etcd',
        '  ← etcd exited with code 1: bind: address already in use (2379 is held by pid 812 etcd)',
        '  last output of etcd:',
        '    {"level":"info","msg":"starting etcd"}',
        '    listen tcp 127.0.0.1:2379: bind: address already in use',
        '  hint: stop pid 812, or choose another port with --etcd-client-port',
      ].join('\n'),
    );
  });

  test('[S4] an error that came as JSON looks the same as the one that was thrown', () => {
    const { kubelet } = portConflict();
    const json = overTheWire(kubelet);
    expect(renderError(json)).toBe(renderError(kubelet));
    expect(renderError(errorFromJson(json))).toBe(renderError(kubelet));
    expect(oneLine(errorFromJson(json))).toBe(oneLine(kubelet));
  });

  test('a cause that its parent quotes is not said twice', () => {
    const missing = Object.assign(new Error('spawn etcd ENOENT'), { code: 'ENOENT' });
    const error = readinessError('ERR_SPAWN', 'etcd', { check: 'spawn', reason: 'spawn etcd ENOENT' }, missing);
    expect(oneLine(error)).toBe('cannot start etcd: spawn: spawn etcd ENOENT');
  });

  test('without a hint of its own an error gives the remedy of its code, with the name of the unit', () => {
    const error = readinessError('ERR_NOT_READY', 'etcd');
    expect(renderError(error).split('\n').at(-1)).toBe(
      '  hint: Read the chain to its end: the last line is the root cause. `k3s-lite logs etcd` shows its output.',
    );
  });

  test('the hint nearest to the root wins', () => {
    const root = readinessError('ERR_EXITED', 'db', { reason: 'exited', hint: 'mend the disk' });
    const top = readinessError('ERR_NOT_READY', 'api', { hint: 'look at db' }, root);
    expect(renderError(top)).toContain('  hint: mend the disk');
    expect(renderError(top)).not.toContain('look at db');
  });

  test('independent failures are all told, and the output of a root that they share only once', () => {
    const { apiserver, kubelet } = portConflict();
    const text = renderError(new AggregateError([apiserver, kubelet, new Error('disk full')], 'not ready in time'));
    expect(text.split('\n')[0]).toBe('not ready in time:');
    expect(text).toContain('cannot start kube-apiserver: blocked by etcd');
    expect(text).toContain('cannot start kubelet: blocked by kube-apiserver');
    expect(text).toContain('disk full');
    expect(text.match(/hint:/g)).toHaveLength(1);
    expect(oneLine(new AggregateError([new Error('a'), new Error('b')]))).toBe('a; b');
  });

  test('long lines are wrapped at spaces under their beginning, and output is cut', () => {
    const error = readinessError('ERR_EXITED', 'db', {
      reason: 'exited with code 1: the disk is full and nothing more can be written to it',
      lastLogLines: ['x'.repeat(500)],
    });
    const lines = renderError(error, { width: 40 }).split('\n');
    expect(lines.slice(0, 2)).toEqual(['db exited with code 1: the disk is', '  full and nothing more can be written']);
    const output = lines.find((line) => line.includes('xxx')) ?? '';
    expect(output).toMatch(/x…$/);
    expect(output.length).toBeLessThan(120);
  });

  test('output of a process cannot steer the terminal', () => {
    const error = readinessError('ERR_EXITED', 'db', {
      reason: 'exited \u001b[2Jnow',
      lastLogLines: ['\u001b[31mred\u001b[0m \u001b]0;title\u0007text\u0000\u009b2J'],
    });
    const text = renderError(error);
    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
    expect(text).toContain('red text');
  });

  test('the rendering that an error brings along is printed below its first line', () => {
    const error = new StartupError('ERR_UNIT_FILE', 'cannot load the unit files', {
      rendered: 'units/a.yaml:3:1: error',
    });
    expect(renderError(error).split('\n')).toContain('units/a.yaml:3:1: error');
  });

  test('colour adds nothing but colour', () => {
    const { kubelet } = portConflict();
    const coloured = renderError(kubelet, { colour: true });
    expect(coloured).toContain('\u001b[31m');
    expect(coloured.replace(/\u001b\[\d+m/g, '')).toBe(renderError(kubelet));
  });

  test('a cause that leads back to itself ends', () => {
    const a = new Error('a');
    const b = new Error('b', { cause: a });
    expect(oneLine(b)).toBe('b ← a');
    const json: { type: string; message: string; cause?: unknown } = { type: 'Error', message: 'round' };
    json.cause = json;
    expect(oneLine(json)).toBe('round');
  });
});

test('[S4] one line has the whole chain, and its root by itself', () => {
  const { kubelet } = portConflict();
  expect(oneLine(kubelet)).toBe(
    'cannot start kubelet: blocked by kube-apiserver ← cannot start kube-apiserver: blocked by etcd ← ' +
      'etcd exited with code 1: bind: address already in use (2379 is held by pid 812 etcd)',
  );
  expect(rootLine(kubelet)).toBe(
    'etcd exited with code 1: bind: address already in use (2379 is held by pid 812 etcd)',
  );
});

describe('errorFromJson', () => {
  test('gives back code, message, detail and chain', () => {
    const { apiserver, etcd } = portConflict();
    const error = errorFromJson(overTheWire(apiserver));
    expect(error).toBeInstanceOf(StartupError);
    expect(error).toMatchObject({
      code: 'ERR_BLOCKED',
      message: apiserver.message,
      detail: { component: 'kube-apiserver' },
    });
    expect(error.cause).toMatchObject({ code: 'ERR_EXITED', message: etcd.message, detail: { exit: { code: 1 } } });
  });

  test('keeps a code that is not ours, and several errors', () => {
    const error = errorFromJson(overTheWire(Object.assign(new Error('connect'), { code: 'ECONNREFUSED' })));
    expect(error).toMatchObject({ code: 'ECONNREFUSED', message: 'connect' });
    const many = errorFromJson(overTheWire(new AggregateError([new Error('a'), new Error('b')], 'both')));
    expect((many as AggregateError).errors.map((each: Error) => each.message)).toEqual(['a', 'b']);
  });
});

test('the root is not the words of the system where the line above has its code or its path', () => {
  const system = Object.assign(new Error("ENOENT: no such file or directory, open '/x/env'"), { code: 'ENOENT' });
  const told = readinessError('ERR_SPAWN', 'api', { reason: 'envFile: cannot read /x/env: ENOENT' }, system);
  expect(rootLine(readinessError('ERR_BLOCKED', 'web', { reason: 'api' }, told))).toBe(told.message);
  const named = readinessError('ERR_SPAWN', 'api', { reason: 'its file /x/env does not exist' }, system);
  expect(rootLine(named)).toBe(named.message);
  const silent = readinessError('ERR_SPAWN', 'api', { reason: 'envFile' }, system);
  expect(rootLine(silent)).toBe(system.message);
  expect(rootLine(system)).toBe(system.message);
});
