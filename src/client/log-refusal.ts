/**
 * Why a log, or a proof of it, must not be believed:
 *
 * - `MALFORMED`: not the format it should have.
 * - `ORIGIN`: a checkpoint of another log.
 * - `SIGNATURE`: not signed by the key of the log.
 * - `WITNESS`: cosigned by fewer of the known witnesses than asked for.
 * - `REWIND`: the log has fewer leaves than it had.
 * - `FORK`: the log does not continue what it was: history was rewritten, or somebody else is shown another one.
 * - `TILE`: tiles are missing, or do not hash to what was signed.
 * - `PROOF`: the proof does not lead from the leaf to the signed root.
 * - `EVENT`: the event is not the one that was logged.
 */
export type LogRefusalCode =
  | "MALFORMED"
  | "ORIGIN"
  | "SIGNATURE"
  | "WITNESS"
  | "REWIND"
  | "FORK"
  | "TILE"
  | "PROOF"
  | "EVENT"

/** Thrown by everything that verifies the log. */
export class LogRefused extends Error {
  override readonly name = "LogRefused"
  readonly code: LogRefusalCode

  constructor(code: LogRefusalCode, message: string) {
    super(message)
    this.code = code
  }
}
