/** What the API says it does not have. Whatever it is reached by, a refusal is thrown with its status. */
import * as z from 'zod';

const notFound = z.object({ status: z.literal(404) });

/** Undefined when there is no such object. @throws whatever else `answer` is rejected with */
export async function unlessMissing<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (notFound.safeParse(error).success) return undefined;
    throw error;
  }
}
