const VISIBLE = /^[\x21-\x7e]{1,200}$/
const RANDOM_SPAN = 36 ** 8

let stampMs = 0
let stamp = ""

/** `cp-<base36 ms>-<8 base36>`; tells requests apart, is no secret. */
const generate = (now: number): string => {
  if (now !== stampMs) {
    stampMs = now
    stamp = `cp-${now.toString(36)}-`
  }
  return (
    stamp +
    Math.floor(Math.random() * RANDOM_SPAN)
      .toString(36)
      .padStart(8, "0")
  )
}

/** The id a request goes by: the one sent, if it is 1 to 200 visible ASCII characters, else a new one. */
export const requestId = (sent: string | undefined, now: number): string =>
  sent !== undefined && VISIBLE.test(sent) ? sent : generate(now)
