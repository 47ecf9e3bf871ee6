/** sd_notify: what a process says of itself, one socket per unit generation. Source: sd_notify(3). */

export interface NotifyState {
  readonly ready: boolean;
  readonly stopping: boolean;
  readonly status: string | undefined;
  /** The process says that another process is the main one (MAINPID=). */
  readonly mainPid: number | undefined;
  /** Sum of EXTEND_TIMEOUT_USEC: monotonic milliseconds until which the start may take, if ever said. */
  readonly extendedUntilMs: number | undefined;
  /** Monotonic milliseconds of the last WATCHDOG=1. */
  readonly watchdogAtMs: number | undefined;
  /** The interval the process has asked for itself (WATCHDOG_USEC=), in milliseconds. */
  readonly watchdogMs?: number;
  readonly errno: number | undefined;
  /** X_WARNING=: something a person should know although the process goes on; empty when it is over. Our own. */
  readonly warning?: string;
  /** X_FIGURES=: what the process has measured, by name. Our own. */
  readonly figures?: Readonly<Record<string, number>>;
}

export interface NotifySocket extends Disposable {
  /** Value for NOTIFY_SOCKET. */
  readonly path: string;
  readonly current: NotifyState;
  /** Calls `listener` after each datagram that was understood. */
  subscribe(listener: (state: NotifyState) => void): Disposable;
}

export interface NotifyPort {
  /**
   * Opens the socket of one generation in a 0700 folder; disposing closes and unlinks it.
   *
   * @param ownerUid - another user that the process runs as, who must be able to send to it
   */
  open(unit: string, generation: number, ownerUid?: number): NotifySocket;
  /** Opens the socket of an adopted generation again, at the path that its process knows. */
  reopen(path: string, heard: Pick<NotifyState, 'ready' | 'mainPid'>, ownerUid?: number): NotifySocket;
}
