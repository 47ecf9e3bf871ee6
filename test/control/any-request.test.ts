/** Whatever is asked of the control API, it is answered or refused; what is refused has asked nothing of anybody. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { matchRoute, routes, statusOf } from '../../src/control/routes.ts';
import { StartupError } from '../../src/error/startup-error.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { fakeSource } from './fake-source.ts';

const name = fc.oneof(fc.constantFrom('etcd', 'kubelet', '%2e%2e', '%zz', '__proto__', ''), fc.string());
const pathname = fc.oneof(
  fc.constantFrom(...routes.map(({ path }) => path)).chain((path) => name.map((each) => path.replace('NAME', each))),
  fc.string(),
);
const key = fc.constantFrom('units', 'cascade', 'hurry', 'dryRun', 'format', 'lines', 'since', 'follow', '__proto__');
const value = fc.oneof(
  fc.constantFrom<unknown>('etcd', ['etcd'], ['etcd', 'nobody'], true, false, 'dot', '10', -1),
  fc.jsonValue(),
);
const anything = fc.record({
  method: fc.constantFrom('GET', 'POST', 'DELETE', ''),
  pathname,
  query: fc.dictionary(key, fc.oneof(fc.constantFrom('true', '10', 'dot', 'json'), fc.string()), { maxKeys: 2 }),
  body: fc.oneof(fc.constant(undefined), fc.dictionary(key, value, { maxKeys: 3 }), fc.jsonValue()),
});

const stopOfOne = {
  method: 'POST' as const,
  pathname: '/v1/stop',
  query: {},
  body: { units: ['etcd'], cascade: true },
};

test('[S8] whatever a request is, it is answered or refused, and what is refused changes nothing', async () => {
  const { source, asked, downs, reloads } = fakeSource('kubelet -> hard etcd; etcd');
  const changes = () => asked.length + downs.length + reloads.length;
  let answered = 0;
  await fc.assert(
    fc.asyncProperty(anything, async (request) => {
      const before = changes();
      try {
        const { route, name: unit } = matchRoute(request.method, request.pathname);
        const { query, body } = request;
        const reply = await route.answer({ source, clock: systemClock, name: unit, query, body });
        expect(['json', 'text', 'stream']).toContain(reply.kind);
        answered += 1;
      } catch (error) {
        expect(error).toBeInstanceOf(StartupError);
        expect([400, 404, 405, 409]).toContain(statusOf(error));
        expect(changes()).toBe(before);
      }
    }),
    // Chance alone does not always come to one that is carried out.
    { numRuns: 500, examples: [[stopOfOne]] },
  );
  expect(answered).toBeGreaterThan(0);
  expect(changes()).toBeGreaterThan(0);
});
