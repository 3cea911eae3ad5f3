/**
 * A code of the protocol (docs/protocol.md, "Error codes"), or one of the client's own:
 *
 * | code | retryable | meaning |
 * |---|---|---|
 * | `disconnected` | yes | the connection was lost, and the session with it; the request may or may not have taken effect |
 * | `timeout` | yes | no reply in time; the request may or may not have taken effect |
 * | `closed` | no | the client was closed, the room was left or closed, or the gateway refused the connection for good |
 * | `taken_over` | no | the session goes on elsewhere |
 * | `revoked` | no | the user or the session was revoked, or the app switched off |
 * | `overflow` | no | more events came than a stream of them holds |
 * | `denied`, `expired`, `replaced`, `left` | no | the end of a place in the queue, see {@link NotSeatedError} |
 *
 * @typedef {'bad_request' | 'too_large' | 'unauthorized' | 'forbidden' | 'room_full' | 'room_locked' | 'not_member' | 'peer_gone'
 *   | 'stale' | 'conflict' | 'limit' | 'rate_limited' | 'resume_refused' | 'outcome_unknown' | 'unavailable' | 'internal'} ProtocolErrorCode
 * @typedef {'disconnected' | 'timeout' | 'closed' | 'taken_over' | 'revoked' | 'overflow'} ClientErrorCode
 * @typedef {'denied' | 'closed' | 'expired' | 'replaced' | 'left'} NotSeatedCode
 * @typedef {ProtocolErrorCode | ClientErrorCode | NotSeatedCode} ErrorCode
 */

/** What this client's promises reject with, but for the reason of an AbortSignal. */
export class SignalboxError extends Error {
  /**
   * @param {ErrorCode} code
   * @param {string} message for the developer, in English
   * @param {{retryable?: boolean, retryAfter?: number, version?: number, closeCode?: number, cause?: unknown}} [details]
   */
  constructor(code, message, details = {}) {
    super(message, details);
    this.name = 'SignalboxError';
    /** What happened, in one word; decide by this, never by the message. */
    this.code = code;
    /** Whether the same request may succeed later without anybody changing anything. */
    this.retryable = details.retryable ?? false;
    /** How long to wait before the next attempt, in milliseconds; 0 if not known. */
    this.retryAfter = details.retryAfter ?? 0;
    /** The room's present version, with `conflict`. */
    this.version = details.version;
    /** The WebSocket close code, where a closed connection is the cause. */
    this.closeCode = details.closeCode;
  }

  /**
   * The error of a reply.
   *
   * @param {{code: string, message?: string, retryable?: boolean, retryAfter?: number, version?: number}} error
   */
  static fromReply(error) {
    // A later version of the protocol may have codes of which this one does not know.
    const code = /** @type {ErrorCode} */ (error.code);
    if (code === 'conflict') return new ConflictError(error.message || code, error);
    return new SignalboxError(code, error.message || code, error);
  }
}

/** The room is another one than the change was made for: somebody else was faster. `version` is the present one, if it is known. */
export class ConflictError extends SignalboxError {
  /**
   * @param {string} message
   * @param {{version?: number}} [details]
   */
  constructor(message, details) {
    super('conflict', message, details);
    this.name = 'ConflictError';
  }
}

/**
 * One waits no more, and has no seat. `code` says why: `denied` by a moderator, `closed` or `expired` with the room, `replaced` by a
 * later session of the same user, or `left` by oneself.
 */
export class NotSeatedError extends SignalboxError {
  /**
   * @param {NotSeatedCode} code
   * @param {string} [by]
   */
  constructor(code, by) {
    super(code, `the wait for a seat has ended: ${code}`);
    this.name = 'NotSeatedError';
    /** The moderator's peer id; undefined when it was the app itself, or nobody. */
    this.by = by;
  }
}
