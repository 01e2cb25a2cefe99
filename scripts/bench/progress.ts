/** What is being done, on the last line of a terminal; nothing where nobody watches. */
export interface Progress {
  /** From now on this workload is run. */
  readonly begin: (name: string) => void
  readonly note: (text: string) => void
  /** Removes the line, so that other text may follow. */
  readonly clear: () => void
}

const SILENT: Progress = { begin: () => {}, note: () => {}, clear: () => {} }

/** @param count workloads that will be run */
export const progressOn = (stream: NodeJS.WriteStream, count: number): Progress => {
  if (!stream.isTTY) return SILENT
  let [done, name] = [0, ""]
  const started = performance.now()
  const clear = () => void stream.write("\r\u001b[2K")
  const show = (text: string) => {
    const seconds = Math.round((performance.now() - started) / 1000)
    const line = `${done}/${count} ${seconds} s  ${name}${text === "" ? "" : `: ${text}`}`
    clear()
    stream.write(line.slice(0, (stream.columns || 80) - 1))
  }
  return {
    begin: (next) => {
      done += 1
      name = next
      show("")
    },
    note: show,
    clear
  }
}
