// Asks a web server again and again, each time by a connection of its own, and tells each answer in one
// line: when it was asked, by the monotonic clock, and what was said. argv: URL. Ends with its input.
import http from 'node:http';

const everyMs = 25;
const withinMs = 400;
const [, , url] = process.argv;
const timer = setInterval(() => {
  const [seconds, nanoseconds] = process.hrtime();
  const atMs = seconds * 1e3 + nanoseconds / 1e6;
  const request = http.get(url, { agent: false, signal: AbortSignal.timeout(withinMs) }, (response) => {
    let text = '';
    response.setEncoding('utf8').on('data', (part) => (text += part));
    response.on('end', () => process.stdout.write(`${atMs} ${text.trim()}\n`));
    response.on('error', () => undefined);
  });
  // Nobody answers for it: that is what is measured.
  request.on('error', () => undefined);
}, everyMs);
process.stdin.resume().on('end', () => {
  clearInterval(timer);
  setTimeout(() => process.exit(0), withinMs);
});
