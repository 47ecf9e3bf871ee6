/** Does the model find bugs? Each of these is planted into a copy of the routing state, which must then fail. */
import { mkdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { build, type Plugin } from 'esbuild';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import type * as RoutingWorld from './routing-world.ts';

interface Bug {
  readonly name: string;
  /** In src/balancer. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
  /** The invariant that it breaks. */
  readonly breaks: RegExp;
}

const bugs: readonly Bug[] = [
  {
    name: 'a new active server leaves the old one active',
    file: 'routing-draft.ts',
    from: 'if (other.address !== address && !this.#mayAnswerAsSoon(other.address)) {',
    to: 'if (false) {',
    breaks: /one active/,
  },
  {
    name: 'a dial that ends after its server was removed is taken',
    file: 'reduce.ts',
    from: 'if (server === undefined || !isDialable(server)) {',
    to: 'if (server === undefined) {',
    breaks: /connections of a removed server are being closed/,
  },
  {
    name: 'an answer about an earlier server of the same address is believed',
    file: 'reduce.ts',
    from: 'return server?.incarnation === incarnation ? server : undefined;',
    to: 'return incarnation > 0 ? server : undefined;',
    breaks: /connections of/,
  },
  {
    name: 'a removed server stays dialable until its connections have ended',
    file: 'candidates.ts',
    from: 'state.servers.filter(isDialable)',
    to: 'state.servers.filter((server) => isDialable(server) || server.connections > 0)',
    breaks: /no removed one/,
  },
  {
    name: 'an empty update is taken',
    file: 'reduce-list.ts',
    from: 'if (wanted.size === 0) {',
    to: 'if (wanted.size < 0) {',
    breaks: /never leaves nobody/,
  },
  {
    name: 'a new connection does not end the belief that all are being closed',
    file: 'reduce.ts',
    from: 'connections: server.connections + 1,\n        closingByMs: undefined,',
    to: 'connections: server.connections + 1,',
    breaks: /believed to be closing/,
  },
  {
    name: 'the fall-back is not left when a server of the list is well',
    file: 'routing-draft.ts',
    from: "this.input(address, 'better found', 'another server is well');",
    to: '',
    breaks: /is left/,
  },
  {
    name: 'the default keeps its connections when the list drops it',
    file: 'server-table.ts',
    from: "{ when: 'is the default', to: 'standby', close: 'removed' }",
    to: "{ when: 'is the default', to: 'standby' }",
    breaks: /no longer in the list/,
  },
  {
    name: 'dials of a removed server go on',
    file: 'routing-draft.ts',
    from: "    this.effect({ type: 'leave', server: refOf(server) });\n    this.effect({ type: 'abandon', server: refOf(server) });",
    to: "    this.effect({ type: 'leave', server: refOf(server) });",
    breaks: /dial of a removed server/,
  },
  {
    name: 'checks of a removed server go on',
    file: 'routing-draft.ts',
    from: "this.effect({ type: 'leave', server: refOf(server) });",
    to: '',
    breaks: /is checked/,
  },
  {
    name: 'a longer grace that was given before outlasts the removal',
    file: 'routing-draft.ts',
    from: 'server.closingByMs <= closingByMs) return;',
    to: 'server.closingByMs > 0) return;',
    breaks: /no more than their grace|at once/,
  },
  {
    name: 'who makes way for another active server keeps its connections',
    file: 'server-table.ts',
    from: "'rival active': { to: 'preferred', close: 'takeover' }",
    to: "'rival active': { to: 'preferred' }",
    breaks: /makes way/,
  },
  {
    name: 'who fails keeps its connections until another one takes them',
    file: 'server-table.ts',
    from: "{ to: 'failed', close: 'failed' }",
    to: "{ to: 'failed' }",
    breaks: /says no/,
  },
  {
    name: 'a list of strangers evicts all that work',
    file: 'reduce-list.ts',
    from: 'if (isLeftWithNone && isProven(server)) {',
    to: 'if (false) {',
    breaks: /evicts nobody/,
  },
  {
    name: 'who comes back is closed all the same',
    file: 'reduce-list.ts',
    from: "draft.effect({ type: 'keep', server: refOf(server) });",
    to: '',
    breaks: /wanted again/,
  },
];

const folder = path.resolve(import.meta.dirname, `../../.cache/planted-balancer-${String(process.pid)}`);
afterAll(() => rm(folder, { recursive: true, force: true }));

async function worldWith(bug: Bug | undefined, name: string): Promise<typeof RoutingWorld> {
  await mkdir(folder, { recursive: true });
  const outfile = path.join(folder, `${name}.mjs`);
  const plant: Plugin = {
    name: 'plant',
    setup(builder) {
      if (bug === undefined) return;
      builder.onLoad({ filter: new RegExp(`/src/balancer/${bug.file}$`) }, async ({ path: file }) => {
        const text = await readFile(file, 'utf8');
        expect(text.split(bug.from).length, `${bug.file} has the place once`).toBe(2);
        return { contents: text.replace(bug.from, bug.to), loader: 'ts' };
      });
    },
  };
  await build({
    entryPoints: [path.join(import.meta.dirname, 'routing-world.ts')],
    outfile,
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    plugins: [plant],
    logLevel: 'silent',
  });
  return (await import(pathToFileURL(outfile).href)) as typeof RoutingWorld;
}

function firstFailure({ live, livesOf }: typeof RoutingWorld): string {
  const property = fc.property(livesOf(150), (commands) => void live('sticky', commands));
  // Which life it is, is of no interest: shrinking it would take most of the time.
  const found = fc.check(property, { numRuns: 1500, endOnFailure: true });
  return found.failed ? String(found.errorInstance) : 'none';
}

test.each(bugs.map((bug) => [bug.name, bug] as const))('finds: %s', async (_name, bug) => {
  expect(firstFailure(await worldWith(bug, String(bugs.indexOf(bug))))).toMatch(bug.breaks);
});

test('and nothing in the unchanged copy', async () => {
  const { live, livesOf } = await worldWith(undefined, 'unchanged');
  fc.assert(
    fc.property(livesOf(100), (commands) => void live('sticky', commands)),
    { numRuns: 50 },
  );
});
