/**
 * Members of etcd on this machine as processes of a test: with TLS by our own certificates, each with
 * a data directory and ports of its own. Disposing kills them and removes everything.
 *
 *   m1 ─┐
 *   m2 ─┼─ client, peer and metrics port each, on 127.0.0.1
 *   m3 ─┘
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ensureCertificates } from '../../../src/cluster/certificates.ts';
import { etcdClient, type EtcdClient } from '../../../src/cluster/etcd/etcd-client.ts';
import { layoutOf } from '../../../src/cluster/layout.ts';
import { resolveSettings, type Settings } from '../../../src/cluster/settings.ts';
import { findComponents } from '../../../src/component/find.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import type { TlsFiles } from '../../../src/probe/tls.ts';
import { freePorts } from './free-ports.ts';

export interface EtcdMemberProcess {
  readonly name: string;
  readonly clientUrl: string;
  readonly peerUrl: string;
  readonly metricsUrl: string;
  readonly dataDir: string;
  readonly pid: number;
  /** Starts it as one of these members, which all are new or all are there already. */
  start(members: readonly EtcdMemberProcess[], state?: 'new' | 'existing', ...flags: readonly string[]): void;
  /** Starts it on the data that it has. */
  restart(...flags: readonly string[]): void;
  signal(name: NodeJS.Signals): void;
  /** A signal, and then its end. */
  end(name?: NodeJS.Signals): Promise<void>;
  log(): string;
}

export interface EtcdMembers extends AsyncDisposable {
  readonly folder: string;
  /** etcd, etcdutl. */
  readonly program: (name: 'etcd' | 'etcdutl') => string;
  readonly tls: TlsFiles;
  readonly members: readonly EtcdMemberProcess[];
  member(at: number): EtcdMemberProcess;
  client(members?: readonly Pick<EtcdMemberProcess, 'clientUrl'>[], requestMs?: number): EtcdClient;
  /** Resolves when a quorum answers. */
  ready(client?: EtcdClient): Promise<void>;
}

export interface EtcdMembersOptions {
  /** Where the data directories of members are made. Default: a folder that is removed with them. */
  readonly dataBase?: string;
  /** The first member is on a data directory of k3s-lite, with its certificates and ports. */
  readonly of?: { readonly settings: Settings };
}

/** None of them is started. @throws an Error that says how to get etcd */
export async function etcdMembers(count: number, { dataBase, of }: EtcdMembersOptions = {}): Promise<EtcdMembers> {
  const report = await findComponents({ env: process.env });
  const program = (name: string) => {
    const found = report.programs.find((each) => each.program === name);
    if (found?.status !== 'found') {
      throw new Error('the components are not built: run `node bin/k3s-lite.js components build`');
    }
    return found.path;
  };
  program('etcd');
  const folder = mkdtempSync(path.join(tmpdir(), 'k3s-lite-etcd-'));
  const settings =
    of?.settings ??
    resolveSettings({ nodeName: 'm1' }, { dataDir: folder, runDir: path.join(folder, 'run'), searchPath: [] });
  await ensureCertificates(settings, systemClock);
  const etcdTls = path.join(layoutOf(settings).serverTls, 'etcd');
  const tls = { ca: `${etcdTls}/ca.crt`, cert: `${etcdTls}/client.crt`, key: `${etcdTls}/client.key` };
  const free = await freePorts(3 * count);
  const { etcdClientPort, etcdPeerPort, etcdMetricsPort } = settings;
  const ports = of === undefined ? free : [etcdClientPort, etcdPeerPort, etcdMetricsPort, ...free];
  const members = Array.from({ length: count }, (_, at) =>
    memberProcess({
      name: `m${String(at + 1)}`,
      program: program('etcd'),
      ports: ports.slice(3 * at, 3 * at + 3),
      folder,
      dataDir:
        of !== undefined && at === 0
          ? layoutOf(settings).etcdData
          : path.join(dataBase ?? folder, `m${String(at + 1)}`),
      etcdTls,
    }),
  );
  const client = (of: readonly Pick<EtcdMemberProcess, 'clientUrl'>[] = members, requestMs?: number) =>
    etcdClient({
      endpoints: of.map(({ clientUrl }) => clientUrl),
      ...{ tls, clock: systemClock },
      ...(requestMs === undefined ? {} : { requestMs }),
    });
  return {
    folder,
    program,
    tls,
    members,
    member(at) {
      const found = members[at];
      if (found === undefined) throw new Error(`there is no member ${String(at)}`);
      return found;
    },
    client,
    async ready(asked = client()) {
      const signal = AbortSignal.timeout(30_000);
      for (;;) {
        try {
          await asked.put('ready', 'yes', signal);
          return;
        } catch (error) {
          if (signal.aborted) throw error;
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
      }
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(members.map((member) => member.end('SIGKILL')));
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

interface MemberPlace {
  readonly name: string;
  readonly program: string;
  /** Of clients, of peers, of metrics. */
  readonly ports: readonly number[];
  readonly folder: string;
  readonly dataDir: string;
  readonly etcdTls: string;
}

function memberProcess({ name, program, ports, folder, dataDir, etcdTls }: MemberPlace): EtcdMemberProcess {
  const [clientUrl = '', peerUrl = ''] = ports.map((port) => `https://127.0.0.1:${String(port)}`);
  const metricsUrl = `http://127.0.0.1:${String(ports[2])}`;
  const logFile = path.join(folder, `${name}.log`);
  let child: ChildProcess | undefined;
  const run = (flags: readonly string[]) => {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    const log = openSync(logFile, 'a', 0o600);
    child = spawn(
      program,
      [
        ...[`--name=${name}`, `--data-dir=${dataDir}`, '--log-level=warn'],
        ...[`--listen-client-urls=${clientUrl}`, `--advertise-client-urls=${clientUrl}`],
        ...[`--listen-peer-urls=${peerUrl}`, `--initial-advertise-peer-urls=${peerUrl}`],
        `--listen-metrics-urls=${metricsUrl}`,
        ...['--client-cert-auth', `--trusted-ca-file=${etcdTls}/ca.crt`],
        ...[`--cert-file=${etcdTls}/server.crt`, `--key-file=${etcdTls}/server.key`],
        ...['--peer-client-cert-auth', `--peer-trusted-ca-file=${etcdTls}/ca.crt`],
        ...[`--peer-cert-file=${etcdTls}/peer.crt`, `--peer-key-file=${etcdTls}/peer.key`],
        ...['--heartbeat-interval=100', '--election-timeout=1000'],
        ...flags,
      ],
      { stdio: ['ignore', log, log] },
    );
    closeSync(log);
  };
  return {
    ...{ name, clientUrl, peerUrl, metricsUrl, dataDir },
    get pid() {
      return child?.pid ?? 0;
    },
    start(members, state = 'new', ...flags) {
      const cluster = members.map((member) => `${member.name}=${member.peerUrl}`).join(',');
      run([`--initial-cluster=${cluster}`, `--initial-cluster-state=${state}`, ...flags]);
    },
    restart: (...flags) => run(flags),
    signal: (signal) => void child?.kill(signal),
    async end(signal = 'SIGTERM') {
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
      const ended = new Promise((resolve) => child?.once('exit', resolve));
      child.kill(signal);
      await ended;
    },
    log: () => readFileSync(logFile, 'utf8'),
  };
}
