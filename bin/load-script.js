/**
 * Runs a script with V8's code cache, which the build made beside it. Node.js 20 has no compile
 * cache of its own, and compiling is a third of what comes before the first unit starts.
 */
'use strict';
const { readFileSync } = require('node:fs');
const { createRequire } = require('node:module');
const path = require('node:path');
const { setFlagsFromString } = require('node:v8');
const vm = require('node:vm');

// A supervisor's garbage is little and its life long: with a young generation that does not grow
// (from 1 to 16 MB) an `up` holds 10–25 MB less, and every fork has that much less to copy. Set before
// anything is compiled, because a code cache is only taken with the flags that it was made with.
setFlagsFromString('--semi-space-growth-factor=1');
// The old generation is collected when it has grown by this share since the last time, not when it is
// three or four times as large: after 2000 restarts of a unit, of which 8192 events are kept, an `up`
// holds 92 MB instead of 88 to 142, and collects some milliseconds once in 150 restarts.
setFlagsFromString('--heap-growing-percent=30');

/**
 * @param file - as scripts/build.mjs makes it: one function in the manner of CommonJS, in ASCII
 * @returns the vm.Script, after it has run; `cachedDataRejected` when the cache is of another Node.js
 */
exports.loadScript = function loadScript(file) {
  // Not as UTF-8: Latin-1 is taken as it is, outside of V8's heap.
  const source = readFileSync(file, 'latin1');
  let cachedData;
  try {
    cachedData = readFileSync(`${file}.cache`);
  } catch {
    // Not made yet: it is compiled as any other script.
  }
  const script = new vm.Script(source, { filename: file, cachedData });
  const module = { exports: {} };
  script.runInThisContext()(module.exports, createRequire(file), module, file, path.dirname(file));
  return script;
};
