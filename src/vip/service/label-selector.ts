/** Selectors of labels as kubectl takes them: "a=b,c!=d,e in (x,y),f notin (z),g,!h". Pure. */

export type LabelSelector = (labels: Readonly<Record<string, string>>) => boolean;

const name = String.raw`[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?`;
const requirement = new RegExp(
  String.raw`^(?:(?<key>${name})\s*(?:(?<op>==?|!=)\s*(?<value>[-A-Za-z0-9_.]*)|(?<set>in|notin)\s*\((?<list>[^()]*)\))?|!\s*(?<absent>${name}))$`,
);

/** @throws RangeError that names the part that is none */
export function parseLabelSelector(text: string): LabelSelector {
  // Commas within parentheses are of a set.
  const parts = text.split(/,(?![^(]*\))/).map((part) => part.trim());
  const tests = parts.filter((part) => part !== '').map(testOf);
  return (labels) => tests.every((test) => test(labels));
}

function testOf(part: string): LabelSelector {
  const groups = requirement.exec(part)?.groups;
  if (groups === undefined)
    throw new RangeError(`"${part}" is no selector, like zone=a, zone!=b, zone in (a,b) or !slow`);
  const { key = '', op, value = '', set, list = '', absent } = groups;
  if (absent !== undefined) return (labels) => !Object.hasOwn(labels, absent);
  if (set !== undefined) {
    const values = new Set(list.split(',').map((each) => each.trim()));
    return (labels) => values.has(labels[key] ?? '\0') === (set === 'in');
  }
  if (op === undefined) return (labels) => Object.hasOwn(labels, key);
  return op === '!=' ? (labels) => labels[key] !== value : (labels) => labels[key] === value;
}
