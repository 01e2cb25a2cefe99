/** A parser under attack, and what must hold whatever it is given. */
export interface Target {
  readonly name: string
  /** Inputs to begin with: sound ones, and ones that are known to be refused. */
  readonly seeds: ReadonlyArray<string>
  /** Pieces that mean something to the parser; spliced into inputs. */
  readonly dictionary: ReadonlyArray<string>
  /**
   * One execution. Says in a few words what came of the input; inputs with a new outcome are kept and mutated further.
   * Throws when a promise is broken.
   */
  readonly run: (input: string) => string | Promise<string>
}

/** Fails an execution. */
export const assertThat = (holds: boolean, promise: string): void => {
  if (!holds) throw new Error(`broken promise: ${promise}`)
}

/** Inputs stand for bytes where a parser takes bytes: one character, one byte; higher ones lose their upper half. */
export const bytesOf = (input: string): Buffer => Buffer.from(input, "latin1")

/** The input that stands for the UTF-8 bytes of a text. */
export const inputOf = (text: string): string => Buffer.from(text).toString("latin1")
