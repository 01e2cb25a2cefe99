-- Documents the service signs, and the leases its jobs run under.

-- One signed text per kind, the same for all replicas.
create table cp_documents (
  kind text primary key,
  body text not null,
  published_at timestamptz not null,
  expires_at timestamptz not null,
  -- SHA-256 of what the document was made from; another value means it must be made anew.
  input_hash bytea not null
);
-- statement
-- A job's right to run: the holder renews it, and every write of the holder checks its term.
create table leases (
  name text primary key,
  holder uuid not null,
  term bigint not null,
  expires_at timestamptz not null
);
-- statement
-- Keys made by the service itself, kept here only while no seed is configured to derive them from.
create table data_keys (
  id text primary key,
  key bytea not null,
  created_at timestamptz not null default now()
);
