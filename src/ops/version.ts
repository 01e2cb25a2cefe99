import manifest from "../../package.json" with { type: "json" }

/** Version of this build. */
export const VERSION: string = manifest.version

/** Name of the service, in probes and telemetry. */
export const SERVICE = "aitp-control-plane"
