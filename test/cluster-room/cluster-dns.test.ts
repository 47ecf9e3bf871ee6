import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import { dnsObjects, isAnswering, untilAnswered } from '../../src/cluster/cluster-dns.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { settingsIn } from './settings-kit.ts';

/** A DNS server that answers question number n with the n-th of `answers` (undefined: not at all), then with the last. */
async function dnsServer(answers: readonly (string | undefined)[]) {
  const socket = createSocket('udp4');
  onTestFinished(() => void socket.close());
  let asked = 0;
  socket.on('message', (question, { port, address }) => {
    const ip = answers[Math.min(asked, answers.length - 1)];
    asked += 1;
    if (ip === undefined) return;
    const header = Buffer.from(question.subarray(0, 12));
    header.writeUInt16BE(0x8180, 2); // a response without error
    header.writeUInt16BE(1, 6); // one answer
    header.writeUInt16BE(0, 10); // nothing additional
    const end = question.indexOf(0, 12) + 5;
    const record = Buffer.from([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, ...ip.split('.').map(Number)]);
    socket.send(Buffer.concat([header, question.subarray(12, end), record]), port, address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return { server: `127.0.0.1:${String(socket.address().port)}`, asked: () => asked };
}

const question = { name: 'kubernetes.default.svc.cluster.local', expected: '10.43.0.1' };

test('DNS is ready with the first right answer, not with silence or a wrong one', async () => {
  const { server, asked } = await dnsServer(['10.43.0.99', undefined, '10.43.0.1']);
  const attempts = await untilAnswered({ ...question, server }, systemClock, new AbortController().signal);
  expect(attempts).toBe(3);
  expect(asked()).toBe(3);
});

test('an abort ends the asking at once', async () => {
  const { server, asked } = await dnsServer([undefined]);
  const controller = new AbortController();
  const outcome = untilAnswered({ ...question, server }, systemClock, controller.signal);
  await expect.poll(asked).toBeGreaterThan(0);
  controller.abort(new Error('enough'));
  await expect(outcome).rejects.toThrow('enough');
});

test('a server is asked once: it answers, is silent, or the asking is ended', async () => {
  const ask = (server: string, signal = new AbortController().signal) =>
    isAnswering(server, 'cluster.local', systemClock, signal);
  const [well, silent] = [await dnsServer(['10.43.0.1']), await dnsServer([undefined])];
  expect(await ask(well.server)).toBe(true);
  const askedMs = performance.now();
  expect(await ask(silent.server)).toBe(false);
  // A second is its limit.
  expect(performance.now() - askedMs).toBeLessThan(5_000);
  expect([well.asked(), silent.asked()]).toEqual([1, 1]);
  const controller = new AbortController();
  const outcome = ask(silent.server, controller.signal);
  controller.abort(new Error('enough'));
  await expect(outcome).rejects.toThrow('enough');
});

test('the Service has the cluster’s DNS address and leads to the node', () => {
  const objects = JSON.stringify(dnsObjects(settingsIn('/data')));
  expect(objects).toContain('"clusterIP":"10.43.0.10"');
  expect(objects).toContain('"addresses":["192.0.2.10"]');
  expect(objects).toContain('"port":5353');
});
