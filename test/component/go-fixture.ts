/** A Go module that builds in a second: a multi-call binary with one link, like the real one. */
import { randomUUID } from 'node:crypto';
import { chmodSync, readFileSync } from 'node:fs';
import { findGo } from '../../src/component/go-toolchain.ts';
import type { Artefact } from '../../src/component/manifest.ts';
import { temporaryFolder } from './temporary.ts';

const program = (name: string) => ({
  name,
  role: 'tool' as const,
  version: { args: ['--version'], pattern: new RegExp(`${name} v(\\S+)`) },
  rule: { kind: 'any' as const },
  builds: '1.2.3',
});

export const hello: Artefact = {
  name: 'hello',
  module: 'hello',
  packages: ['.'],
  output: 'hello',
  links: ['hola'],
  ldflags: ['-s', '-w', '-X main.version=1.2.3'],
  coldSeconds: 2,
  programs: [program('hello'), program('hola')],
};

export const helloSource = (salt: string) => `package main

import (
	"os"
	"path/filepath"
)

var version = "unknown"

const salt = "${salt}"

func main() { os.Stdout.WriteString(filepath.Base(os.Args[0]) + " v" + version + "\\n") }
`;

/** Folders for one test: modules, an empty cache, and a `go` that counts how often it builds. */
export function goFixture() {
  const folder = temporaryFolder();
  folder.write('modules/hello/go.mod', 'module k3s-lite.test/hello\n\ngo 1.21\n');
  // The salt makes Go compile: its own cache must not make the build instant.
  folder.write('modules/hello/main.go', helloSource(randomUUID()));
  const counts = folder.write('builds', '');
  const go = folder.write(
    'go',
    `#!/bin/sh\n[ "$1" = build ] && echo build >> '${counts}'\nexec '${findGo(process.env)}' "$@"\n`,
  );
  chmodSync(go, 0o755);
  return {
    folder,
    options: {
      env: process.env,
      artefacts: [hello],
      cache: `${folder.path}/cache`,
      modules: `${folder.path}/modules`,
      go,
    },
    buildCount: () => readFileSync(counts, 'utf8').split('\n').length - 1,
    [Symbol.dispose]: () => {
      folder[Symbol.dispose]();
    },
  };
}
