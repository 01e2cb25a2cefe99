import type { ServerResponse } from "node:http"

/** The streams a process may have open at once. */
export class Slots {
  readonly #limit: number
  readonly #changed: (taken: number) => void
  #taken = 0

  constructor(limit: number, changed: (taken: number) => void) {
    this.#limit = limit
    this.#changed = changed
  }

  /**
   * Takes a slot for as long as the client is there; false when none is left. It is free again the moment the client's
   * end of the connection closes, whatever still waits to be sent: a client that reconnects must not find itself in
   * its own way.
   */
  take(response: ServerResponse): boolean {
    if (this.#taken >= this.#limit) return false
    const { socket } = response
    if (response.destroyed || socket === null || socket.readableEnded) return true // has left already
    this.#count(1)
    const free = () => {
      socket.off("end", free)
      response.off("close", free)
      this.#count(-1)
    }
    socket.once("end", free)
    response.once("close", free)
    return true
  }

  #count(change: number): void {
    this.#taken += change
    this.#changed(this.#taken)
  }
}
