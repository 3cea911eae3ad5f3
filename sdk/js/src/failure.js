import { SignalboxError } from './errors.js';
import { CLOSE_EXPIRED, CLOSE_REVOKED, CLOSE_TAKEN_OVER, CLOSE_UNAUTHORIZED, isFinalClose } from './protocol.js';

/** @import { ErrorCode } from './errors.js' */

/**
 * @typedef {object} Failure why a connection ended or was not made
 * @property {SignalboxError} error
 * @property {boolean} final
 */

/** Error codes of close codes. @type {Map<number, ErrorCode>} */
const CLOSE_WORDS = new Map([
  [CLOSE_UNAUTHORIZED, 'unauthorized'],
  [CLOSE_EXPIRED, 'unauthorized'],
  [CLOSE_TAKEN_OVER, 'taken_over'],
  [CLOSE_REVOKED, 'revoked'],
]);

/**
 * @param {number} code
 * @param {string} reason
 */
export function closeError(code, reason) {
  const word = CLOSE_WORDS.get(code) ?? 'disconnected';
  return new SignalboxError(word, reason || `connection closed (${code})`, { closeCode: code, retryable: !isFinalClose(code) });
}

/**
 * @param {SignalboxError} error
 * @returns {Failure}
 */
export function failureOf(error) {
  return { error, final: !error.retryable };
}
