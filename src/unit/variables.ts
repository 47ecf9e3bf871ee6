/**
 * `${name}` in unit files. Variables are expanded in every string value, after the YAML is read
 * and before the schema looks at it, and only inside strings: the result is always a string, so a
 * value never changes its type by what a variable holds. Keys are left alone. `$${` writes `${`.
 */
import { nearestName } from '../kernel/nearest.ts';

export interface Variable {
  readonly value: string;
  readonly about: string;
}
export type VariableTable = Readonly<Record<string, Variable>>;

export type Path = readonly (string | number)[];

/** A `${…}` that has no value. */
export interface VariableProblem {
  readonly path: Path;
  /** The text as written, to underline it. */
  readonly token: string;
  readonly message: string;
  readonly hint?: string;
}

/** Deepest nesting of a unit file. The schema needs 8; `all` and `any` may nest. */
export const maxDepth = 32;

const reference = /\$\$\{|\$\{([^}]*)(\}?)/g;

/**
 * `value` with the variables of all its strings expanded. What cannot be expanded is left as it
 * is and told to `report`.
 */
export function expandVariables(
  value: unknown,
  variables: VariableTable,
  report: (problem: VariableProblem) => void,
): unknown {
  const visit = (node: unknown, path: Path): unknown => {
    if (typeof node === 'string') return node.includes('${') ? expandText(node, path) : node;
    if (Array.isArray(node)) return node.map((item, index) => visit(item, [...path, index]));
    if (typeof node === 'object' && node !== null) {
      return Object.fromEntries(Object.entries(node).map(([key, item]) => [key, visit(item, [...path, key])]));
    }
    return node;
  };

  const expandText = (text: string, path: Path) =>
    text.replace(reference, (token: string, name: string | undefined, end: string | undefined) => {
      if (name === undefined) return '${';
      if (end === '') {
        report({ path, token, message: `"${token}" has no closing brace`, hint: 'write $${ for the text ${' });
        return token;
      }
      if (Object.hasOwn(variables, name)) return variables[name]?.value ?? '';
      report({ path, token, message: `unknown variable "${name}"`, ...hintFor(name, variables) });
      return token;
    });

  return visit(value, []);
}

function hintFor(name: string, variables: VariableTable): { hint?: string } {
  if (name === 'instance') return { hint: 'only a template, a file named name@.yaml, has ${instance}' };
  const near = nearestName(name, Object.keys(variables));
  if (near !== undefined) return { hint: `did you mean "\${${near}}"?` };
  return {
    hint: 'the unit reference lists all variables, those of the environment are not among them; write $${ for the text ${',
  };
}
