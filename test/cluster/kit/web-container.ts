/** A container that answers each request on port 8080 with one line. */
import { busyboxImage } from '../../../src/cluster/first-pod.ts';

export const webPort = 8080;

export const webContainer = (says: string): object => ({
  name: 'web',
  image: busyboxImage,
  imagePullPolicy: 'Never',
  command: ['/bin/sh', '-c', `echo ${says} > /tmp/index.html; exec httpd -f -p ${String(webPort)} -h /tmp`],
  readinessProbe: { tcpSocket: { port: webPort }, periodSeconds: 1 },
});
