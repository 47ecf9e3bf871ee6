import { PassThrough, Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { envelopeJson } from '../../src/event/envelope-json.ts';
import { redactArgv } from '../../src/event/redact.ts';
import { createEventStream } from '../../src/event/stream.ts';
import { writeEvents } from '../../src/event/write-events.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { fakeClock } from '../kit/fake-clock.ts';
import { moment, portConflict } from '../report/facts.ts';

const text = 'x'.repeat(200);

test('a reader that never reads costs one buffer, and is told what it missed when it reads again', async () => {
  const stream = createEventStream({ clock: systemClock, capacity: 100 });
  const out = new PassThrough({ highWaterMark: 4096 });
  using _writing = writeEvents(stream, out, 0);
  for (let number = 0; number < 20_000; number += 1) {
    stream.emit({ type: 'notice', level: 'info', text });
    if (number % 100 === 0) stream.flush();
  }
  stream.flush();
  // Readable and writable side of a PassThrough, each at most its mark and one line.
  expect(out.readableLength + out.writableLength).toBeLessThan(3 * 4096);

  const lines: string[] = [];
  let rest = '';
  out.setEncoding('utf8').on('data', (chunk: string) => {
    const parts = `${rest}${chunk}`.split('\n');
    rest = parts.pop() ?? '';
    lines.push(...parts);
  });
  await expect.poll(() => (lines.at(-1) ?? '').includes('"seq":20000')).toBe(true);
  const values = lines.map((line) => JSON.parse(line) as { seq?: number; dropped?: number });
  const dropped = values.reduce((sum, each) => sum + (each.dropped ?? 0), 0);
  expect(dropped).toBeGreaterThan(19_000);
  expect(values.filter(({ seq }) => seq !== undefined).length + dropped).toBe(20_000);
});

test('disposing leaves no listener on the stream', () => {
  const out = new Writable({ write: (_chunk, _encoding, done) => done() });
  const writing = writeEvents(createEventStream({ clock: fakeClock() }), out, 0);
  expect(out.listenerCount('drain')).toBe(1);
  writing[Symbol.dispose]();
  expect(out.listenerCount('drain')).toBe(0);
});

test('errors in events become JSON with their whole chain', () => {
  const { apiserver } = portConflict();
  const line = envelopeJson({
    seq: 1,
    ...moment(0),
    event: { type: 'unit.failed', unit: 'kube-apiserver', error: apiserver },
  });
  expect(line).not.toContain('\n');
  expect(JSON.parse(line)).toMatchObject({
    seq: 1,
    event: {
      error: { code: 'ERR_BLOCKED', component: 'kube-apiserver', cause: { code: 'ERR_EXITED', component: 'etcd' } },
    },
  });
});

test('secrets of command lines do not leave the process', () => {
  const argv = ['db', '--token=abc', '--password', 'p', '--auth-token', 'q', '-v', '--api-key=k', 'PGPASSWORD=z'];
  expect(redactArgv(argv)).toEqual([
    ...['db', '--token=***', '--password', '***', '--auth-token', '***', '-v', '--api-key=***', 'PGPASSWORD=***'],
  ]);
  expect(redactArgv(['api', '--endpoint=postgres://kine:pa:ss@db:5432/k8s', 'https://u:p@h/x'])).toEqual([
    ...['api', '--endpoint=postgres://kine:***@db:5432/k8s', 'https://u:***@h/x'],
  ]);
  const harmless = [
    '--url=https://10.0.0.1:6443/path:with@signs',
    'kubelet',
    '--token-auth-file=/x',
    '--service-account-private-key-file=/y',
    '--secret-dir',
    '/z',
    '--name=token',
  ];
  expect(redactArgv(harmless)).toEqual(harmless);
  const event = { type: 'process.spawned', unit: 'db', generation: 1, pid: 1, argv: ['db', '--token=abc'] } as const;
  expect(envelopeJson({ seq: 1, ...moment(0), event })).not.toContain('abc');
});
