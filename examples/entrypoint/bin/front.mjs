/** The application's own program: answers on --port, and passes /api/ on to --backend. */
import http from 'node:http';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    port: { type: 'string' },
    backend: { type: 'string' },
    greeting: { type: 'string', default: 'hello' },
  },
});

const server = http.createServer((request, response) => {
  console.log(`${request.method} ${request.url}`);
  if (request.url === '/fail') process.exit(3);
  if (!request.url.startsWith('/api/')) {
    response.end(`${values.greeting}\n`);
    return;
  }
  const passedOn = http.get(`http://${values.backend}${request.url.slice('/api'.length)}`, (answer) => {
    response.writeHead(answer.statusCode);
    answer.pipe(response);
  });
  passedOn.on('error', (error) => response.writeHead(502).end(`${error.message}\n`));
});
server.listen(Number(values.port), () => console.log(`listening on ${values.port}`));
process.once('SIGTERM', () => {
  server.close(() => process.exit(0));
  server.closeAllConnections();
});
