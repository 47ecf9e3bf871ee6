/** An actuator over programs that fail where the test says so. On a real kernel: test/cluster/vip-actuator.test.ts. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createActuator } from '../../../src/vip/actuate/create-actuator.ts';
import { noGate } from '../../../src/vip/actuate/gate-rules.ts';
import type { RunProgram } from '../../../src/vip/actuate/kernel-network.ts';
import { fakeClock } from '../../kit/fake-clock.ts';

const never = new AbortController().signal;
const left = '10.98.0.50';
const journal = JSON.stringify({ addresses: [{ address: left, interface: 'eth0' }] });

describe('an earlier process has left an address behind, and its gate', () => {
  let stateDir: string;
  beforeEach(() => {
    stateDir = mkdtempSync(path.join(tmpdir(), 'vip-actuator-'));
    writeFileSync(path.join(stateDir, 'addresses.json'), journal);
  });
  afterEach(() => rmSync(stateDir, { recursive: true }));

  /** `fails`: the program that does, by its first words. */
  function machine(fails?: string) {
    const clock = fakeClock();
    let addresses = [left];
    /** What `nft` and `ip` were given to do. */
    const done: string[] = [];
    const run: RunProgram = ({ argv, input }) => {
      const isOk = fails === undefined || !argv.join(' ').startsWith(fails);
      if (isOk && input !== undefined) done.push(input);
      if (isOk && argv[0] === 'ip' && input?.includes('del') === true) addresses = [];
      const link = { ifindex: 2, ifname: 'eth0', flags: ['UP', 'LOWER_UP'], link_type: 'ether' };
      const shown = addresses.map((local) => ({ local, prefixlen: 32 }));
      const stdout = JSON.stringify(
        argv[0] === 'ip' ? [{ ...link, address: '02:98:00:00:00:0b', addr_info: shown }] : { nftables: [] },
      );
      const exit = { kind: 'code', code: isOk ? 0 : 1 } as const;
      return Promise.resolve({ exit, stdout, stderr: isOk ? '' : 'refused' });
    };
    const options = { clock, random: () => 0.5, run, stateDir, openLink: undefined, onSighting: () => undefined };
    return { clock, done, actuator: createActuator(options) };
  }
  const journalNow = () => readFileSync(path.join(stateDir, 'addresses.json'), 'utf8');

  test.each([
    ['the addresses cannot be read', 'ip -json'],
    ['the gate cannot be taken over', 'nft -f'],
    ['an address cannot be removed', 'ip -force'],
  ])('[V10] when %s, it stays guarded: by that gate or by ours', async (_why, fails) => {
    const { clock, done, actuator } = machine(fails);
    await expect(actuator.cleanUp(never)).rejects.toThrow();
    const before = [...done];
    await actuator[Symbol.asyncDispose]();
    expect(done).toEqual(before);
    expect(done).not.toContain(noGate({ hasEgress: true }));
    expect(journalNow()).toBe(journal);
    expect(clock.pendingTimers).toBe(0);
  });

  test('[V10] one that never cleaned up changes nothing as it ends', async () => {
    const { done, actuator } = machine();
    await actuator[Symbol.asyncDispose]();
    expect([done, journalNow()]).toEqual([[], journal]);
  });

  test('one that has cleaned up takes its gate away as it ends', async () => {
    const { done, actuator } = machine();
    expect(await actuator.cleanUp(never)).toEqual([left]);
    await actuator[Symbol.asyncDispose]();
    expect(done.at(-1)).toBe(noGate({ hasEgress: true }));
  });
});
