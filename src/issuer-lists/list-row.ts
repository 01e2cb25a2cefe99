import type { FailureKind, IssuerList, ListCopy } from "./model.ts"

/** A list as it is stored: what there is no copy of is null. */
export interface ListRow extends Pick<IssuerList, "aid" | "uri" | "dueAt"> {
  readonly sha256: Uint8Array | null
  readonly publishedAt: number | null
  readonly expiresAt: number | null
  readonly entries: number | null
  readonly form: ListCopy["form"] | null
  readonly checkedAt: Date | null
  readonly ageSecs: number | null
  readonly validForSecs: number | null
  readonly failure: FailureKind | null
  readonly failureReason: string | null
  readonly failures: number
  readonly failingSince: Date | null
}

const copyOf = (row: ListRow): ListCopy | null => {
  const { ageSecs, checkedAt, entries, expiresAt, form, publishedAt, sha256, validForSecs } = row
  return sha256 === null ||
    publishedAt === null ||
    expiresAt === null ||
    entries === null ||
    form === null ||
    checkedAt === null ||
    ageSecs === null ||
    validForSecs === null
    ? null
    : { sha256, publishedAt, expiresAt, entries, form, checkedAt, ageSecs, validForSecs }
}

const failureOf = ({ failingSince, failure, failureReason, failures }: ListRow): IssuerList["failure"] =>
  failure === null || failureReason === null || failingSince === null
    ? null
    : { kind: failure, reason: failureReason, count: failures, since: failingSince }

export const issuerListOf = (row: ListRow): IssuerList => ({
  aid: row.aid,
  uri: row.uri,
  copy: copyOf(row),
  failure: failureOf(row),
  dueAt: row.dueAt
})
