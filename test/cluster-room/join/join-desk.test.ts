import * as fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { makeEcdsaKey, makeRequest } from '../../../src/cluster/certificate-maker.ts';
import { subjectFor } from '../../../src/cluster/join/issue.ts';
import { answerJoin, type JoinRequest } from '../../../src/cluster/join/join-desk.ts';
import { unsealWithToken } from '../../../src/cluster/join/seal.ts';
import { issuedCertificate, paths, refusal, sealedBootstrap } from '../../../src/cluster/join/wire.ts';
import { fakeClock } from '../../kit/fake-clock.ts';
import { basic, deskKit, newAuthority, passwords, settings, type Identity } from './desk-kit.ts';

let server: Identity;
let client: Identity;
let csr: string;
beforeAll(async () => {
  [server, client] = [await newAuthority('server'), await newAuthority('client')];
  csr = await makeRequest(subjectFor('kubelet-client', 'w1'), await makeEcdsaKey());
});

const asNode = basic('node', passwords.node);
const asServer = basic('server', passwords.server);
const request = (path: string, changes: Partial<JoinRequest> = {}): JoinRequest => ({
  method: 'GET',
  path,
  remote: '192.0.2.9',
  body: '',
  ...changes,
});
const post = (path: string, body: unknown, changes: Partial<JoinRequest> = {}) =>
  request(path, { method: 'POST', body: JSON.stringify(body), ...changes });
const kubelet = (changes: Partial<JoinRequest> = {}) =>
  post(
    paths.certificates,
    { purpose: 'kubelet-client', csr },
    { authorization: asNode, nodeName: 'w1', nodePassword: 'p'.repeat(32), ...changes },
  );

describe('[H5] the join desk', () => {
  test('gives the authority and "pong" to anybody', async () => {
    const { ports } = deskKit(server, client);
    expect(await answerJoin(request(paths.authority), ports)).toMatchObject({ status: 200, body: server.pem });
    expect(await answerJoin(request(paths.ping), ports)).toMatchObject({ status: 200, body: 'pong' });
  });

  test('signs for a node with the node token and its own name', async () => {
    const { ports, lines } = deskKit(server, client);
    const answer = await answerJoin(kubelet(), ports);
    expect(answer.status).toBe(200);
    const issued = issuedCertificate.parse(JSON.parse(answer.body));
    expect(issued).toMatchObject({ clientAuthority: client.pem, serverAuthority: server.pem });
    expect(lines).toEqual(['signed kubelet-client for node w1 at 192.0.2.9']);
  });

  test('signs no serving certificate for the address that the API servers share', async () => {
    const vipApiserver = '192.0.2.200';
    const { ports, lines } = deskKit(server, client, { vipApiserver });
    const serving = await makeRequest(subjectFor('kubelet-serving', 'w1'), await makeEcdsaKey());
    const asked = (ips: readonly string[]) =>
      answerJoin(kubelet({ body: JSON.stringify({ purpose: 'kubelet-serving', csr: serving, ips }) }), ports);
    const refused = await asked(['192.0.2.9', vipApiserver]);
    expect(refused).toMatchObject({ status: 403 });
    expect(refused.body).toContain('is the address of the API servers');
    expect(lines.join()).not.toContain('signed');
    expect(await asked(['192.0.2.9'])).toMatchObject({ status: 200 });
  });

  test('gives the authorities to a server alone, sealed with its token', async () => {
    const { ports } = deskKit(server, client);
    expect(await answerJoin(post(paths.bootstrap, {}, { authorization: asNode }), ports)).toMatchObject({
      status: 401,
    });
    const answer = await answerJoin(post(paths.bootstrap, {}, { authorization: asServer }), ports);
    expect(answer.body).not.toContain('private key');
    const { sealed } = sealedBootstrap.parse(JSON.parse(answer.body));
    expect(JSON.parse(await unsealWithToken(sealed, passwords.server))).toMatchObject({
      authorities: { 'etcd/ca.key': 'a private key' },
      nodePassword: passwords.node,
    });
  });

  test('tells a server which settings differ, with both values', async () => {
    const { ports } = deskKit(server, client);
    const ask = (body: object) => answerJoin(post(paths.settings, body, { authorization: asServer }), ports);
    expect(await ask(settings)).toMatchObject({ status: 200 });
    const answer = await ask({ ...settings, clusterCidr: '10.99.0.0/16' });
    expect(answer.status).toBe(409);
    expect(answer.body).toContain('clusterCidr is 10.99.0.0/16 there and 10.42.0.0/16 here');
  });

  test('tells a server that means another shared address of the API servers; one without is as good', async () => {
    const ask = async (ours: string | undefined, theirs: string | undefined) => {
      const { ports } = deskKit(server, client, { vipApiserver: ours });
      return answerJoin(
        post(paths.settings, { ...settings, vipApiserver: theirs }, { authorization: asServer }),
        ports,
      );
    };
    const answer = await ask('192.0.2.10', '192.0.2.11');
    expect(answer.status).toBe(409);
    expect(answer.body).toContain('vipApiserver is 192.0.2.11 there and 192.0.2.10 here');
    for (const [ours, theirs] of [
      ['192.0.2.10', '192.0.2.10'],
      ['192.0.2.10', undefined],
      [undefined, '192.0.2.10'],
    ]) {
      expect(await ask(ours, theirs)).toMatchObject({ status: 200 });
    }
    // Agents are told nothing of it.
    const { ports } = deskKit(server, client, { vipApiserver: '192.0.2.10' });
    const told = await answerJoin(request(paths.nodeSettings, { authorization: asNode }), ports);
    expect(JSON.parse(told.body)).toEqual(settings);
  });

  test.each([
    ['no token', { authorization: undefined }, 401, 'a token is needed'],
    ['a bearer', { authorization: 'Bearer abc' }, 401, 'a token is needed'],
    ['a wrong password', { authorization: basic('node', 'wrong') }, 401, 'not the node token'],
    ['a wrong user', { authorization: basic('admin', passwords.server) }, 401, 'not the node token'],
    ['no node name', { nodeName: undefined }, 400, 'name of the node'],
    ['a node name with a path', { nodeName: '../w1' }, 400, 'name of the node'],
    ['a short node password', { nodePassword: 'abc' }, 400, '16 to 256'],
    ['another purpose', { body: '{"purpose":"admin","csr":""}' }, 400, 'purpose'],
    [
      'a key too many',
      { body: JSON.stringify({ purpose: 'coredns', csr: '', groups: ['system:masters'] }) },
      400,
      'groups',
    ],
    ['no JSON', { body: '<xml/>' }, 400, 'no JSON'],
    ['the name of another node', { nodeName: 'w2' }, 403, 'may have CN=system:node:w2'],
    ['another method', { method: 'GET' }, 405, 'POST'],
    ['another path', { path: '/v1/anything' }, 404, 'nothing at this path'],
    ['a path of JavaScript', { path: 'constructor' }, 404, 'nothing at this path'],
  ])('refuses %s', async (_, changes, status, why) => {
    const { ports, lines, nodes } = deskKit(server, client);
    const answer = await answerJoin(kubelet(changes), ports);
    expect(answer.status).toBe(status);
    expect(refusal.parse(JSON.parse(answer.body)).message).toContain(why);
    expect(lines.at(-1)).toContain(`refused 192.0.2.9`);
    if (status !== 403) expect(nodes.size).toBe(0);
    expect(`${lines.join('\n')}${answer.body}`).not.toMatch(new RegExp(`${passwords.server}|${passwords.node}|p{32}`));
  });

  test('keeps a name for whoever had it first', async () => {
    const { ports } = deskKit(server, client);
    expect(await answerJoin(kubelet(), ports)).toMatchObject({ status: 200 });
    expect(await answerJoin(kubelet(), ports)).toMatchObject({ status: 200 });
    const answer = await answerJoin(kubelet({ nodePassword: 'q'.repeat(32) }), ports);
    expect(answer).toMatchObject({ status: 403 });
    expect(answer.body).toContain('belongs to another node');
  });

  test('says so while passwords cannot be looked up', async () => {
    const { ports } = deskKit(server, client, { claimNode: () => Promise.reject(new Error('ECONNREFUSED')) });
    expect(await answerJoin(kubelet(), ports)).toMatchObject({ status: 503 });
  });

  test('lets an address guess three times, then once in two seconds; others are not slowed down', async () => {
    const clock = fakeClock();
    const { ports } = deskKit(server, client, { clock });
    const guess = async (authorization = basic('node', 'wrong'), remote = '192.0.2.9') =>
      (await answerJoin(request(paths.servers, { authorization, remote }), ports)).status;
    expect([await guess(), await guess(), await guess(), await guess(), await guess(asNode)]).toEqual([
      401, 401, 401, 429, 429,
    ]);
    expect(await guess(asNode, '192.0.2.10')).toBe(200);
    await clock.advance(2_000);
    expect([await guess(), await guess()]).toEqual([401, 429]);
    await clock.advance(2_000);
    expect(await guess(asNode)).toBe(200);
  });

  test('answers anything with a refusal, and never with an error of its own', async () => {
    const { ports } = deskKit(server, client, { limit: { mayTry: () => true, failed: () => undefined } });
    const path = fc.oneof(fc.constantFrom(...Object.values(paths)), fc.string());
    const anything = fc.record({
      method: fc.constantFrom('GET', 'POST', 'PUT', ''),
      path,
      remote: fc.string(),
      authorization: fc.option(fc.oneof(fc.string(), fc.constantFrom(asNode, asServer)), { nil: undefined }),
      nodeName: fc.option(fc.string(), { nil: undefined }),
      nodePassword: fc.option(fc.string({ maxLength: 300 }), { nil: undefined }),
      body: fc.oneof(fc.string(), fc.json()),
    });
    await fc.assert(
      fc.asyncProperty(anything, async (one) => {
        const { status } = await answerJoin(one, ports);
        expect([200, 400, 401, 403, 404, 405, 409]).toContain(status);
      }),
      { numRuns: 300 },
    );
  });
});
