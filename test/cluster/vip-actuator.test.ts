/**
 * The actuator on a real kernel: nodes are namespaces on a bridge, packets are real, and an observer
 * hears every frame and asks all the time, so that whoever would answer does.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/kernel/clock.ts';
import { arpAnnouncements } from '../../src/vip/actuate/arp-frame.ts';
import { rowsOf } from '../kit/matrix.ts';
import { questionFor } from './vip-rig/questions.ts';
import { speakers, tenures } from './vip-rig/judge.ts';
import { vipRig, type RigProcess, type VipRig } from './vip-rig/vip-rig.ts';

const isRoot = process.getuid?.() === 0;
const [vip4, vip6] = ['10.98.0.50', 'fd98::50'];
const vips = [vip4, vip6];
const inMs = (delayMs: number) => systemClock.monotonicMs() + delayMs;
const pause = (delayMs: number) => new Promise((resolve) => setTimeout(resolve, delayMs));
/** The kernel keeps elements in no order. */
const sorted = (_all: string, elements: string) =>
  `{ ${elements
    .split(',')
    .map((each) => each.trim())
    .sort()
    .join(', ')} }`;
const taken = (addresses: readonly string[]) => addresses.map((address) => ({ address }));

describe.skipIf(!isRoot)('the actuator', () => {
  let rig: VipRig;
  let nodes: RigProcess[];
  beforeAll(async () => {
    rig = await vipRig(['n1', 'n2']);
  });
  afterAll(async () => {
    await (rig as VipRig | undefined)?.[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    nodes = [];
    await askFor(vips);
    await rig.observer.calls.forget();
  });
  afterEach(async () => {
    for (const node of nodes) {
      node.signal('SIGCONT');
      if (node.hasEnded()) continue;
      await node.calls.end().catch(() => undefined);
      await node.kill();
    }
    await rig.observer.calls.ask([], 0);
  });

  async function start(name: string, options: Parameters<VipRig['startNode']>[1] = {}): Promise<RigProcess['calls']> {
    const node = await rig.startNode(name, options);
    nodes.push(node);
    await node.calls.cleanUp();
    return node.calls;
  }
  const askFor = (addresses: readonly string[]) =>
    rig.observer.calls.ask(
      addresses.map((address) => questionFor(rig.place('observer'), address)),
      5,
    );
  const mac = (name: string) => rig.place(name).mac;
  const addressesOf = (name: string) => rig.place(name).must('ip', '-brief', 'address', 'show', 'dev', 'eth0');
  const rulesOf = (name: string) => rig.place(name).must('nft', 'list', 'ruleset');
  /** Without their times, which run. */
  const lastingRules = (name: string) =>
    rulesOf(name).replaceAll(/meta time < "[^"]*"|(?:timeout|expires) [^,}]*?(?=[,} ])/g, '');
  /** Of each table, what its clock's rule compares with: milliseconds of the wall clock. */
  const closesAtMs = (name: string) => {
    const rules = rig.place(name).must('env', 'TZ=UTC', 'nft', 'list', 'ruleset');
    const times = rules.matchAll(/meta time < "(\S+) (\S+)" accept/g);
    return [...times].map(([, day, time]) => Date.parse(`${String(day)}T${String(time)}Z`));
  };
  /** Who has spoken for it, in order. */
  const heard = async (address: string) => speakers(await rig.observer.calls.spoken(), address);
  const lastHeardMs = async (address: string) =>
    tenures(await rig.observer.calls.spoken(), address).at(-1)?.untilMs ?? NaN;

  test('[V10] takes, silences and drops addresses of both families; the machine is then as before', async () => {
    const before = addressesOf('n1');
    const node = await start('n1');
    expect(await node.take(vips, inMs(60_000))).toEqual(taken(vips));
    expect(await node.held()).toEqual(vips.map((address) => ({ address, interface: 'eth0', open: true })));
    for (const vip of vips) await expect.poll(() => heard(vip)).toEqual([mac('n1')]);

    await node.silence(vips);
    const silentMs = systemClock.monotonicMs();
    expect(await node.held()).toEqual(vips.map((address) => ({ address, interface: 'eth0', open: false })));
    await pause(200);
    for (const vip of vips) expect(await lastHeardMs(vip)).toBeLessThan(silentMs + 5);

    await node.drop(vips);
    expect(await node.held()).toEqual([]);
    expect(addressesOf('n1')).toBe(before);
    await node.end();
    expect(rulesOf('n1')).toBe('');
  });

  test('[V10] what is given up while it is taken is not taken, and a deadline that has passed takes nothing', async () => {
    const before = addressesOf('n1');
    const node = await start('n1');
    const taking = node.take(vips, inMs(60_000));
    await node.silence([vip4]); // It is still asking whether somebody has them.
    expect(await taking).toMatchObject([{ refused: { kind: 'failed' } }, { address: vip6 }]);
    expect(await node.held()).toMatchObject([{ address: vip6, open: true }]);
    await node.drop(vips);
    await node.arm(inMs(-1));
    expect(await node.take(vips, inMs(20))).toMatchObject(vips.map(() => ({ refused: { kind: 'failed' } })));
    expect(addressesOf('n1')).toBe(before);
    expect(await heard(vip4)).toEqual([]);
  });

  test('[V10] 1000 addresses are there at once, and gone at once', async () => {
    const node = await start('n1', { probe: { count: 0, intervalMs: 0 } });
    const many = Array.from({ length: 1000 }, (_, at) => `10.98.${String(100 + (at >> 8))}.${String(at & 255)}`);
    const tookMs: Record<string, number> = {};
    const measure = async <T>(what: string, work: Promise<T>): Promise<T> => {
      const begunMs = performance.now();
      const result = await work;
      tookMs[what] = performance.now() - begunMs;
      return result;
    };
    const outcomes = await measure('take', node.take(many, inMs(60_000)));
    expect(outcomes.filter(({ refused }) => refused !== undefined)).toEqual([]);
    expect((await node.held()).filter(({ open }) => open)).toHaveLength(1000);
    // Both forms of each.
    await expect.poll(async () => (await node.counters()).announcements).toBeGreaterThanOrEqual(2000);
    const spoken = await rig.observer.calls.spoken();
    expect(new Set(spoken.map(({ address }) => address)).size).toBeGreaterThanOrEqual(1000);
    await measure('arm', node.arm(inMs(60_000)));
    await measure('silence', node.silence(many));
    await measure('drop', node.drop(many));
    expect(await node.held()).toEqual([]);
    expect(await node.gateBatches()).toMatchObject({ refused: [] });
    console.log(
      `1000 addresses: ${Object.entries(tookMs)
        .map(([what, ms]) => `${what} ${ms.toFixed(0)} ms`)
        .join(', ')}`,
    );
    // Issue 6: 150 ms; five times that, since machines differ.
    expect(tookMs['take']).toBeLessThan(5 * 150);
  });

  for (const signal of ['SIGSTOP', 'SIGKILL'] as const) {
    test(`[V10] the kernel closes the gate by itself at the deadline: ${signal} of its process`, async () => {
      const node = await start('n1');
      await node.take(vips, inMs(60_000));
      const deadlineMs = inMs(1000);
      await node.arm(deadlineMs);
      nodes[0]?.signal(signal);
      await pause(1500);
      const lateMs = await Promise.all(vips.map(async (vip) => (await lastHeardMs(vip)) - deadlineMs));
      console.log(`${signal}: last answer ${lateMs.map((ms) => `${ms.toFixed(0)} ms`).join(', ')} after the deadline`);
      for (const ms of lateMs) {
        expect(ms).toBeGreaterThan(-500); // It was answered for until then,
        expect(ms).toBeLessThan(100); // and no longer.
      }
      if (signal === 'SIGKILL') {
        await start('n1'); // which tidies up
        return;
      }
      // What wakes up late does not speak, although announcements are due.
      await rig.observer.calls.forget();
      nodes[0]?.signal('SIGCONT');
      await node.counters();
      await pause(300);
      for (const vip of vips) expect(await heard(vip)).toEqual([]);
      // With a lease that is good again it does, at once.
      await node.arm(inMs(60_000));
      for (const vip of vips) await expect.poll(() => heard(vip)).toEqual([mac('n1')]);
    });
  }

  test('[V10] what a killed process has left is taken away by the next, and nothing of others', async () => {
    const n1 = rig.place('n1');
    n1.must('ip', 'address', 'add', '10.98.0.77/32', 'dev', 'eth0');
    n1.must('nft', 'add table inet somebody; add chain inet somebody input { type filter hook input priority 0; }');
    const [before, rules] = [addressesOf('n1'), rulesOf('n1')];
    const first = await start('n1');
    await first.take(vips, inMs(60_000));
    await nodes[0]?.kill();
    for (const vip of vips) await expect.poll(() => heard(vip)).toEqual([mac('n1')]); // it answers on
    const next = await rig.startNode('n1');
    nodes.push(next);
    expect([...(await next.calls.cleanUp())].sort()).toEqual([...vips].sort());
    const cleanMs = systemClock.monotonicMs();
    expect(addressesOf('n1')).toBe(before);
    await pause(100);
    for (const vip of vips) expect(await lastHeardMs(vip)).toBeLessThan(cleanMs);
    // An address that somebody else has put there is not ours to take.
    expect(await next.calls.take(['10.98.0.77'], inMs(60_000))).toMatchObject([{ refused: { kind: 'failed' } }]);
    await next.calls.end();
    expect([addressesOf('n1'), rulesOf('n1')]).toEqual([before, rules]);
    n1.must('nft', 'delete table inet somebody');
    n1.must('ip', 'address', 'delete', '10.98.0.77/32', 'dev', 'eth0');
  });

  test('[V10] one that ends before it has cleaned up leaves the gate of a killed process as it is', async () => {
    const first = await start('n1');
    await first.take(vips, inMs(60_000));
    await nodes[0]?.kill();
    const before = [addressesOf('n1'), lastingRules('n1')];
    const next = await rig.startNode('n1');
    nodes.push(next);
    await next.calls.end();
    expect([addressesOf('n1'), lastingRules('n1')]).toEqual(before);
    await next.kill();
    await start('n1'); // which tidies up
    expect(addressesOf('n1')).not.toBe(before[0]);
  });

  test('[V10] what somebody else answers for is refused, with who that is', async () => {
    const n2 = rig.place('n2');
    const other = [`${vip4}/32`, `${vip6}/128`];
    for (const one of other)
      n2.must('ip', 'address', 'add', one, 'dev', 'eth0', ...(one.includes(':') ? ['nodad'] : []));
    const before = addressesOf('n1');
    const node = await start('n1');
    const conflict = { kind: 'conflict', mac: mac('n2') };
    expect(await node.take([...vips, '10.98.0.51', '192.0.2.1'], inMs(60_000))).toEqual([
      { address: vip4, refused: conflict },
      { address: vip6, refused: conflict },
      { address: '10.98.0.51' },
      { address: '192.0.2.1', refused: { kind: 'no-interface' } },
    ]);
    await node.drop(['10.98.0.51']);
    expect(addressesOf('n1')).toBe(before);
    for (const one of other) n2.must('ip', 'address', 'delete', one, 'dev', 'eth0');
  });

  test('one that speaks for an address that we hold is told of, and answered once', async () => {
    const node = await start('n1');
    await node.take([vip4], inMs(60_000));
    await askFor([]);
    await rig.observer.calls.forget();
    const intruder = '02:98:00:00:00:ee';
    for (const frame of arpAnnouncements(intruder, vip4)) await rig.observer.calls.say(frame.toString('hex'));
    await expect.poll(() => node.sightings()).toEqual([{ kind: 'conflict', address: vip4, mac: intruder }]);
    expect(await node.counters()).toMatchObject({ conflicts: 1, defences: 1 });
    await expect.poll(() => heard(vip4)).toEqual([mac('n1')]);
  });

  test('[V10] the kernel has the same gate whether nft has written it or we have', async () => {
    const gates: string[] = [];
    for (const withoutPackets of [true, false]) {
      // `held` asks whether elements and switch are good.
      const node = await start('n1', { withoutPackets, lookEveryMs: 60_000 });
      const many = [...vips, ...Array.from({ length: 20 }, (_, at) => `10.98.1.${String(at)}`)];
      await node.take(many, inMs(60_000));
      await node.arm(inMs(60_000));
      expect((await node.held()).filter(({ open }) => open)).toHaveLength(many.length);
      await node.silence([...vips, '10.98.1.5']);
      const deadlineWallMs = systemClock.wallMs() + 45_000;
      await node.arm(inMs(45_000));
      gates.push(lastingRules('n1'));
      const late = closesAtMs('n1').map((closesMs) => closesMs - deadlineWallMs);
      expect(late).toHaveLength(3);
      for (const ms of late) expect(Math.abs(ms)).toBeLessThan(1500);
      // Otherwise nft has written both.
      const { done, refused } = await node.gateBatches();
      expect(refused).toEqual([]);
      expect(done > 0).toBe(!withoutPackets);
      await node.end();
      await nodes.at(-1)?.kill();
    }
    const [byNft = '', byUs] = gates.map((gate) => gate.replaceAll(/elements = \{([^}]*)\}/g, sorted));
    expect(byNft).toContain('10.98.1.6 . "eth0"');
    expect(byUs).toBe(byNft);
  });

  test('what somebody takes away is told of, and a gate that somebody flushes is back', async () => {
    const node = await start('n1', { lookEveryMs: 200 });
    await node.take(vips, inMs(60_000));
    const rules = () => lastingRules('n1');
    const before = rules();
    rig.place('n1').must('nft', 'flush', 'ruleset');
    await expect.poll(rules).toBe(before);
    rig.place('n1').must('ip', 'address', 'delete', `${vip4}/32`, 'dev', 'eth0');
    await expect.poll(() => node.sightings()).toEqual([{ kind: 'missing', address: vip4 }]);
    expect(await node.held()).toMatchObject([{ address: vip6 }]);
    // Taken again when somebody decides so.
    await node.drop([vip4]);
    expect(await node.take([vip4], inMs(60_000))).toEqual(taken([vip4]));
  });

  describe('a client', () => {
    const neighbour = (vip: string) => rig.place('client').run('ip', 'neighbour', 'show', vip).output;

    for (const vip of vips) {
      test(`[V10] loses nothing when ${vip} moves as planned, and believes each holder at once`, async () => {
        const [first, second] = [await start('n1'), await start('n2')];
        await askFor([]); // Only what nodes say by themselves.
        await first.take([vip], inMs(60_000));
        await rig.client.calls.begin(vip);
        await expect.poll(() => rig.client.calls.answered()).toBeGreaterThan(20);
        const holders = [first, second, first] as const;
        for (const [at, from] of holders.slice(0, 2).entries()) {
          const [to, name] = [holders[at + 1] as RigProcess['calls'], at === 0 ? 'n2' : 'n1'];
          await from.silence([vip]);
          expect(await to.take([vip], inMs(60_000))).toEqual(taken([vip]));
          // Although the entry was changed less than a second ago (`locktime`).
          expect(neighbour(vip)).toContain(mac(name));
          await expect.poll(() => rig.client.calls.lastFrom()).toBe(name);
          await from.drop([vip]);
        }
        const report = await rig.client.calls.finish();
        console.log(
          `planned move of ${vip}: longest gap ${report.longestGapMs.toFixed(1)} ms, ${String(report.lost)} lost`,
        );
        expect(report).toMatchObject({ lost: 0, from: ['n1', 'n2', 'n1'] });
        expect(await heard(vip)).toEqual([mac('n1'), mac('n2'), mac('n1')]);
      });
    }

    test('[V10] follows without FFI too: the kernel announces what the gate lets out', async () => {
      const [first, second] = [
        await start('n1', { withoutPackets: true }),
        await start('n2', { withoutPackets: true }),
      ];
      await askFor([]);
      await first.take([vip4], inMs(60_000));
      await rig.client.calls.begin(vip4);
      await expect.poll(() => rig.client.calls.lastFrom()).toBe('n1');
      await first.drop([vip4]);
      expect(await second.take([vip4], inMs(60_000))).toEqual(taken([vip4]));
      await expect.poll(() => neighbour(vip4)).toContain(mac('n2'));
      await expect.poll(() => rig.client.calls.lastFrom()).toBe('n2');
      expect(await rig.client.calls.finish()).toMatchObject({ from: ['n1', 'n2'] });
      expect(await heard(vip4)).toEqual([mac('n1'), mac('n2')]);
    });
  });

  describe('whatever becomes of the holder, nobody else speaks before it has fallen silent for good:', () => {
    /** Of a lease whose holder is not heard of again. */
    const leaseMs = 1200;
    /** What the successor waits for beyond it. */
    const marginMs = 300;
    interface Fault {
      readonly strike: () => void;
      /** When the successor speaks. */
      readonly mend?: () => void;
    }
    const faults: Readonly<Record<string, () => Fault>> = {
      'it does not renew': () => ({ strike: () => undefined }),
      'its process is killed': () => ({ strike: () => nodes[0]?.signal('SIGKILL') }),
      'its process is frozen': () => ({ strike: () => nodes[0]?.signal('SIGSTOP') }),
      'its process is frozen and wakes up late': () => ({
        strike: () => nodes[0]?.signal('SIGSTOP'),
        mend: () => nodes[0]?.signal('SIGCONT'),
      }),
      'its cable is out and in again': () => ({
        strike: () => rig.place('n1').cable('down'),
        mend: () => rig.place('n1').cable('up'),
      }),
    };

    const some = ['its process is killed', 'its process is frozen and wakes up late'];
    test.each(rowsOf(Object.keys(faults), (name) => some.includes(name)))('[V10] %s', async (name) => {
      const [first, second] = [await start('n1'), await start('n2')];
      await first.take(vips, inMs(60_000));
      await rig.client.calls.begin(vip4);
      for (const vip of vips) await expect.poll(() => heard(vip)).toEqual([mac('n1')]);
      await expect.poll(() => rig.client.calls.lastFrom()).toBe('n1');
      const fault = faults[name]?.();
      const deadlineMs = inMs(leaseMs);
      await first.arm(deadlineMs);
      fault?.strike();
      await pause(deadlineMs + marginMs - systemClock.monotonicMs());
      const taking = second.take(vips, inMs(60_000));
      await expect.poll(() => heard(vip4)).toEqual([mac('n1'), mac('n2')]);
      fault?.mend?.();
      expect(await taking).toEqual(taken(vips));
      await expect.poll(() => rig.client.calls.lastFrom()).toBe('n2');
      await pause(500);
      for (const vip of vips) {
        const history = tenures(await rig.observer.calls.spoken(), vip);
        expect(history.map((one) => one.mac)).toEqual([mac('n1'), mac('n2')]);
        expect(history[0]?.untilMs).toBeLessThan(deadlineMs + marginMs);
      }
      const { longestGapMs, from } = await rig.client.calls.finish();
      expect(from).toEqual(['n1', 'n2']);
      console.log(
        `${name}: gap ${longestGapMs.toFixed(0)} ms with a lease of ${String(leaseMs)} ms and a margin of ${String(marginMs)} ms`,
      );
      if (nodes[0]?.hasEnded() === true) await start('n1'); // which tidies up
    });
  });

  test('a takeover is ten frames, then silence', async () => {
    const node = await start('n1');
    await askFor([]);
    await rig.observer.calls.forget();
    await node.take([vip4], inMs(60_000));
    await pause(4000);
    const frames = (await rig.observer.calls.spoken()).filter(({ address }) => address === vip4);
    expect(frames).toHaveLength(10);
    expect(await node.counters()).toMatchObject({ announcements: 10 });
  });
});
