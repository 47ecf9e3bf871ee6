import { describe, expect, test } from 'vitest';
import {
  afterLook,
  isSteady,
  isTooSlow,
  nothingSeen,
  renewedLease,
  silentNodes,
  type DnsLease,
  type DnsWatch,
} from '../../src/cluster/dns-leases.ts';
import { changedSlice, changesOfSlices, type DnsSlice, type DnsView } from '../../src/cluster/dns-slices.ts';

const slice = (nodeName: string | undefined, ready = true): DnsSlice => ({
  metadata: { name: `dns-${nodeName ?? 'of-nobody'}`, resourceVersion: '7', labels: { 'k8s-app': 'kube-dns' } },
  addressType: 'IPv4',
  endpoints: [{ addresses: ['192.0.2.1'], conditions: { ready }, ...(nodeName === undefined ? {} : { nodeName }) }],
  ports: [{ name: 'dns', port: 5353, protocol: 'UDP' }],
});

/** "s1 out", "s1 in", … as s2 sees it. */
function seen(slices: readonly DnsSlice[], nodes: Readonly<Record<string, boolean>>, more: Partial<DnsView> = {}) {
  const view = {
    nodeName: 's2',
    leased: new Set<string>(),
    silent: new Set<string>(),
    isSteady: false,
    isLeaving: false,
    ...more,
  };
  return changesOfSlices({ ...view, slices, nodes: new Map(Object.entries(nodes)) }).map(
    ({ slice: { endpoints }, ready }) => `${endpoints?.[0]?.nodeName ?? ''} ${ready ? 'in' : 'out'}`,
  );
}

describe('a slice of cluster DNS without a Lease', () => {
  test.each([
    ['of a Ready node stays', 's1', true, true, []],
    ['of a node that is not Ready any more is not asked', 's1', true, false, ['s1 out']],
    ['of one that stays away is left as it is', 's1', false, false, []],
    ['of one that is back is asked', 's1', false, true, ['s1 in']],
    ['of a node that is not there is not asked', 's1', true, undefined, ['s1 out']],
    ['of nobody in particular is not ours to judge', undefined, true, undefined, []],
  ])('%s', (_, nodeName, ready, isReady, done) => {
    expect(
      seen([slice(nodeName, ready), slice('s2')], { s2: true, ...(isReady === undefined ? {} : { s1: isReady }) }),
    ).toEqual(done);
  });
});

describe('a slice of cluster DNS with a Lease', () => {
  const all = ['s1', 's2', 's3'];
  const leased = new Set(all);
  const ready = { s1: true, s2: true, s3: true };
  const steady = { leased, isSteady: true };
  const silent = (...names: string[]) => ({ ...steady, silent: new Set(names) });
  const unsteady = { ...silent('s1'), isSteady: false };
  const slices = (...outs: string[]) => all.map((name) => slice(name, !outs.includes(name)));

  test.each<[string, string[], Readonly<Record<string, boolean>>, Partial<DnsView>, string[]]>([
    ['that is renewed stays', [], ready, steady, []],
    ['that is silent is not asked', [], ready, silent('s1'), ['s1 out']],
    ['that is silent stays, where who looks is not steady', [], ready, unsteady, []],
    ['that is silent stays, where who looks is not asked himself', [], ready, { ...silent('s1'), nodeName: 's4' }, []],
    ['that is silent is left out', ['s1'], ready, silent('s1'), []],
    ['that is renewed again is not put back by others', ['s1'], ready, steady, []],
    ['is put back by its owner', ['s2'], ready, steady, ['s2 in']],
    ['is not put back by its owner who leaves', ['s2'], ready, { ...steady, isLeaving: true }, []],
    ['is not asked any more where its owner leaves', [], ready, { ...steady, isLeaving: true }, ['s2 out']],
    ['is asked though its owner leaves, where nobody else is', ['s1', 's3'], ready, { ...steady, isLeaving: true }, []],
    ['is not put back by its owner before he is steady', ['s2'], ready, { leased }, []],
    ['is put back by its owner, whatever its Node says', ['s2'], { ...ready, s2: false }, steady, ['s2 in']],
    ['that is renewed stays, whatever its Node says', [], { ...ready, s1: false }, { leased }, []],
    ['that is silent, of a Node that is not Ready, needs no judge', [], { ...ready, s1: false }, unsteady, ['s1 out']],
    ['of a server whose Node is gone stays', [], {}, steady, []],
    ['of a server whose Node is gone is not asked when it is silent', [], {}, silent('s1'), ['s1 out']],
    ['of a server whose Node is gone is put back by its owner', ['s2'], {}, steady, ['s2 in']],
    ['is not asked, though nobody but who looks is left', [], ready, silent('s1', 's3'), ['s1 out', 's3 out']],
    ['is left, where nobody would be', ['s2', 's3'], { s1: false }, { ...silent('s1'), nodeName: 's4' }, []],
  ])('%s', (_, outs, nodes, more, done) => {
    expect(seen(slices(...outs), nodes, more)).toEqual(done);
  });

  test('of one server beside another’s without: each by its own rule', () => {
    const more = { ...silent('s1'), leased: new Set(['s1', 's2']) };
    expect(seen([slice('s1'), slice('s2'), slice('s3', false)], ready, more)).toEqual(['s1 out', 's3 in']);
  });
});

test('a slice is applied with what it held, and only to what was read', () => {
  expect(changedSlice({ slice: slice('s3'), ready: false })).toMatchObject({
    metadata: { name: 'dns-s3', resourceVersion: '7', labels: { 'k8s-app': 'kube-dns' } },
    endpoints: [{ addresses: ['192.0.2.1'], nodeName: 's3', conditions: { ready: false } }],
    ports: [{ protocol: 'UDP' }],
  });
});

describe('the Leases, as one server sees them', () => {
  const lease = (node: string, renewTime: string): DnsLease => ({
    metadata: { name: `k3s-lite-dns-${node}`, resourceVersion: '1' },
    spec: { renewTime },
  });
  /** Looks at the given times at which it renews itself; s1 does until `deadMs`, s3 always; undefined: the look fails. */
  const afterLooks = (looks: readonly (number | undefined)[], deadMs = Infinity): DnsWatch =>
    looks.reduce<DnsWatch>((watch, endedMs) => {
      if (endedMs === undefined) return nothingSeen;
      const leases = [lease('s1', String(Math.min(endedMs, deadMs))), lease('s3', String(endedMs))];
      return afterLook(watch, { leases, hasRenewed: true, endedMs });
    }, nothingSeen);

  test.each([
    ['one that is renewed is never silent', [10, 2010, 4010, 6010], Infinity, []],
    ['one that is not is so after 5 s', [10, 2010, 4010, 6010], 0, ['s1']],
    ['and not before', [10, 2010, 4010], 0, []],
    ['whoever has just begun knows of nobody', [90_000], 0, []],
    ['a renewal counts anew', [10, 2010, 4010, 6010], 1000, []],
    ['what was seen before a look that failed counts for nothing', [10, 2010, undefined, 6010, 8010], 0, []],
  ])('%s', (_, looks, deadMs, silent) => {
    const watch = afterLooks(looks, deadMs);
    expect([...silentNodes(watch, (looks.at(-1) ?? 0) - 10)]).toEqual(silent);
  });

  test.each([
    ['after 5 s', [10, 2010, 4010, 6010], true],
    ['not before', [10, 2010, 4010], false],
    ['not after a look that failed', [10, 2010, undefined, 5010, 7010], false],
    ['again 5 s later', [10, 2010, undefined, 5010, 7010, 9010, 11_010], true],
    ['not after one that hung', [10, 2010, 4010, 9010], false],
  ])('it has a word %s', (_, looks, isIt) => {
    expect(isSteady(afterLooks(looks), (looks.at(-1) ?? 0) - 10)).toBe(isIt);
  });

  test('it has none while its own is not renewed', () => {
    const watch = afterLook(afterLooks([10, 2010, 4010, 6010]), { leases: [], hasRenewed: false, endedMs: 8010 });
    expect(isSteady(watch, 8000)).toBe(false);
  });

  test.each([
    ['when three in a row are late', [10, 4510, 9010, 13_510], true],
    ['not by two', [10, 4510, 9010], false],
    ['not when one in time is among them', [10, 4510, 9010, 11_010, 15_510], false],
    ['not when one that failed is among them', [10, 4510, 9010, undefined, 13_510], false],
  ])('looks are too slow %s', (_, looks, isIt) => {
    expect(isTooSlow(afterLooks(looks))).toBe(isIt);
  });

  test('a renewal is written to what was read', () => {
    expect(renewedLease('s1', '42', Date.UTC(2026, 0, 1))).toMatchObject({
      metadata: { name: 'k3s-lite-dns-s1', resourceVersion: '42' },
      spec: { holderIdentity: 's1', leaseDurationSeconds: 5, renewTime: '2026-01-01T00:00:00.000000Z' },
    });
  });
});
