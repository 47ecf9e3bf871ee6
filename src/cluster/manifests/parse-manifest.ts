/**
 * The objects of one file of `<dataDir>/server/manifests`: YAML documents or JSON, lists unfolded.
 * A file with a mistake gives none of its objects: half a file is not what somebody meant.
 */
import { isMap, isScalar, LineCounter, parseAllDocuments, type Document, type Node } from 'yaml';
import * as z from 'zod';
import { messageOf } from '../../kernel/message-of.ts';

/** What identifies an object. `namespace` is absent when the file says none. */
export interface ObjectRef {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace?: string | undefined;
  readonly name: string;
}

export interface ManifestObject {
  readonly ref: ObjectRef;
  readonly body: { readonly metadata: Readonly<Record<string, unknown>> } & Readonly<Record<string, unknown>>;
  /** Where it begins in its file, from 1. */
  readonly line: number;
}

export interface ManifestMistake {
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

export type ParsedManifest =
  | { readonly objects: readonly ManifestObject[]; readonly mistakes?: never }
  | { readonly objects?: never; readonly mistakes: readonly ManifestMistake[] };

/** Mistakes beyond these in one file are mostly consequences of the first. */
const maxMistakes = 3;

const objectSchema = z.looseObject({
  apiVersion: z.string().min(1),
  kind: z.string().min(1),
  metadata: z.looseObject({ name: z.string().min(1), namespace: z.string().min(1).optional() }),
});
/** Source: `kubectl get -o yaml` of several objects. */
const listSchema = z.looseObject({ apiVersion: z.literal('v1'), kind: z.literal('List'), items: z.array(z.unknown()) });

export function parseManifest(text: string): ParsedManifest {
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, logLevel: 'error' });
  const placeOf = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  if (!Array.isArray(documents)) return { objects: [] };
  const mistakes: ManifestMistake[] = documents.flatMap(({ errors }) =>
    errors.map(({ message, pos: [from] }) => ({ ...placeOf(from), message: firstLine(message) })),
  );
  const objects: ManifestObject[] = [];
  for (const document of mistakes.length > 0 ? [] : documents) {
    const offset = startOf(document);
    let content: unknown;
    try {
      content = document.toJS();
    } catch (error) {
      // An alias of an anchor that is not there, or far too many of them.
      mistakes.push({ ...placeOf(offset), message: messageOf(error) });
      continue;
    }
    if (content === null || content === undefined) continue;
    const list = listSchema.safeParse(content);
    for (const item of list.success ? list.data.items : [content]) {
      const parsed = objectSchema.safeParse(item);
      if (!parsed.success) {
        mistakes.push({ ...placeOf(offset), message: wordsOf(parsed.error) });
        continue;
      }
      const { apiVersion, kind, metadata } = parsed.data;
      const ref = { apiVersion, kind, name: metadata.name, namespace: metadata.namespace };
      objects.push({ ref, body: parsed.data, line: placeOf(offset).line });
    }
  }
  return mistakes.length > 0 ? { mistakes: mistakes.slice(0, maxMistakes) } : { objects };
}

const firstLine = (message: string): string => message.split('\n')[0] ?? message;

/** Of the first key, not of a comment above it. */
function startOf({ contents, range }: Document): number {
  const key: unknown = isMap(contents) ? contents.items[0]?.key : undefined;
  const node: Node | null = isScalar(key) ? key : contents;
  return node?.range?.[0] ?? range?.[0] ?? 0;
}

function wordsOf({ issues: [issue] }: z.ZodError): string {
  const key = issue?.path.join('.') ?? '';
  if (key === '') return 'this is no Kubernetes object: apiVersion, kind and metadata.name are expected';
  return `${key} is missing or no text; every object needs apiVersion, kind and metadata.name`;
}

/** "ConfigMap shop/settings" */
export function nameOf({ kind, namespace, name }: ObjectRef): string {
  return `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`;
}

/** Equal for the same object. Without a namespace one is in `default`, or in none at all, which is the same here. */
export function keyOf({ apiVersion, kind, namespace = 'default', name }: ObjectRef): string {
  // The version is left out: apps/v1 and apps/v2 are two views of one object.
  const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : '';
  return [group, kind, namespace, name].join('\0');
}
