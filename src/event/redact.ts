/**
 * Command lines without their secrets, before they leave the process: `--token=…` becomes
 * `--token=***`. Secrets belong into files (`secrets` of the unit file); this is for those that did not get there.
 */

const secretName =
  /(?:token|password|passwd|secret|credential)(?!.*(?:file|path|dir|ttl|name|namespace))|^(?:api|private)-?key$/i;

/** `scheme://user:password@`. Source: RFC 3986, userinfo. */
const urlPassword = /([a-z][a-z0-9+.-]*:\/\/[^\s/?#:@]*):[^\s/?#@]+@/gi;

/** The same words, with passwords in URLs and the values of flags whose names speak of a secret replaced by `***`. */
export function redactArgv(argv: readonly string[]): readonly string[] {
  let isValue = false;
  return argv.map((word) => {
    const [, dashes = '', name = '', value] = /^(-{0,2})([A-Za-z0-9_-]+)(?:=([\s\S]*))?$/.exec(word) ?? [];
    if (isValue) {
      isValue = false;
      if (dashes === '') return '***';
    }
    if (!secretName.test(name)) return word.replace(urlPassword, '$1:***@');
    if (value !== undefined) return `${dashes}${name}=***`;
    isValue = dashes !== '';
    return word;
  });
}
