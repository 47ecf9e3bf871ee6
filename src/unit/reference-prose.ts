/** The part of docs/unit-reference.md that no schema can tell. Held true by the tests of test/unit. */

export const introduction = `A unit file describes one thing that has to be brought up. It is YAML, one unit a file, named after the unit:
\`etcd.yaml\` is the unit \`etcd\`. \`k3s-lite check DIR\` tells every mistake with its place. For completion in an editor begin
the file with \`# yaml-language-server: $schema=./unit.schema.json\`.

\`\`\`yaml
about: The shop's API
run: [./api, --port, "8080"]
needs:
  - hard: database
  - soft: cache
    maxWait: 5s
  - parallel: metrics
ready: {http: {url: "http://127.0.0.1:8080/healthz"}}
claims: {ports: [8080]}
\`\`\`
`;

export const edges = `Each entry of \`needs\` has one of \`hard\`, \`soft\`, \`parallel\` with the name of the other unit, then the options of that kind.

| | hard | soft | parallel |
|---|---|---|---|
| brought in with this unit | yes | yes | yes |
| this unit waits | until the other is ready (or \`until: started\`) | until it is ready or failed, at most \`maxWait\` | never |
| the other cannot start | this unit is \`blocked\`, and starts by itself when the other recovers | it starts, marked degraded | it starts, marked degraded |
| the other exits while both are up | \`onLoss\`: keep, restart or stop this unit | nothing | nothing |
| the other is left out (\`--disable\`) | an error | the edge is dropped | the edge is dropped |
| stop order | this unit first | this unit first | any |

Hard and soft edges must not form a cycle. A soft edge with \`maxWait: 0s\` waits for nothing and only orders the stop.
`;

export const layers = `## Templates

\`web@.yaml\` is a template. An edge to \`web@one\`, or that name on the command line, makes the unit \`web@one\` from it, with
\`\${instance}\` being \`one\`. A file \`web@one.yaml\` replaces the template for that instance.

## Several folders

With \`--units A --units B\` the units of B are added to those of A; one of the same name replaces A's file as a whole.

## Drop-ins

To change a part of a unit, lay a file over it: \`units.d/<unit>/*.yaml\` in the configuration folder. The files of one folder are
laid over in the order of their names (by code unit, the same in every locale); drop-ins of a template come before those of its
instance; flags of the command line such as \`--etcd-arg\` come last. A drop-in holds only what it changes:

- Maps (\`flags\`, \`env\`, \`restart\`, …) merge by key; \`null\` removes a key.
- \`needs\` merges by target: an edge takes the place of the one to the same unit, an edge to another unit is appended, and
  \`- without: UNIT\` removes one.
- \`ready\` and \`health\` merge like maps, but one that names another check replaces the check below.
- Everything else is replaced, lists (\`run\`, \`undo\`, \`claims.ports\`) as a whole.

\`\`\`yaml
# units.d/etcd/10-small.yaml
flags: {quota-backend-bytes: "2147483648", log-level: null}
needs:
  - soft: disk-check
\`\`\`
`;

export const variablesText = `\`\${name}\` is replaced in every text of a unit file, after the YAML is read and before the value is checked. The result is
always text, so a key that wants a number cannot be a variable (\`claims.ports\` takes text too). Keys of maps are left alone.
\`$\${\` writes \`\${\`. An unknown name is an error. Inside \`[…]\` and \`{…}\` put quotes around it.
`;

export const limitsText = `A unit file is UTF-8, at most 256 KiB, one document, nested at most 32 deep. Anchors, aliases and tags are refused, and so are
keys written twice. Values that look like numbers or \`true\` stay such: text that does (\`"2379"\`, \`"true"\`) needs quotes.
Files whose names begin with a dot or do not end in \`.yaml\` are not read.
`;
