import { ServerResponse } from "node:http"

/** Node's response, told two things that make small answers cheaper. */
export class CountedResponse extends ServerResponse {
  /**
   * Headers of the edge, lower-case; those of the response win over them. They are handed over together with the head:
   * set one by one, each takes Node twice as long.
   */
  readonly edgeHeaders: Record<string, string> = {}
  /**
   * Set for a body that is one piece, of exactly the length in the head. The platform has Node compare what is written
   * with `Content-Length`, and Node then sends head and body in two pieces: a fifth of the time of a small answer. For
   * bytes whose length stands in that very header there is nothing to compare; everything else keeps the check.
   */
  isCounted = false
  /** What the platform asked for. */
  isStrict = false

  /** The platform is the only caller; it gives an object, if anything. */
  override writeHead(status: number, reason?: string | object, headers?: object): this {
    return typeof reason === "object"
      ? super.writeHead(status, Object.assign(this.edgeHeaders, reason))
      : super.writeHead(status, reason, Object.assign(this.edgeHeaders, headers))
  }
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
