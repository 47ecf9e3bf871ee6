/**
 * Preloaded into a process of the rig: its wall clock is ahead of this machine's by so many milliseconds
 * as a file says. The file is read again and again: a clock may be set while the process runs.
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
