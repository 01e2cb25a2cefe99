import type { Document } from "./documents.ts"

/** A fenced block of a document: its info string is a language and, after a space, a note. */
export interface Block {
  readonly path: string
  /** Line of the opening fence, from 1. */
  readonly line: number
  readonly language: string
  /** `manual`: not run by the tests. Of `ts`: name of the file that holds it. */
  readonly note: string
  readonly text: string
  /** Number of headings before it: blocks under one heading have the same. */
  readonly section: number
}

export const placeOf = ({ line, path }: Block): string => `${path}:${line}`

/** Fenced blocks in order, and the first lines of indented ones; throws when the last one is not closed. */
export const blocksOf = ({ path, text }: Document): ReadonlyArray<Block> => {
  const blocks: Array<Block> = []
  let section = 0
  let before = ""
  let open: { readonly line: number; readonly info: string; readonly lines: Array<string> } | undefined
  for (const [index, line] of text.split("\n").entries()) {
    const [, info] = /^```(.*)$/.exec(line) ?? []
    if (open !== undefined && info === "") {
      const [language = "", note = ""] = open.info.split(" ")
      blocks.push({ path, line: open.line, language, note, text: open.lines.join("\n"), section })
      open = undefined
    } else if (open !== undefined) open.lines.push(line)
    else if (info !== undefined) open = { line: index + 1, info: info.trim(), lines: [] }
    else if (/^#{1,6} /.test(line)) section += 1
    else if (before === "" && /^ {4}/.test(line))
      blocks.push({ path, line: index + 1, language: "", note: "", text: line.trim(), section })
    before = line
  }
  if (open !== undefined) throw new Error(`${path}:${open.line}: the block is not closed`)
  return blocks
}

/** What the tests do with a block. */
export type Use =
  /** Run, and what it prints compared with `answer`. */
  | { readonly kind: "run"; readonly block: Block; readonly answer: Block | undefined }
  /** Written to the file of its name, which commands then run. */
  | { readonly kind: "file"; readonly block: Block }
  /** Only read as JSON or YAML. */
  | { readonly kind: "parse"; readonly block: Block }
  | { readonly kind: "answer"; readonly block: Block }
  /** Nothing: a formula or a format, which has no language. */
  | { readonly kind: "format"; readonly block: Block }
  | { readonly kind: "manual"; readonly block: Block }

const answers: ReadonlySet<string> = new Set(["json", "text"])

/** A `json` or `text` block right after commands under the same heading is their answer. */
export const usesOf = (document: Document): ReadonlyArray<Use> => {
  const blocks = blocksOf(document)
  const isRun = (block: Block | undefined) => block?.language === "sh" && block.note === ""
  const isAnswer = (block: Block | undefined, before: Block | undefined) =>
    block !== undefined && answers.has(block.language) && isRun(before) && before?.section === block.section
  return blocks.map((block, index): Use => {
    const next = blocks[index + 1]
    if (isRun(block)) return { kind: "run", block, answer: isAnswer(next, block) ? next : undefined }
    if (isAnswer(block, blocks[index - 1])) return { kind: "answer", block }
    if (block.language === "ts" && block.note !== "") return { kind: "file", block }
    if (block.language === "") return { kind: "format", block }
    return block.language === "json" || block.language === "yaml"
      ? { kind: "parse", block }
      : { kind: "manual", block }
  })
}
