import { ServerResponse } from "node:http"

/**
 * Node's response, which may be told that its length was counted. The platform has Node compare what is written with
 * `Content-Length`, and Node then sends head and body in two pieces: a fifth of the time of a small answer. For bytes
 * whose length stands in that very header there is nothing to compare; everything else keeps the check.
 */
export class CountedResponse extends ServerResponse {
  /** Set for a body that is one piece, of exactly the length in the head. */
  isCounted = false
  /** What the platform asked for. */
  isStrict = false
}

// an accessor on the prototype, because the class Node declares has a plain property of this name
Object.defineProperty(CountedResponse.prototype, "strictContentLength", {
  get(this: CountedResponse) {
    return this.isStrict && !this.isCounted
  },
  set(this: CountedResponse, strict: boolean) {
    this.isStrict = strict
  }
})
