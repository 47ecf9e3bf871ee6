/** The conditions in the status of a Node or a Pod, as far as they are changed here. Pure. */
import * as z from 'zod';

export const statusSchema = z.looseObject({
  conditions: z.array(z.looseObject({ type: z.string(), status: z.string() })).nullish(),
});
type Status = z.infer<typeof statusSchema>;
export type Condition = NonNullable<Status['conditions']>[number];

/** The same status with other conditions in place of those that are meant; undefined when there is none of these. */
export function changeConditions(
  { conditions, ...rest }: Status,
  isMeant: (condition: Condition) => boolean,
  change: Readonly<Record<string, string>>,
): Status | undefined {
  if (conditions?.some(isMeant) !== true) return undefined;
  return { ...rest, conditions: conditions.map((each) => (isMeant(each) ? { ...each, ...change } : each)) };
}
