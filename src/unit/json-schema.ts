/** The JSON Schema of a unit file, for editors: units/unit.schema.json is what {@link unitJsonSchema} returns. */
import * as z from 'zod';
import { probeKinds } from './probe-schema.ts';
import { edgeKinds, unitSchema } from './schema.ts';

/** Texts with a form of their own may also hold a variable, which an editor cannot expand. */
const variablePattern = String.raw`\$\{`;

/** As text with a line end at its end; the same for the same schema. */
export function unitJsonSchema(): string {
  const { $schema, ...schema } = z.toJSONSchema(unitSchema, {
    io: 'input',
    override: ({ zodSchema, jsonSchema }) => {
      const { title } = z.globalRegistry.get(zodSchema) ?? {};
      if ((title === 'unit name' || title === 'duration') && jsonSchema.pattern !== undefined) {
        jsonSchema.pattern = `${jsonSchema.pattern}|${variablePattern}`;
      }
      const { properties } = jsonSchema;
      if (properties === undefined) return;
      // What the schema says in a refinement, which JSON Schema cannot see.
      if (Object.hasOwn(properties, 'hard')) jsonSchema.oneOf = requireOne(edgeKinds);
      else if (Object.hasOwn(properties, 'notify')) jsonSchema.oneOf = requireOne(probeKinds);
    },
  });
  const whole = {
    $schema,
    title: 'k3s-lite unit',
    description: 'One unit of k3s-lite: a service, a task or a builtin. See docs/unit-reference.md.',
    ...schema,
  };
  return `${JSON.stringify(whole, null, 2)}\n`;
}

const requireOne = (keys: readonly string[]) => keys.map((key) => ({ required: [key] }));
