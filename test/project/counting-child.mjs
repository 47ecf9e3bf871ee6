// Writes down each signal that it gets, one a line; SIGTERM ends it with code 7. argv: file to write to.
import { appendFileSync } from 'node:fs';

const [, , file] = process.argv;
const write = (text) => appendFileSync(file, `${text}\n`);
process.on('SIGINT', () => write('SIGINT'));
process.on('SIGTERM', () => {
  write('SIGTERM');
  process.exit(7);
});
// Nothing else keeps Node running.
setInterval(() => undefined, 60_000);
write('ready');
