import { Context } from "effect"

/** What every workload is run with. */
export class Rig extends Context.Service<
  Rig,
  {
    /** Length of one measurement, s. */
    readonly seconds: number
    /** Also the runs that take long. */
    readonly full: boolean
    /** A user of this server may make databases; its own database is left alone. */
    readonly serverUrl: string
    /** Folder of this run, removed with everything in it. */
    readonly folder: string
    /** Tells whoever watches what is being done. */
    readonly note: (text: string) => void
  }
>()("cp/bench/Rig") {}
