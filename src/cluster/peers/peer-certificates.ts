/** The certificates by which a node asks others for heartbeats and answers theirs, as they lie on its disk. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { sleep, type Clock } from '../../kernel/clock.ts';
import type { TlsFiles } from '../../probe/tls.ts';
import type { ServingFiles } from './heartbeat-server.ts';

/** How often the certificate on disk is compared. They are renewed weeks before their end. */
const renewalEveryMs = 60_000;

interface KeepRenewedOptions {
  /** The folder of keys and certificates of this node. */
  readonly tls: string;
  readonly clock: Clock;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
}

/** What this node asks with. */
export const ownFiles = (tls: string): TlsFiles => ({
  ca: path.join(tls, 'server-ca.crt'),
  cert: path.join(tls, 'client-kubelet.crt'),
  key: path.join(tls, 'client-kubelet.key'),
});

/** What it answers with. @throws what reading fails with */
export async function servingFiles(tls: string): Promise<ServingFiles> {
  const read = (name: string) => readFile(path.join(tls, name), 'utf8');
  const [cert, key, ca] = await Promise.all([
    read('serving-kubelet.crt'),
    read('serving-kubelet.key'),
    read('client-ca.crt'),
  ]);
  return { cert, key, ca };
}

/** Runs until `signal` aborts, and then rejects with its reason. */
export async function keepRenewed(
  { tls, clock, log, signal }: KeepRenewedOptions,
  first: ServingFiles,
  renew: (files: ServingFiles) => void,
): Promise<never> {
  let before = JSON.stringify(first);
  for (;;) {
    await sleep(clock, renewalEveryMs, signal);
    try {
      const files = await servingFiles(tls);
      const text = JSON.stringify(files);
      if (text === before) continue;
      renew(files);
      before = text;
      log('its certificate was renewed');
    } catch (error) {
      log(`cannot take a renewed certificate over: ${String(error)}`);
    }
  }
}
