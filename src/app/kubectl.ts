export async function runKubectl(_: unknown): Promise<0> {
  return Promise.resolve(0);
}
