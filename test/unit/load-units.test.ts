import { expect, test } from 'vitest';
import { unit, unitFolder } from './unit-folder.ts';

test('[C3] a unit file sets hard, soft and parallel edges, each with its options', async () => {
  using folder = unitFolder({
    'kubelet.yaml': unit(
      'needs:\n  - hard: containerd\n    onLoss: restart\n  - {hard: api, until: started}\n  - soft: kernel\n    maxWait: 1m30s\n  - soft: cni\n  - parallel: dns\n',
    ),
  });
  const [kubelet] = (await folder.units()).units;
  expect(kubelet?.needs).toEqual([
    { kind: 'hard', unit: 'containerd', until: 'ready', onLoss: 'restart' },
    { kind: 'hard', unit: 'api', until: 'started', onLoss: 'keep' },
    { kind: 'soft', unit: 'kernel', maxWaitMs: 90_000 },
    { kind: 'soft', unit: 'cni', maxWaitMs: 10_000 },
    { kind: 'parallel', unit: 'dns' },
  ]);
});

test('a unit that says little gets the defaults of the contract', async () => {
  using folder = unitFolder({ 'etcd.yaml': unit() });
  expect((await folder.units()).units).toMatchObject([
    {
      name: 'etcd',
      kind: 'service',
      needs: [],
      flags: {},
      startWithin: 90_000,
      restart: {
        when: 'always',
        backoff: { first: 200, factor: 2, max: 30_000, jitter: 0.2 },
        limit: { starts: 5, within: 60_000 },
        resetAfter: 30_000,
      },
      stop: { signal: 'SIGTERM', within: 10_000, scope: 'cgroup' },
    },
  ]);
});

test('variables are expanded in every text, also nested, and $${ writes ${', async () => {
  using folder = unitFolder({
    'etcd.yaml':
      'about: On ${nodeName}\nrun: [etcd, "--dir=${dataDir}/${nodeName}", "$${dataDir}", "$HOME"]\nclaims: {ports: ["${apiPort}"]}\nready: {all: [{tcp: "127.0.0.1:${apiPort}"}]}\n',
  });
  expect((await folder.units()).units).toMatchObject([
    {
      about: 'On one',
      run: ['etcd', '--dir=/data/one', '${dataDir}', '$HOME'],
      claims: { ports: ['6443'] },
      ready: { all: [{ tcp: '127.0.0.1:6443' }] },
    },
  ]);
});

test('${unitDir} is the folder of the unit file, also in a drop-in that lies elsewhere', async () => {
  using folder = unitFolder({ 'a.yaml': unit('cwd: ${unitDir}/work\n'), 'drop/a/x.yaml': 'envFile: ${unitDir}/env\n' });
  const { units } = await folder.units({ dropInDirs: [`${folder.dir}/drop`] });
  expect(units).toMatchObject([{ cwd: `${folder.dir}/units/work`, envFile: `${folder.dir}/units/env` }]);
});

test('what a variable holds is not expanded again', async () => {
  using folder = unitFolder({ 'a.yaml': unit('cwd: ${x}\n') });
  const { units } = await folder.units({ variables: { x: { value: '${x}', about: '' } } });
  expect(units[0]?.cwd).toBe('${x}');
});

test('a unit of a later folder replaces the one of the same name, and others are added', async () => {
  using folder = unitFolder({
    'a.yaml': unit('cwd: /first\n'),
    'b.yaml': unit(),
    'more/a.yaml': unit('user: second\n'),
    'more/c.yaml': unit(),
  });
  const { units } = await folder.units({ dirs: [`${folder.dir}/units`, `${folder.dir}/more`] });
  expect(units.map(({ name, cwd, user }) => [name, cwd, user])).toEqual([
    ['a', undefined, 'second'],
    ['b', undefined, undefined],
    ['c', undefined, undefined],
  ]);
});

test('drop-ins merge maps by key, edges by target and replace the rest, in the order of their names', async () => {
  using folder = unitFolder({
    'etcd.yaml':
      'about: Store\nrun: [etcd, a]\nflags: {keep: x, change: x, remove: x}\nneeds: [{hard: certs}, {hard: disk}, {soft: dns}]\nready: {https: {url: "https://a", ca: /ca}, timeout: 5s}\ngroups: [a, b]\n',
    'drop/etcd/10-first.yaml':
      'flags: {change: first, remove: null}\nneeds: [{soft: certs}, {without: disk}, {parallel: new}]\nready: {tcp: "a:1"}\n',
    'drop/etcd/20-second.yaml': 'flags: {change: second}\nrun: [etcd]\ngroups: [c]\n',
    'drop/etcd/readme.txt': 'not read',
  });
  const { units } = await folder.units({ dropInDirs: [`${folder.dir}/drop`, `${folder.dir}/missing`] });
  expect(units).toMatchObject([
    {
      run: ['etcd'],
      groups: ['c'],
      needs: [{ kind: 'soft', unit: 'certs' }, { unit: 'dns' }, { kind: 'parallel', unit: 'new' }],
    },
  ]);
  expect(units[0]?.flags).toEqual({ keep: 'x', change: 'second' });
  // Another check replaces the check below and leaves what stands beside it.
  expect(units[0]?.ready).toEqual({ tcp: 'a:1', timeout: 5000 });
});

test('a drop-in that names the same check changes only the keys that it has', async () => {
  using folder = unitFolder({
    'api.yaml': unit('ready: {https: {url: "https://a", ca: /ca}}\n'),
    'drop/api/x.yaml': 'ready: {https: {ca: /other}}\n',
  });
  const { units } = await folder.units({ dropInDirs: [`${folder.dir}/drop`] });
  expect(units[0]?.ready).toEqual({ https: { url: 'https://a', ca: '/other' } });
});

test('overrides without a file come after all drop-ins', async () => {
  using folder = unitFolder({
    'etcd.yaml': unit('flags: {a: "1", b: "1"}\n'),
    'drop/etcd/x.yaml': 'flags: {a: "2"}\n',
  });
  const overrides = new Map([['etcd', { flags: { a: '3', b: null, c: '${nodeName}' } }]]);
  const { units } = await folder.units({ dropInDirs: [`${folder.dir}/drop`], overrides });
  expect(units[0]?.flags).toEqual({ a: '3', c: 'one' });
});

test('a template makes an instance for each edge and each wanted name, also from an instance', async () => {
  using folder = unitFolder({
    'web@.yaml': unit('cwd: /srv/${instance}\nneeds: [{hard: "disk@${instance}"}]\n'),
    'disk@.yaml': unit(),
    'all.yaml': unit('needs: [{hard: web@one}]\n'),
    'web@three.yaml': unit('cwd: /own\n'),
    'drop/web@/a.yaml': 'user: template\ngroup: template\n',
    'drop/web@one/a.yaml': 'group: instance\n',
  });
  const { units } = await folder.units({ wanted: ['web@two'], dropInDirs: [`${folder.dir}/drop`] });
  expect(units.map(({ name, cwd, user, group }) => [name, cwd, user, group])).toEqual([
    ['all', undefined, undefined, undefined],
    ['disk@one', undefined, undefined, undefined],
    ['disk@two', undefined, undefined, undefined],
    ['web@one', '/srv/one', 'template', 'instance'],
    ['web@three', '/own', 'template', 'template'],
    ['web@two', '/srv/two', 'template', 'template'],
  ]);
});

test('templates that make instances of each other without end are an error', async () => {
  using folder = unitFolder({ 'a@.yaml': unit('needs: [{hard: "a@${instance}x"}]\n') });
  expect(await folder.mistakes({ wanted: ['a@x'] })).toContain('templates make more than 1000 instances');
});

test('disabling takes a unit or a group away and tells by which name', async () => {
  using folder = unitFolder({
    'a.yaml': unit(),
    'b.yaml': unit('groups: [agent]\n'),
    'c.yaml': unit('groups: [agent, dns]\n'),
  });
  const { units, disabled } = await folder.units({ disable: ['agent'] });
  expect(units.map(({ name }) => name)).toEqual(['a']);
  expect([...disabled]).toEqual([
    ['b', 'agent'],
    ['c', 'agent'],
  ]);
  expect(await folder.mistakes({ disable: ['agnet'] })).toBe(
    '(command line): error: cannot disable "agnet": no unit or group\n  hint: did you mean "agent"?',
  );
});

test('the hash of a unit stays over comments, order of keys and way of writing, and changes with the content', async () => {
  const hashOf = async (text: string, more: Record<string, string> = {}) => {
    using folder = unitFolder({ 'a.yaml': text, ...more });
    return (await folder.units({ dropInDirs: [`${folder.dir}/drop`] })).units[0]?.hash;
  };
  const hash = await hashOf('about: A\nrun: [a]\nenv: {X: "1", Y: "2"}\n');
  expect(hash).toMatch(/^[0-9a-f]{16}$/);
  expect(
    await hashOf(
      '# why\nenv:\n  Y: "2"\n  X: \'1\'\nrun:\n  - "a"\nabout: Another text for people\nstartWithin: 90s\n',
    ),
  ).toBe(hash);
  expect(
    await hashOf('about: A\nrun: [a]\nenv: {X: "1", Y: "2"}\nneeds: [{soft: b}]\n', {
      'b.yaml': 'about: B\nrun: [b]\n',
    }),
  ).toBe(hash);
  expect(await hashOf('about: A\nrun: [a]\nenv: {X: "1", Y: "3"}\n')).not.toBe(hash);
  expect(await hashOf('about: A\nrun: [a, b]\nenv: {X: "1", Y: "2"}\n')).not.toBe(hash);
  expect(await hashOf('about: A\nrun: [a]\nenv: {X: "1"}\n', { 'drop/a/x.yaml': 'env: {Y: "2"}\n' })).toBe(hash);
});

test('the places of a unit tell file, line and column of each key, through drop-ins too', async () => {
  using folder = unitFolder({
    'a.yaml': '# first\nabout: A\nrun: [a]\nneeds:\n  - hard: b\n  - soft: c\nstartWithin: 5s\n',
    'drop/a/x.yaml': 'needs: [{soft: d}]\nstartWithin: 6s\n',
  });
  const { units } = await folder.units({ dropInDirs: [`${folder.dir}/drop`] });
  const places = units[0]?.places;
  const at = (key: string) => {
    const place = places?.get(key);
    return place && [place.file.slice(folder.dir.length + 1), place.line, place.column];
  };
  expect(at('')).toEqual(['units/a.yaml', 2, 1]);
  expect(at('run')).toEqual(['units/a.yaml', 3, 1]);
  expect(at('needs.1')).toEqual(['units/a.yaml', 6, 5]);
  expect(at('needs.2')).toEqual(['drop/a/x.yaml', 1, 9]);
  expect(at('startWithin')).toEqual(['drop/a/x.yaml', 2, 1]);
  expect(at('nothing')).toBeUndefined();
});

test('a file that only the yaml library can read is the same unit, with its places', async () => {
  using folder = unitFolder({ 'a.yaml': 'about: >-\n  Two\n  lines\nrun:\n- "a\\x41"\nneeds:\n- hard: b\r\n' });
  const { units } = await folder.units();
  expect(units).toMatchObject([{ about: 'Two lines', run: ['aA'] }]);
  expect(units[0]?.places.get('needs.0')).toMatchObject({ line: 7, column: 3 });
});
