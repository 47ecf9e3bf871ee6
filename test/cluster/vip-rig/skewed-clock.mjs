/**
 * Preloaded into a process of the rig: its wall clock is ahead of this machine's by so many milliseconds
 * as a file says. The file is read again and again: a clock may be set while the process runs.
 *
 * The kernel's is this machine's, so that a time which the process writes for it is moved back by as much.
 */
import { readFileSync } from 'node:fs';

const lookEveryMs = 20;
const RealDate = globalThis.Date;
const file = process.env.RIG_CLOCK_FILE;
let aheadMs = 0;
const look = () => {
  aheadMs = Number(readFileSync(file, 'utf8'));
};
look();
setInterval(look, lookEveryMs).unref();

const now = () => RealDate.now() + aheadMs;
globalThis.Date = new Proxy(RealDate, {
  get: (target, key) => (key === 'now' ? now : Reflect.get(target, key)),
  construct: (target, args, made) => Reflect.construct(target, args.length === 0 ? [now()] : args, made),
});

/** Nothing else that is written as such a number is as large: nanoseconds since 1970, after 2001. */
const leastWallNs = 10n ** 18n;
const write = Buffer.prototype.writeBigUInt64BE;
Buffer.prototype.writeBigUInt64BE = function (value, ...more) {
  return write.call(this, value > leastWallNs ? value - BigInt(aheadMs) * 1_000_000n : value, ...more);
};
