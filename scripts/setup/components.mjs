/** The real binaries: what is missing is built by the project's own command. */
import path from 'node:path';
import { installGo } from './debian.mjs';
import { run, runStep } from './run.mjs';
import { heading, line, SetupError } from './say.mjs';

/** @param node - also what runs pods; without it the control plane only */
export async function buildMissingComponents(root, { node }) {
  const cli = path.join(root, 'bin/k3s-lite.js');
  const listed = await run(process.execPath, [cli, 'components', 'list', '--json'], { capture: true });
  if (listed.code !== 0) throw new SetupError(listed.output);
  const { programs } = JSON.parse(listed.output);
  const usable = ({ status, support }) => status === 'found' && support.supported;
  const artefacts = new Set(
    programs
      .filter((each) => !usable(each) && (node || each.role !== 'node'))
      .filter((each) => each.artefact !== undefined)
      .map((each) => each.artefact),
  );
  // Containerd's own tool is no part of a control plane.
  if (!node) artefacts.delete('containerd');
  if (artefacts.size === 0) return;
  await installGo();
  heading(`components: ${[...artefacts].join(', ')}`);
  line('Built once from source and kept in the cache; the first time takes minutes.');
  await runStep(
    process.execPath,
    // Without names: all that is missing.
    [cli, 'components', 'build', ...(node ? [] : artefacts)],
    'The components could not be built: see above.',
  );
}
