/** A socket that listens, by what /proc tells of it. */
export interface Listener {
  readonly inode: string;
  /** Address as /proc writes it; all zeros is "any address". Empty for unix sockets. */
  readonly hexAddress: string;
}
