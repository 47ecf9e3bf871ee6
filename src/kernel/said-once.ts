/** The same line again and again is no news: `log` gets it when it is another than the last. `undefined`: nothing to say, all is well. */
export function saidOnce(log: (line: string) => void): (line: string | undefined) => void {
  let said: string | undefined;
  return (line) => {
    if (line !== undefined && line !== said) log(line);
    said = line;
  };
}
