-- The transparency log: an RFC 6962 tree over the leaf hashes of the ledger, kept in tiles (C2SP tlog-tiles), and the
-- signed checkpoints of it. Leaf n of the tree is the event with position n + 1.

-- Hashes of the tree. A tile of level l holds the hashes of consecutive perfect subtrees of 256^l leaves; it grows at
-- its end until it is full, so that every partial tile there ever was is a prefix of it. Tiles are never removed: proofs
-- outlive the events.
create table log_tiles (
  log_id smallint not null,
  level smallint not null check (level between 0 and 7),
  index bigint not null check (index >= 0),
  -- 32 bytes each, at most 256.
  hashes bytea not null check (length(hashes) between 32 and 8192 and length(hashes) % 32 = 0),
  primary key (log_id, level, index)
);
-- statement
-- Hashes do not compress.
alter table log_tiles alter column hashes set storage external;
-- statement
create table log_tree (
  log_id smallint primary key references log_head (log_id),
  -- Epoch of the ledger when its tree was begun; under any other the log has another origin.
  first_epoch text not null,
  -- Epoch under which the newest tree was signed.
  epoch text not null,
  -- The newest tree: leaves, root hash, and its checkpoint with the signature of the log alone; null before the first.
  size bigint not null default 0 check (size >= 0),
  root bytea not null check (length(root) = 32),
  note text,
  integrated_at timestamptz,
  -- The checkpoint that is served, and the cosignatures of witnesses in it.
  published_size bigint not null default 0 check (published_size between 0 and size),
  published_note text,
  published_cosignatures int not null default 0,
  published_at timestamptz,
  -- Events up to this position were dropped by retention, which raises it in the transaction that drops them. Events that
  -- are not in the tree yet must stay.
  dropped_to bigint not null default 0 check (dropped_to between 0 and size)
);
-- statement
-- The root of the empty tree is the hash of nothing.
insert into log_tree (log_id, first_epoch, epoch, root) select log_id, epoch, epoch, sha256('') from log_head;
-- statement
-- What is known of each witness that was ever asked.
create table log_witnesses (
  log_id smallint not null,
  -- Its verifier key.
  vkey text not null,
  -- Newest tree it has cosigned.
  size bigint not null,
  cosigned_at timestamptz,
  -- Why the last request failed; null when it did not.
  failure text,
  primary key (log_id, vkey)
);
-- statement
-- How far the continuous audit has come.
create table log_audit (
  log_id smallint primary key references log_head (log_id),
  -- Positions up to here were looked at in this pass.
  seq bigint not null default 0,
  -- Broken positions found in this pass, and in the one before.
  failures bigint not null default 0,
  last_failures bigint not null default 0,
  last_completed_at timestamptz
);
-- statement
insert into log_audit (log_id) select log_id from log_head;
-- statement
-- The leaf hashes of the positions after p_after, at most p_limit, joined in order. `count` is less than the number of
-- positions when a row is missing.
create function log_leaves_v1(p_log smallint, p_after bigint, p_limit int)
returns table (epoch text, head bigint, count int, leaves bytea)
language plpgsql stable set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off as $$
#variable_conflict use_column
begin
  return query
  select h.epoch, h.seq, l.count, l.leaves
  from log_head h
  cross join lateral (
    select count(*)::int as count, string_agg(e.leaf_hash, ''::bytea order by e.seq) as leaves
    from audit_events e
    where e.log_id = p_log and e.seq > p_after and e.seq <= least(h.seq, p_after + p_limit)
  ) as l
  where h.log_id = p_log;
end
$$;
-- statement
-- The events after a position, in order, whatever the head says.
create function ledger_span_v1(p_log smallint, p_after bigint, p_upto bigint, p_limit int) returns setof audit_events
language plpgsql stable set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off as $$
begin
  return query
  select e.* from audit_events e
  where e.log_id = p_log and e.seq > p_after and e.seq <= p_upto
  order by e.seq limit p_limit;
end
$$;
-- statement
-- The id of the event that was given a position, when its row is gone. Ids have no index by position: they are looked
-- for among those stored between the neighbours.
create function event_id_at_v1(p_log smallint, p_seq bigint) returns uuid
language plpgsql stable set enable_seqscan = off as $$
declare
  since timestamptz;
  until timestamptz;
begin
  select e.created_at into since from audit_events e
  where e.log_id = p_log and e.seq < p_seq order by e.seq desc limit 1;
  select e.created_at into until from audit_events e
  where e.log_id = p_log and e.seq > p_seq order by e.seq limit 1;
  return (
    select i.id from event_ids i
    where i.log_id = p_log and i.seq = p_seq
      and i.created_at between coalesce(since, '-infinity') and coalesce(until, 'infinity')
    limit 1);
end
$$;
-- statement
-- Extends the tree from p_previous to p_size leaves, or signs the same tree anew. False, and nothing is stored, when
-- another has been there first, when the ledger has another epoch, or when it does not have all these positions yet:
-- what is signed must have been committed. The caller holds the lease, by a condition of the same statement.
create function integrate_v1(
  p_log smallint, p_epoch text, p_previous bigint, p_size bigint, p_root bytea, p_note text, p_publish boolean,
  p_levels smallint[], p_indexes bigint[], p_hashes bytea[])
returns boolean
language plpgsql as $$
declare
  held log_tree;
  changed int;
begin
  select * into strict held from log_tree t where t.log_id = p_log for update;
  if held.size <> p_previous or p_size < p_previous
    or not exists (select from log_head h where h.log_id = p_log and h.epoch = p_epoch and h.seq >= p_size) then
    return false;
  end if;
  if p_size = p_previous and p_root <> held.root then
    raise exception 'the tree of % leaves has another root', p_size;
  end if;
  insert into log_tiles as t (log_id, level, index, hashes)
  select p_log, given.level, given.index, given.hashes
  from unnest(p_levels, p_indexes, p_hashes) as given (level, index, hashes)
  on conflict (log_id, level, index) do update set hashes = excluded.hashes
  where substr(excluded.hashes, 1, length(t.hashes)) = t.hashes;
  get diagnostics changed = row_count;
  if changed <> cardinality(p_levels) then
    raise exception 'a tile would lose or change hashes it has';
  end if;
  update log_tree t set
    epoch = p_epoch, size = p_size, root = p_root, note = p_note, integrated_at = clock_timestamp(),
    published_size = case when p_publish then p_size else t.published_size end,
    published_note = case when p_publish then p_note else t.published_note end,
    published_cosignatures = case when p_publish then 0 else t.published_cosignatures end,
    published_at = case when p_publish then clock_timestamp() else t.published_at end
  where t.log_id = p_log;
  return true;
end
$$;
