/**
 * Files that outlive a process may be damaged by a full disk, a power cut or a person. Whatever is in
 * them, reading them ends in something of the right shape, in nothing, or in an error that names the file.
 *
 *   genuine text ─► cut, a byte changed, values swapped ─► reader
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import path from 'node:path';
import * as fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { maxAgeMs, readStore } from '../../src/balancer/server-store.ts';
import { askForRotation, readRotation } from '../../src/cluster/certificate-rotation.ts';
import { readKnownMembers, rememberAddresses, rememberMembers } from '../../src/cluster/etcd/known-members.ts';
import { readPasswords, writeTokens } from '../../src/cluster/join/cluster-token.ts';
import { readJoinedIfThere, writeJoined } from '../../src/cluster/join/joined.ts';
import { readServerJoined, writeServerJoined } from '../../src/cluster/join/server-joined.ts';
import { readManifestRecord, writeManifestRecord } from '../../src/cluster/manifests/manifest-record.ts';
import { peerHealthText, readPeerHealth } from '../../src/cluster/peers/peer-health.ts';
import { peersText, readPeers } from '../../src/cluster/peers/peer-list.ts';
import { StartupError } from '../../src/error/startup-error.ts';
import { Routing } from '../balancer/routing-kit.ts';
import { settings } from './join/desk-kit.ts';
import { temporaryFolder } from './settings-kit.ts';

let folder: string;
beforeEach(() => {
  folder = temporaryFolder();
});
const inFolder = (name: string) => path.join(folder, name);

/** What a genuine text may have become, besides any other text at all. */
function damaged(genuine: string): fc.Arbitrary<string> {
  const at = fc.nat(genuine.length - 1);
  const value = fc.constantFrom('null', '[]', '{}', '-1', '1e999', '""', '"\\u0000"', 'true', '[[]]');
  return fc.oneof(
    at.map((end) => genuine.slice(0, end)),
    fc
      .tuple(at, fc.string({ maxLength: 3 }))
      .map(([where, by]) => genuine.slice(0, where) + by + genuine.slice(where + 1)),
    fc.tuple(fc.nat(20), value).map(([which, by]) => {
      const values = [...genuine.matchAll(/"[^"]*"(?!:)|\[[^[\]]*\]|\b\d+\b/g)];
      const one = values[which % Math.max(1, values.length)];
      return one === undefined ? by : genuine.slice(0, one.index) + by + genuine.slice(one.index + one[0].length);
    }),
    fc.json(),
    fc.string({ unit: 'binary' }),
  );
}

interface StateFile {
  readonly write: (file: string) => Promise<unknown>;
  /** Reads, and looks at what came of it as whoever reads it does. */
  readonly read: (file: string) => Promise<unknown>;
}

async function readMembersFile(file: string): Promise<void> {
  const { clientUrls, members } = await readKnownMembers(file);
  for (const url of clientUrls) expect(new URL(url).protocol).toBe('https:');
  for (const one of members) for (const url of one.peerUrls) expect(typeof url).toBe('string');
}

const files: Readonly<Record<string, StateFile>> = {
  'what a node was told': {
    write: (file) =>
      writeJoined(file, { apiServer: 'https://127.0.0.1:6444', apiServers: ['192.0.2.1:6443'], settings }),
    read: async (file) => {
      const joined = await readJoinedIfThere(file);
      if (joined === undefined) return;
      expect(new URL(joined.apiServer).protocol).toBe('https:');
      for (const server of joined.apiServers) expect(typeof server).toBe('string');
    },
  },
  'what a server was told': {
    write: (file) => writeServerJoined(file, { settings }),
    read: async (file) => {
      const joined = await readServerJoined(file);
      if (joined !== undefined) expect(Object.keys(joined.settings).sort()).toEqual(Object.keys(settings).sort());
    },
  },
  'where members of etcd can be asked': {
    write: (file) => rememberAddresses(file, ['https://192.0.2.1:2379', 'https://192.0.2.2:2379']),
    read: readMembersFile,
  },
  'the members that etcd last had': {
    write: (file) =>
      rememberMembers(file, [
        {
          id: '1',
          name: 'a',
          peerUrls: ['https://192.0.2.1:2380'],
          clientUrls: ['https://192.0.2.1:2379'],
          isLearner: false,
        },
      ]),
    read: readMembersFile,
  },
  'certificates to be rotated': {
    write: (file) => askForRotation(file, ['kubelet', 'admin'], 1),
    read: async (file) => {
      const reason = (await readRotation(file)).reasonFor('client-admin.crt');
      expect([undefined, 'it was asked for']).toContain(reason);
    },
  },
  'what manifests have made': {
    write: (file) =>
      writeManifestRecord(file, new Map([['a.yaml', [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'a' }]]])),
    read: async (file) => {
      for (const refs of (await readManifestRecord(file, () => undefined)).values()) {
        for (const { kind, name } of refs) expect(`${kind}${name}`).toEqual(expect.any(String));
      }
    },
  },
};

describe('[H2] whatever has become of a file with', () => {
  test.each(Object.entries(files))('%s, reading it gives what fits or nothing', async (_, { write, read }) => {
    const file = inFolder('state');
    await write(file);
    await read(file);
    await fc.assert(
      fc.asyncProperty(damaged(readFileSync(file, 'utf8')), async (text) => {
        writeFileSync(file, text);
        await read(file);
      }),
      { numRuns: 300 },
    );
  });

  test('tokens, reading them gives what can be used, or an error that names the file and no secret', async () => {
    const tokens = { serverTls: folder, serverToken: inFolder('token'), nodeToken: inFolder('node-token') };
    await writeTokens(tokens, 'a'.repeat(64), { server: 'server-secret', node: 'node-secret' });
    await fc.assert(
      fc.asyncProperty(damaged(readFileSync(tokens.serverToken, 'utf8')), async (text) => {
        writeFileSync(tokens.serverToken, text);
        const error: unknown = await readPasswords(tokens).then(
          ({ server }) => {
            expect(server).toMatch(/^[\x21-\x7e]{1,1024}$/);
          },
          (reason: unknown) => reason,
        );
        if (error === undefined) return;
        expect(error).toBeInstanceOf(StartupError);
        expect(error).toMatchObject({ code: 'ERR_TOKEN', message: expect.stringContaining('token') as string });
        expect(JSON.stringify((error as StartupError).toJSON())).not.toContain('secret');
      }),
      { numRuns: 300 },
    );
  });

  test('peers, reading it gives peers with an address or none', () => {
    const genuine = peersText({ peers: [{ name: 'a', ip: '192.0.2.1' }], heard: ['192.0.2.1'] });
    fc.assert(
      fc.property(damaged(genuine), (text) => {
        const { peers, heard } = readPeers(text);
        for (const ip of [...heard, ...peers.map((peer) => peer.ip)]) expect(isIPv4(ip)).toBe(true);
      }),
    );
  });

  test('heartbeats, reading it gives addresses or none', () => {
    const now = { bootId: 'boot', nowMs: 1_000 };
    const alive = { id: 'alive', sinceMs: 1, latencyMs: 1 } as const;
    const lost = { id: 'silent', sinceMs: 1, reason: 'late', wasHeard: true, isLost: true } as const;
    const [a, b] = [
      { name: 'a', ip: '192.0.2.1' },
      { name: 'b', ip: '192.0.2.2' },
    ];
    const genuine = peerHealthText(
      [
        { peer: a, state: alive },
        { peer: b, state: lost },
      ],
      now,
    );
    fc.assert(
      fc.property(damaged(genuine), (text) => {
        const { heard, lost: silent } = readPeerHealth(text, now);
        for (const ip of [...heard, ...silent]) expect(isIPv4(ip)).toBe(true);
      }),
    );
  });

  test('[L7] a balancer’s list, the routing state that begins with it has only servers that can be dialled', () => {
    const nowMs = Date.UTC(2026, 0, 1);
    const servers = [
      { address: '10.0.0.1:6443', weight: 1, state: 'active' },
      { address: '10.0.0.2:6443', weight: 2 },
    ];
    const genuine = JSON.stringify({ version: 1, default: null, savedAtMs: nowMs - maxAgeMs / 2, servers });
    fc.assert(
      fc.property(damaged(genuine), (text) => {
        const stored = readStore(text, undefined, nowMs);
        const { state } = new Routing().input({ type: 'update', servers: stored.servers });
        for (const { address, weight } of state.servers) {
          expect(address).toMatch(/^.+:\d{1,5}$/);
          expect(Number.isFinite(weight) && weight >= 0).toBe(true);
        }
      }),
    );
  });
});
