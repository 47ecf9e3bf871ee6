/**
 * What K3s's own tests hold its balancer to, by number. Names of tests carry them as `[k3s 12]`;
 * k3s-behaviours.test.ts sees that each number has a test.
 */

export interface K3sBehaviour {
  /** In our words. */
  readonly about: string;
  /** Where this balancer does more, or otherwise on purpose. */
  readonly differs?: string;
}

export const k3sBehaviours: Readonly<Record<number, K3sBehaviour>> = {
  1: { about: 'a server that is new in the list becomes preferred once its check goes well' },
  2: { about: 'a new connection goes to the preferred server' },
  3: { about: 'a server whose check fails has failed' },
  4: {
    about: 'an open connection of a failed server is closed, and the next one goes to the default',
    differs: 'only while another server is left: see 18',
  },
  5: { about: 'a server that goes on failing has no other connection closed' },
  6: { about: 'when the server in use no longer listens, a new connection goes to the default' },
  7: { about: 'a list with another server in place of the first: the new one becomes preferred' },
  8: { about: 'the next connection goes to the new one' },
  9: {
    about: 'connections of the default are closed once a server of the list carries them',
    differs:
      'a busy one, and any of a client that may speak HTTP/2, has a grace of a second (`graceTakeover`), one that waits for nothing is closed at once',
  },
  10: { about: 'the default, named by the list too, climbs to preferred like any other' },
  11: { about: 'it is in the list then, and still the default' },
  12: { about: 'dropped from the list it is still the default' },
  13: { about: 'another default: the list stays, the old default is gone' },
  14: { about: 'the default set back, and all three in the list: it becomes preferred' },
  15: { about: 'a default that is the balancer’s own address is none, and a connection fails at once' },
  16: {
    about: 'with an address that cannot be one (port 0) a connection fails within 10 ms',
    differs: 'it does not even get into the list, and the update says so',
  },
  17: {
    about: 'with a server that nobody reaches a connection fails within 11 s',
    differs: 'those are 10 s for all servers together (`dialBudget`), not for each of them in turn',
  },
  18: {
    about: 'the only server is used although its check fails',
    differs: 'its open connections go on, too: closing them would gain nothing',
  },
  19: { about: 'many dials at once, of several servers that have failed, do no harm' },
  20: {
    about: 'default and addresses are stored',
    differs: 'with a version, a date and weights, written whole or not at all, for its owner’s eyes alone',
  },
  21: { about: 'with nothing but a default the stored list is empty' },
  22: {
    about: 'a stored list of the same default is taken',
    differs: 'not when it is older than 30 days; and what is discovered replaces it',
  },
  23: { about: 'one of another default is not, and is written anew' },
  24: {
    about: 'one that is no JSON is not, and is written anew',
    differs: 'nor one with other things in it; the log says which file and why',
  },
  25: { about: 'where there is no file, one is made' },
  26: { about: 'a URL with https and no port is of port 443' },
  27: { about: 'a URL with http and no port is of port 80' },
  28: { about: 'a port that a URL names is kept' },
  29: { about: 'a URL without a host is a mistake' },
  30: { about: 'what is no URL is a mistake' },
  31: { about: 'a list of addresses is sorted, without what is twice or empty, and one that is looked for is found' },
  32: { about: 'one that is not in it is not found' },
  33: { about: 'an empty address is never found' },
  34: { about: 'a list of nothing but empty addresses is empty' },
};

/** Why they have no test: the way to a server through an HTTP proxy. */
export const k3sBehavioursWithout: Readonly<Record<number, string>> = {
  35: 'no proxy allowed: a direct dial. There is only that',
  36: 'a proxy allowed: a tunnel by CONNECT. Servers of one cluster reach each other directly, for etcd has to',
  37: 'a proxy URL with a mistake. No proxy is read, so a mistake in its URL harms nobody',
  38: 'a server URL with a mistake, on the way to the proxy. Such a URL is refused before: 29 and 30',
  39: 'no proxy for a network in NO_PROXY. All servers are dialled like that',
  40: 'no proxy for a domain in NO_PROXY. All servers are dialled like that',
};
