/** What the set-up tells people: on stderr, so that stdout belongs to the program that is started. */

const colour = process.env.NO_COLOR === undefined && (process.stderr.isTTY || process.env.FORCE_COLOR !== undefined);
const paint = (code, text) => (colour ? `\u001b[${code}m${text}\u001b[0m` : text);

export const heading = (text) => process.stderr.write(`\n${paint(1, `== ${text}`)}\n`);
export const line = (text) => process.stderr.write(`${text}\n`);
export const warning = (text) => process.stderr.write(`${paint(33, 'note:')} ${text}\n`);

/** Whole seconds matter to nobody below ten. */
export const seconds = (ms) => `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;

/** Set-up cannot go on; the message says what to do. Ends the script without a stack. */
export class SetupError extends Error {
  constructor(message, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Runs a script's main function: a SetupError is told, anything else is a bug and shows its stack. */
export async function main(run) {
  try {
    process.exitCode = await run();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    if (error.message !== '') line(error.message);
    process.exitCode = error.exitCode;
  }
}
