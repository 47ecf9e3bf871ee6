/**
 * What the main thread and the thread of the node's Lease tell each other. Each side parses what the other
 * says: between them there is a clone of a value, and no type.
 */
import * as z from 'zod';
import { errorClasses } from '../coordination/error-class.ts';
import { leaseStateIds } from '../coordination/lease-model.ts';

const notes = z.record(z.string(), z.string());
const address = z.union([z.ipv4(), z.ipv6()]);
/** Also one that is infinitely far. */
const time = z.custom<number>((value) => typeof value === 'number' && !Number.isNaN(value));
const name = z.string().min(1);

/** What the gate is to be, but for the time until which it may be open: that only the Lease's thread knows. */
const wishedGate = z.object({
  guarded: z.array(address).readonly(),
  open: z.array(z.object({ address, interface: name })).readonly(),
  interfaces: z.array(z.object({ name, index: z.number() })).readonly(),
});
export type WishedGate = z.infer<typeof wishedGate>;

/** What the thread is started with. */
export const threadStart = z.object({ kubeconfig: name, namespace: name });
export type ThreadStart = z.infer<typeof threadStart>;

const rules = z.object({
  lease: name,
  identity: name,
  ownEarlier: z.set(z.string()),
  timing: z.object({
    leaseDurationMs: z.number(),
    renewDeadlineMs: z.number(),
    retryPeriodMs: z.number(),
    withdrawMs: z.number(),
    timerErrorMs: z.number(),
    driftRate: z.number(),
    marginMs: z.number(),
    graceMs: z.number(),
    callMs: z.number(),
  }),
  isWatched: z.boolean(),
  coolDownMs: z.number(),
});

export const toThread = z.discriminatedUnion('type', [
  /** Once, before anything else of the Lease. */
  z.object({ type: z.literal('hold'), rules }),
  z.object({ type: z.literal('want') }),
  z.object({ type: z.literal('stop') }),
  z.object({ type: z.literal('withdrawn'), tenure: z.number() }),
  z.object({ type: z.literal('publish'), notes }),
  /** The main thread runs: without it nobody would withdraw an address that is revoked. */
  z.object({ type: z.literal('alive') }),
  z.object({
    type: z.literal('gate'),
    call: z.number(),
    what: z.enum(['begin', 'write', 'mend', 'end']),
    wished: wishedGate,
  }),
]);
export type ToThread = z.infer<typeof toThread>;

const event = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('vip.lease'),
    lease: z.string(),
    from: z.enum(leaseStateIds),
    to: z.enum(leaseStateIds),
    reason: z.string(),
  }),
  z.object({
    type: z.literal('vip.retry'),
    lease: z.string(),
    class: z.enum(errorClasses),
    attempts: z.number(),
    text: z.string(),
    inMs: time,
    leftMs: time,
  }),
  z.object({ type: z.literal('vip.actuator-failed'), at: z.string(), reason: z.string() }),
]);

export const fromThread = z.discriminatedUnion('type', [
  z.object({ type: z.literal('allow'), tenure: z.number(), deadlineMs: z.number() }),
  z.object({ type: z.literal('withdraw'), tenure: z.number(), reason: z.string() }),
  z.object({ type: z.literal('stopped') }),
  /** The thread runs: what it says beside that may be far apart. */
  z.object({ type: z.literal('alive') }),
  z.object({ type: z.literal('gate'), call: z.number(), fault: z.string().optional() }),
  z.object({ type: z.literal('event'), event }),
]);
export type FromThread = z.infer<typeof fromThread>;
