/** Longest namespace, in code points. */
export const MAX_NAMESPACE = 128

/** Whether a text, from wherever it comes, can name a namespace. */
export const isNamespace = (text: string): boolean =>
  !text.includes("\0") && [...text].length <= MAX_NAMESPACE
