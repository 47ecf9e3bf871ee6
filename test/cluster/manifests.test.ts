/**
 * Files in `<data-dir>/server/manifests` on the real control plane: applied, changed, removed; one
 * with a mistake says why, and the others go on.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createCluster, type Cluster, type Up } from './kit/cluster.ts';
import { install, type Installation } from './kit/installation.ts';

let installation: Installation;
let cluster: Cluster;
let up: Up;
const folder = () => path.join(cluster.paths.dataDir, 'server/manifests');
const file = (name: string) => path.join(folder(), name);
const put = (name: string, text: string) => {
  mkdirSync(path.dirname(file(name)), { recursive: true });
  writeFileSync(file(name), text);
};
const log = () => readFileSync(path.join(cluster.paths.logDir, 'manifests.log'), 'utf8');
const statuses = () => up.events.of('notify.status', 'manifests').map(({ event }) => String(event['status']));
const patience = { timeout: 30_000, interval: 200 };

async function get(...args: readonly string[]): Promise<string> {
  const { code, out, err } = await cluster.kubectl('get', ...args);
  return code === 0 ? out : err;
}
const answer = (name: string, ...args: readonly string[]) =>
  get('configmap', name, '-o', 'jsonpath={.data.answer}', ...args);

const settings = (value: string) => `---
apiVersion: v1
kind: ConfigMap
metadata: { name: settings, namespace: shop }
data: { answer: '${value}' }
`;
const namespace = '---\napiVersion: v1\nkind: Namespace\nmetadata: { name: shop }\n';
const kind = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: gadgets.example.test }
spec:
  group: example.test
  scope: Namespaced
  names: { plural: gadgets, singular: gadget, kind: Gadget }
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties: { spec: { type: object, properties: { size: { type: integer } } } }
`;
const gadget = (size: number | string) =>
  `apiVersion: example.test/v1\nkind: Gadget\nmetadata: { name: one }\nspec: { size: ${size} }\n`;

beforeAll(async () => {
  installation = await install();
  cluster = await createCluster({ installation });
  // In an order in which each would fail: the namespace comes last, the kind after its object.
  put('a-settings.yaml', settings('1') + namespace);
  put('b-gadget.yaml', gadget(1));
  put('c-kind.yml', kind);
  put('d-broken.yaml', 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\n bad: [\n');
  put('deep/list.json', JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [configMap('listed', 'yes')] }));
  up = cluster.up();
  await up.events.ready();
});
afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  installation[Symbol.dispose]();
});

function configMap(name: string, value: string): object {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { answer: value } };
}

test('everything is applied when `up` is ready, whatever the order of the files', async () => {
  expect(await answer('settings', '-n', 'shop')).toBe('1');
  expect(await get('gadget', 'one', '-o', 'jsonpath={.spec.size}')).toBe('1');
  expect(await answer('listed')).toBe('yes');
});

test('a file with a mistake says where, in the status and in the log; the unit is ready all the same', async () => {
  await expect.poll(() => statuses().at(-1), patience).toContain('1 of 5 files failed: d-broken.yaml:5:1: ');
  expect(log()).toMatch(/^d-broken\.yaml:5:1: /m);
  expect((await cluster.status()).ready).toBe(true);
});

test('it is mended: applied at once', async () => {
  put('d-broken.yaml', JSON.stringify(configMap('mended', 'yes')));
  await expect.poll(() => answer('mended'), patience).toBe('yes');
  await expect.poll(() => statuses().at(-1), patience).toBe('6 objects of 5 files applied');
});

test('a changed file changes its objects, and deletes those that it no longer holds', async () => {
  put('a-settings.yaml', settings('2') + namespace + settings('extra').replace('settings', 'second'));
  await expect.poll(() => answer('second', '-n', 'shop'), patience).toBe('extra');
  expect(await answer('settings', '-n', 'shop')).toBe('2');
  put('a-settings.yaml', settings('3') + namespace);
  await expect.poll(() => answer('second', '-n', 'shop'), patience).toContain('NotFound');
  expect(await answer('settings', '-n', 'shop')).toBe('3');
});

test('what the API server refuses is told with the object’s name and line; when it is mended it is applied', async () => {
  put('b-gadget.yaml', `# a comment\n${gadget('large')}`);
  await expect
    .poll(() => statuses().at(-1), patience)
    .toMatch(/1 of 5 files failed: b-gadget\.yaml:2: Gadget one: .*size/);
  put('e-typo.yaml', JSON.stringify({ ...configMap('typo', 'x'), kind: 'ConfigMpa' }));
  await expect
    .poll(log, patience)
    .toContain('ConfigMpa typo: the API server knows no ConfigMpa in v1; did you mean "ConfigMap"?');
  rmSync(file('e-typo.yaml'));
  put('e-field.yaml', JSON.stringify({ ...configMap('field', 'x'), dato: { answer: 'x' } }));
  await expect.poll(log, patience).toMatch(/^e-field\.yaml:1: ConfigMap field: .*dato/m);
  rmSync(file('e-field.yaml'));
  put('b-gadget.yaml', gadget(7));
  await expect.poll(() => get('gadget', 'one', '-o', 'jsonpath={.spec.size}'), patience).toBe('7');
});

test('an object that was there before is changed, and stays when its file goes', async () => {
  await cluster.kubectl('create', 'configmap', 'mine', '--from-literal=answer=before', '--from-literal=other=kept');
  put('f-mine.yaml', JSON.stringify(configMap('mine', 'file')));
  await expect.poll(() => answer('mine'), patience).toBe('file');
  put('f-mine2.yaml', JSON.stringify(configMap('gone', 'soon')));
  await expect.poll(() => answer('gone'), patience).toBe('soon');
  rmSync(file('f-mine.yaml'));
  rmSync(file('f-mine2.yaml'));
  await expect.poll(() => answer('gone'), patience).toContain('NotFound');
  expect(await get('configmap', 'mine', '-o', 'jsonpath={.data.answer} {.data.other}')).toBe('file kept');
});

test('`.skip` beside a file: changes are not applied, objects stay; without it they are', async () => {
  put('d-broken.yaml.skip', '');
  await expect.poll(() => statuses().at(-1), patience).toBe('5 objects of 4 files applied');
  put('d-broken.yaml', JSON.stringify(configMap('mended', 'later')));
  put('g-after.yaml', JSON.stringify(configMap('after', 'it')));
  await expect.poll(() => answer('after'), patience).toBe('it');
  expect(await answer('mended')).toBe('yes');
  rmSync(file('d-broken.yaml.skip'));
  await expect.poll(() => answer('mended'), patience).toBe('later');
});

test('it is a unit like any other: killed, it is started again and goes on', async () => {
  const pid = Number(up.events.of('process.spawned', 'manifests').at(-1)?.event['pid']);
  const since = up.events.count;
  process.kill(pid, 'SIGKILL');
  await up.events.ready(since);
  put('g-after.yaml', JSON.stringify(configMap('after', 'the kill')));
  await expect.poll(() => answer('after'), patience).toBe('the kill');
});

test('a file removed while everything was off, and one that --disable names: their objects go at the next start', async () => {
  expect((await up.interrupt()).code).toBe(0);
  rmSync(file('g-after.yaml'));
  up = cluster.up(['--disable-agent', '--disable', 'd-broken']);
  await up.events.ready();
  await expect.poll(() => answer('after'), patience).toContain('NotFound');
  await expect.poll(() => answer('mended'), patience).toContain('NotFound');
  expect(await answer('listed')).toBe('yes');
  rmSync(file('b-gadget.yaml'));
  rmSync(file('c-kind.yml'));
  await expect.poll(() => get('crd', 'gadgets.example.test'), patience).toContain('NotFound');
});

test('a stop leaves the objects, and nothing else', async () => {
  expect((await up.interrupt()).code).toBe(0);
  expect(existsSync(path.join(cluster.paths.dataDir, 'server/manifests.json'))).toBe(true);
  expect(await cluster.traces()).toEqual([]);
});

test('a name that is neither a unit nor a file is still a mistake of --disable', async () => {
  const { code, err } = await cluster.run('up', '--disable-agent', '--disable', 'coredsn', ...cluster.portArgs());
  expect(code).toBe(3);
  expect(err).toContain('cannot disable "coredsn": no unit or group');
});

test('without a file it does not run; the first one starts it; `up` starts it as long as a file has made something', async () => {
  await using empty = await createCluster({ installation });
  const first = empty.up();
  await first.events.ready();
  const state = async () => (await empty.status()).units.find(({ unit }) => unit === 'manifests')?.state;
  expect(await state()).toBe('inactive');
  expect(first.events.of('process.spawned', 'manifests')).toEqual([]);

  const folders = path.join(empty.paths.dataDir, 'server/manifests');
  writeFileSync(path.join(folders, 'first.yaml'), JSON.stringify(configMap('first', 'yes')));
  const asked = async () => (await empty.kubectl('get', 'configmap', 'first')).code;
  await expect.poll(asked, patience).toBe(0);
  expect(await state()).toBe('ready');
  expect((await first.interrupt()).code).toBe(0);

  // Its object is still to be deleted.
  rmSync(path.join(folders, 'first.yaml'));
  const second = empty.up();
  await second.events.ready();
  await expect.poll(asked, patience).toBe(1);
  expect((await second.interrupt()).code).toBe(0);

  const third = empty.up();
  await third.events.ready();
  expect(await state()).toBe('inactive');
  expect((await third.interrupt()).code).toBe(0);
});
