/** A row of a table in a document: its cells, trimmed. */
export type Row = ReadonlyArray<string>

/** Rows of all tables of a text, without heads and rulers. A bar inside a code span does not end a cell. */
export const rowsOf = (text: string): ReadonlyArray<Row> => {
  const lines = text.split("\n")
  return lines.flatMap((line, index) => {
    const isHead = /^\|[-| :]+\|$/.test(lines[index + 1] ?? "")
    if (!line.startsWith("|") || isHead || /^\|[-| :]+\|$/.test(line)) return []
    const cells = line.match(/(?:`[^`]*`|[^|`])+/g) ?? []
    return [cells.map((cell) => cell.trim())]
  })
}

/** Texts of the code spans of a cell. */
export const codeIn = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/`([^`]+)`/g)].map(([, code]) => code ?? "")

/** The part of a document under a heading of the second level. */
export const sectionOf = (text: string, heading: string): string => {
  const [, after] = text.split(`\n## ${heading}\n`)
  if (after === undefined) throw new Error(`no section ${heading}`)
  return after.split("\n## ")[0] ?? ""
}
