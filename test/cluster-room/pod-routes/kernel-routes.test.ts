/** Real routes of a real kernel, in a network namespace of their own. */
import { existsSync, rmSync } from 'node:fs';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { keepRoutes, routeProtocol } from '../../../src/cluster/pod-routes/kernel-routes.ts';
import { masqueradeRules } from '../../../src/cluster/pod-routes/masquerade.ts';
import { runProgram } from '../../../src/process/run-program.ts';
import { must } from '../../cluster/rig/run.ts';
import { temporaryFolder } from '../settings-kit.ts';

const isRoot = process.getuid?.() === 0;

function machine() {
  const namespace = `k3sroutes${String(process.pid)}`;
  must('ip', 'netns', 'add', namespace);
  onTestFinished(() => {
    must('ip', 'netns', 'delete', namespace);
  });
  const enter = ['nsenter', `--net=/run/netns/${namespace}`] as const;
  const inside = (...argv: string[]) => must(...enter, ...argv);
  inside('ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'other');
  inside('ip', 'link', 'set', 'other', 'up');
  inside('ip', 'address', 'add', '192.0.2.1/24', 'dev', 'eth0');
  inside('ip', 'link', 'set', 'eth0', 'up');
  const batchFile = path.join(temporaryFolder(), 'batch');
  const options = {
    batchFile,
    run: (argv: readonly [string, ...string[]]) => runProgram({ argv: [...enter, ...argv] }),
  };
  const routes = () =>
    inside('ip', 'route', 'show', 'proto', String(routeProtocol))
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '');
  return { inside, options, routes };
}

const n2 = { to: '10.42.1.0/24', via: '192.0.2.2' };
const n3 = { to: '10.42.2.0/24', via: '192.0.2.3' };

test.skipIf(!isRoot)('the kernel’s routes become what is wanted, and nobody else’s are touched', async () => {
  const { inside, options, routes } = machine();
  inside('ip', 'route', 'add', '10.42.9.0/24', 'via', '192.0.2.9');

  expect(await keepRoutes([n2, n3], options)).toEqual({ refused: new Map(), changes: 2 });
  expect(routes()).toEqual(['10.42.1.0/24 via 192.0.2.2 dev eth0', '10.42.2.0/24 via 192.0.2.3 dev eth0']);
  rmSync(options.batchFile);
  expect((await keepRoutes([n2, n3], options)).changes).toBe(0);
  expect(existsSync(options.batchFile)).toBe(false);

  // Another address; a node that is gone; one with a single address.
  await keepRoutes(
    [
      { ...n2, via: '192.0.2.22' },
      { to: '10.42.7.7/32', via: '192.0.2.7' },
    ],
    options,
  );
  expect(routes()).toEqual(['10.42.1.0/24 via 192.0.2.22 dev eth0', '10.42.7.7 via 192.0.2.7 dev eth0']);
  expect(
    (
      await keepRoutes(
        [
          { ...n2, via: '192.0.2.22' },
          { to: '10.42.7.7/32', via: '192.0.2.7' },
        ],
        options,
      )
    ).changes,
  ).toBe(0);

  await keepRoutes([], options);
  expect(routes()).toEqual([]);
  expect(inside('ip', 'route')).toContain('10.42.9.0/24 via 192.0.2.9');
});

test.skipIf(!isRoot)('a node that is out of reach is told of, and keeps no other route away', async () => {
  const { options, routes } = machine();
  const { refused } = await keepRoutes([{ to: '10.42.5.0/24', via: '198.51.100.5' }, n3], options);
  expect([...refused]).toEqual([['10.42.5.0/24', 'Nexthop has invalid gateway']]);
  expect(routes()).toEqual(['10.42.2.0/24 via 192.0.2.3 dev eth0']);
});

test.skipIf(!isRoot)('a link that was down gets its routes back', async () => {
  const { inside, options, routes } = machine();
  await keepRoutes([n2], options);
  inside('ip', 'link', 'set', 'eth0', 'down');
  inside('ip', 'link', 'set', 'eth0', 'up');
  expect(routes()).toEqual([]);
  expect((await keepRoutes([n2], options)).changes).toBe(1);
  expect(routes()).toEqual(['10.42.1.0/24 via 192.0.2.2 dev eth0']);
});

test.skipIf(!isRoot)('nft takes the rule by which pods reach the world, twice too', () => {
  const { inside } = machine();
  const rules = masqueradeRules({ podCidr: '10.42.1.0/24', clusterCidr: '10.42.0.0/16' });
  inside('nft', rules);
  inside('nft', rules);
  const listing = inside('nft', 'list', 'ruleset');
  expect(listing.match(/masquerade/g)).toHaveLength(1);
  expect(listing).toContain('ip saddr 10.42.1.0/24');
});
