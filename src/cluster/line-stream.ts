/** Lines of a byte stream as they come, without the last incomplete one. Characters may span chunks. */
import { StringDecoder } from 'node:string_decoder';

export async function* lines(stream: AsyncIterable<unknown>): AsyncGenerator<string, void, undefined> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for await (const chunk of stream) {
    const parts = (rest + decoder.write(chunk as Buffer)).split('\n');
    rest = parts.pop() ?? '';
    for (const line of parts) if (line !== '') yield line;
  }
}
