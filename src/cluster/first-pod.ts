/**
 * The `first-pod` builtin of examples/first-pod: a pod from a local image, watched until it runs.
 * "Ready" alone proves little; a running pod proves sandbox, image, network and scheduling.
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import type { Builtin } from '../unit/builtin.ts';
import type { Connect } from './api-objects.ts';
import { pauseImage } from './config-files.ts';
import { importRecipe } from './images.ts';
import { KubeApiError, type KubeClient } from './kube-client.ts';
import { directoryOf } from './machine.ts';
import { goArchitecture, type ImageRecipe } from './oci-archive.ts';
import type { Settings } from './settings.ts';
import { saidOnce } from '../kernel/said-once.ts';

const podName = 'first-pod';
const podsPath = '/api/v1/namespaces/default/pods';
export const busyboxImage = 'k3s-lite.local/busybox:1';
/** Programs of busybox that a person tries in a pod. */
const applets = [
  'sh',
  'ls',
  'cat',
  'echo',
  'sleep',
  'wget',
  'nslookup',
  'ping',
  'ip',
  'ps',
  'hostname',
  'httpd',
  'nc',
  'id',
  'env',
];

const pod = z.object({
  status: z
    .object({
      phase: z.string().optional(),
      podIP: z.string().optional(),
      containerStatuses: z
        .array(
          z.object({
            state: z
              .object({
                waiting: z.object({ reason: z.string().optional(), message: z.string().optional() }).optional(),
              })
              .optional(),
          }),
        )
        .optional(),
    })
    .optional(),
});

/** busybox as an image: one static program and links to it. */
export function busyboxRecipe(program: Uint8Array): ImageRecipe {
  return {
    name: busyboxImage,
    architecture: goArchitecture(),
    entries: [
      { kind: 'directory', path: 'bin/', mode: 0o755 },
      { kind: 'file', path: 'bin/busybox', mode: 0o755, content: program },
      ...applets.map((name) => ({ kind: 'link' as const, path: `bin/${name}`, target: 'busybox' })),
      { kind: 'directory', path: 'tmp/', mode: 0o1777 },
      { kind: 'directory', path: 'etc/', mode: 0o755 },
    ],
    entrypoint: ['/bin/sh'],
  };
}

function podManifest(image: string): object {
  const command = image === pauseImage ? {} : { command: ['/bin/sleep', '1000000'] };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: podName, namespace: 'default', labels: { app: podName } },
    spec: {
      terminationGracePeriodSeconds: 0,
      containers: [{ name: 'main', image, imagePullPolicy: 'Never', ...command }],
    },
  };
}

export function firstPodBuiltins(
  settings: Settings,
  connect: Connect,
): Record<'first-pod' | 'remove-first-pod', Builtin> {
  return {
    'first-pod': async (context) => {
      const { signal, log } = context;
      using client = await connect();
      const directory = directoryOf('busybox', settings.searchPath);
      if (directory === undefined) log('there is no busybox: the pod only pauses');
      else await importRecipe(context, settings, busyboxRecipe(await readFile(path.join(directory, 'busybox'))));
      try {
        await client.create(podsPath, podManifest(directory === undefined ? pauseImage : busyboxImage), signal);
      } catch (error) {
        if (!(error instanceof KubeApiError && error.reason === 'AlreadyExists')) throw error;
      }
      log(`pod ${podName} runs, address ${await untilRunning(client, { signal, log })}`);
    },
    'remove-first-pod': async ({ signal }) => {
      using client = await connect();
      // No grace: the API forgets it at once, and the kubelet's own undo ends what still runs.
      await client.delete(`${podsPath}/${podName}?gracePeriodSeconds=0`, signal);
    },
  };
}

async function untilRunning(
  client: KubeClient,
  { signal, log }: { signal: AbortSignal; log: (line: string) => void },
): Promise<string> {
  const say = saidOnce(log);
  for await (const { object } of client.watch(podsPath, { fieldSelector: `metadata.name=${podName}` }, signal)) {
    const { phase, podIP, containerStatuses } = pod.parse(object).status ?? {};
    if (phase === 'Running') return podIP ?? 'unknown';
    const waiting = containerStatuses?.[0]?.state?.waiting;
    const parts = [phase, waiting?.reason, waiting?.message].filter((part) => part !== undefined);
    say(`pod ${podName}: ${parts.join(': ')}`);
  }
  throw new Error('internal error: a watch ended without an abort');
}
