export function shellEntrypoint(options: {
  processes: readonly { readonly Argv: readonly string[]; readonly Env: readonly string[] }[];
  dataDir: string;
  socket: string;
  pauseArchive: string;
  sleep: string;
  isTuned: boolean;
}): string;
