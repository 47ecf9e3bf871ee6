/** From what the unit file says to the probe that asks it. */
import { allOf, anyOf } from './compose.ts';
import { parseTarget, parseTcpAddress, type Address } from './connection.ts';
import { execProbe, type RunToEnd } from './exec.ts';
import { fileProbe } from './file.ts';
import { grpcProbe } from './grpc.ts';
import { httpProbe } from './http.ts';
import type { ListenWatch } from './listen-watch.ts';
import { logProbe, type LogLines } from './log.ts';
import { notifyProbe } from './notify.ts';
import type { NotifySocket } from './notify-port.ts';
import type { ProbeRecipe } from './probe-spec.ts';
import type { Probe } from './probe.ts';
import { ownerCheck, type OwnerCheck } from './socket-owner.ts';
import { connectProbe } from './tcp.ts';

export interface ProbeContext {
  /** Name of the unit, for messages. */
  readonly unit: string;
  /** The generation's sd_notify socket; its messages also wake every other kind of check. */
  readonly notify?: NotifySocket | undefined;
  readonly log: LogLines;
  readonly runToEnd: RunToEnd;
  /** The unit's processes now; empty when it has none of its own. */
  readonly pids: () => readonly number[];
  /** Tells when an address of this machine is listened at; without one its checks only ask from time to time. */
  readonly listening?: ListenWatch | undefined;
  /** An adopted generation that had become ready before: what is heard only once has been heard. */
  readonly wasReady?: boolean | undefined;
  /** Something worth knowing that is no failure. */
  readonly note?: ((text: string) => void) | undefined;
}

/**
 * Makes the probe of a unit's generation.
 *
 * @throws an Error that names the mistake, if `validateProbeSpec` has something to say
 */
export function createProbe(spec: ProbeRecipe, context: ProbeContext): Probe {
  const owner = ownerCheck({ pids: context.pids, note: context.note });
  const probe = build(spec, context, owner);
  return context.notify === undefined || spec.notify === true ? probe : wokenBy(context.notify, probe);
}

function build(spec: ProbeRecipe, context: ProbeContext, owner: OwnerCheck): Probe {
  const { listening } = context;
  if (spec.notify === true) {
    if (context.notify === undefined) throw new Error(`${context.unit}: a notify check needs a notify socket`);
    return notifyProbe(context.notify);
  }
  if (spec.http !== undefined) {
    const { url, body, ...rest } = spec.http;
    return httpProbe({ ...rest, url: new URL(url), body: pattern(body), owner, listening });
  }
  if (spec.https !== undefined) {
    const { url, body, ca, cert, key, serverName, ...rest } = spec.https;
    const tls = { ca, cert, key, serverName };
    return httpProbe({ ...rest, url: new URL(url), body: pattern(body), tls, owner });
  }
  if (spec.tcp !== undefined) return connectProbe(parsed(spec.tcp, parseTcpAddress), { owner, listening });
  if (spec.unix !== undefined) return connectProbe({ kind: 'unix', path: spec.unix }, { owner, listening });
  if (spec.grpc !== undefined) {
    const { address, service, cri, ca, cert, key, serverName } = spec.grpc;
    const withTls = ca !== undefined || cert !== undefined || key !== undefined || serverName !== undefined;
    return grpcProbe({
      address: parsed(address, parseTarget),
      service: service ?? '',
      cri: cri === true,
      ...(withTls ? { tls: { ca, cert, key, serverName } } : {}),
      owner,
      listening,
    });
  }
  if (spec.exec !== undefined) return execProbe(spec.exec, context.runToEnd);
  if (spec.file !== undefined) return fileProbe(spec.file);
  if (spec.log !== undefined) {
    const probe = logProbe(new RegExp(spec.log), context.log);
    // Its line may have been rotated away since.
    return context.wasReady === true ? { describe: probe.describe, check: () => Promise.resolve() } : probe;
  }
  if (spec.all !== undefined) return allOf(spec.all.map((part) => build(part, context, owner)));
  if (spec.any !== undefined) return anyOf(spec.any.map((part) => build(part, context, owner)));
  throw new Error(`${context.unit}: a check needs a kind`);
}

const pattern = (source: string | undefined): RegExp | undefined =>
  source === undefined ? undefined : new RegExp(source);

function parsed(text: string, parse: (text: string) => Address | undefined): Address {
  const address = parse(text);
  if (address === undefined) throw new Error(`"${text}" is not an address`);
  return address;
}

/** READY=1 of some programs only says that they listen: no readiness, but worth a look (design.md, Probes). */
function wokenBy(socket: NotifySocket, probe: Probe): Probe {
  return {
    ...probe,
    onHint(wake) {
      const own = probe.onHint?.(wake);
      const told = socket.subscribe(() => {
        wake('notify');
      });
      return {
        [Symbol.dispose]: () => {
          own?.[Symbol.dispose]();
          told[Symbol.dispose]();
        },
      };
    },
  };
}
