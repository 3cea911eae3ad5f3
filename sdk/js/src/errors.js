/**
 * The one error type of this client. `code` is a code of the protocol (docs/protocol.md, "Error codes") or one of
 * the client's own:
 *
 * | code | retryable | meaning |
 * |---|---|---|
 * | `disconnected` | yes | the connection was lost, and the session with it; the request may or may not have taken effect |
 * | `timeout` | yes | no reply in time; the request may or may not have taken effect |
 * | `closed` | no | the client was closed, the room was left, or the gateway refused the connection for good |
 * | `taken_over` | no | the session goes on elsewhere |
 */
export class SignalboxError extends Error {
  /**
   * @param {string} code
   * @param {string} message for the developer, in English
   * @param {{retryable?: boolean, retryAfter?: number, version?: number, closeCode?: number, cause?: unknown}} [details]
   */
  constructor(code, message, details = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
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
    return new SignalboxError(error.code, error.message || error.code, error);
  }
}
