/**
 * What a probe is made from. The unit file's own schema (unit/) has the same shape and is checked
 * against this one in a test: this room may not know the unit room.
 */
import { parseTarget, parseTcpAddress } from './connection.ts';
import type { TlsFiles } from './tls.ts';
import { messageOf } from '../kernel/message-of.ts';

export interface HttpRecipe {
  readonly url: string;
  readonly status?: number | undefined;
  readonly body?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly exclude?: readonly string[] | undefined;
}

export interface GrpcRecipe extends TlsFiles {
  readonly address: string;
  readonly service?: string | undefined;
  readonly cri?: boolean | undefined;
}

/** Exactly one key is set. */
export interface ProbeRecipe {
  readonly notify?: true | undefined;
  readonly http?: HttpRecipe | undefined;
  readonly https?: (HttpRecipe & TlsFiles) | undefined;
  readonly tcp?: string | undefined;
  readonly unix?: string | undefined;
  readonly grpc?: GrpcRecipe | undefined;
  readonly exec?: readonly string[] | undefined;
  readonly file?: string | undefined;
  readonly log?: string | undefined;
  readonly all?: readonly ProbeRecipe[] | undefined;
  readonly any?: readonly ProbeRecipe[] | undefined;
}

/** True if a check of this kind is the recipe or a part of it. */
export function hasKind(recipe: ProbeRecipe | undefined, kind: 'notify' | 'log'): boolean {
  if (recipe === undefined) return false;
  return (
    recipe[kind] !== undefined || [...(recipe.all ?? []), ...(recipe.any ?? [])].some((part) => hasKind(part, kind))
  );
}

/** Mistakes that the schema cannot see (URLs, addresses, regular expressions), one line each; empty when there are none. */
export function validateProbeSpec(spec: ProbeRecipe): string[] {
  return [
    ...urlMistakes('http', spec.http),
    ...urlMistakes('https', spec.https),
    ...tlsMistakes('https', spec.https),
    ...tlsMistakes('grpc', spec.grpc),
    ...(spec.tcp !== undefined && parseTcpAddress(spec.tcp) === undefined
      ? [`tcp: "${spec.tcp}" is not host:port, like 127.0.0.1:2379`]
      : []),
    ...(spec.unix?.startsWith('/') === false ? [`unix: "${spec.unix}" is not an absolute path`] : []),
    ...(spec.file?.startsWith('/') === false ? [`file: "${spec.file}" is not an absolute path`] : []),
    ...(spec.grpc !== undefined && parseTarget(spec.grpc.address) === undefined
      ? [`grpc: "${spec.grpc.address}" is neither host:port nor unix:///path`]
      : []),
    ...regexMistakes('log', spec.log),
    ...(spec.all ?? []).flatMap(validateProbeSpec).map((mistake) => `all: ${mistake}`),
    ...(spec.any ?? []).flatMap(validateProbeSpec).map((mistake) => `any: ${mistake}`),
  ];
}

function urlMistakes(scheme: 'http' | 'https', recipe: HttpRecipe | undefined): string[] {
  if (recipe === undefined) return [];
  const mistakes = regexMistakes(`${scheme}: body`, recipe.body);
  if (!URL.canParse(recipe.url)) {
    mistakes.push(`${scheme}: "${recipe.url}" is not a URL, like ${scheme}://127.0.0.1:8080/health`);
  } else if (new URL(recipe.url).protocol !== `${scheme}:`) {
    mistakes.push(`${scheme}: "${recipe.url}" does not begin with ${scheme}://`);
  }
  return mistakes;
}

function tlsMistakes(kind: string, files: TlsFiles | undefined): string[] {
  if (files === undefined || (files.cert === undefined) === (files.key === undefined)) return [];
  return [`${kind}: \`cert\` and \`key\` belong together`];
}

function regexMistakes(place: string, source: string | undefined): string[] {
  if (source === undefined) return [];
  try {
    new RegExp(source);
    return [];
  } catch (error) {
    return [`${place}: ${messageOf(error)}`];
  }
}
