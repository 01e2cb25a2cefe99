import type { Figure } from "./model.ts"

/**
 * Share of the limit that a figure reaches, 1 is all of it: of a rate how much of it, of a duration or a size how much of it
 * the limit would take. Undefined without a limit.
 */
export const ratioOf = ({ limit, ratio, unit, value }: Figure): number | undefined =>
  ratio ?? (limit === undefined ? undefined : unit === "/s" ? value / limit.value : limit.value / value)

/** Whether a figure meets its target; undefined when it has none. A figure that is no number meets none. */
export const isMet = (figure: Figure): boolean | undefined => {
  const { target, value } = figure
  switch (target?.kind) {
    case undefined:
      return undefined
    case "share":
      return (ratioOf(figure) ?? Number.NaN) >= target.atLeast
    case "at least":
      return value >= target.value
    case "at most":
      return value <= target.value
  }
}
