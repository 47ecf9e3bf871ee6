/** What README.md shows, taken out of it as printed: code blocks by section. */
import { readFileSync } from 'node:fs';
import path from 'node:path';

export interface Block {
  /** Word behind the opening fence; empty without one. */
  readonly language: string;
  readonly text: string;
}

const readmeFile = path.resolve(import.meta.dirname, '../../README.md');

/** The fenced blocks below a heading, up to the next heading of the same level. */
export function blocksOf(heading: string, markdown = readFileSync(readmeFile, 'utf8')): readonly Block[] {
  const [, section] = markdown.split(`\n## ${heading}\n`);
  if (section === undefined) throw new Error(`README.md has no section "${heading}"`);
  const [body = ''] = section.split(/\n## /);
  return [...body.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(([, language = '', text = '']) => ({ language, text }));
}

/** Blocks whose first line is a comment that names a file, by that name. */
export function filesOf(blocks: readonly Block[]): ReadonlyMap<string, string> {
  return new Map(
    blocks.flatMap(({ text }) => {
      const [, name] = /^(?:#|\/\/) ([\w./@-]+\.\w+)\n/.exec(text) ?? [];
      return name === undefined ? [] : [[name, text] as const];
    }),
  );
}

/** The lines of `console` blocks as words; there is no shell, so a quoted word would be a mistake here. */
export function commandsOf(blocks: readonly Block[]): readonly (readonly string[])[] {
  return blocks
    .filter(({ language }) => language === 'console')
    .flatMap(({ text }) => text.trimEnd().split('\n'))
    .map((line) => line.replace(/ +#.*$/, '').split(' '));
}
