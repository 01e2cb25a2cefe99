-- Withholding agents whose stored manifest no longer verifies; filters of webhooks that take either spelling of an AID.

-- Digest of everything that the check of a stored manifest looks at: a row that has been checked need not be checked again
-- until this changes.
create function agent_fingerprint_v1(p_agent agents) returns bytea
language sql stable as $$
  select sha256(convert_to(json_build_array(
    p_agent.aid, p_agent.key_alg, encode(p_agent.key_raw, 'hex'), p_agent.display_name, p_agent.handshake_endpoint,
    p_agent.offered_caps, p_agent.manifest_json, encode(p_agent.manifest_sha256, 'hex'),
    extract(epoch from p_agent.manifest_published_at)::text,
    extract(epoch from p_agent.manifest_expires_at)::text)::text, 'UTF8'))
$$;
-- statement
-- Withholds an agent from the registry, with its event and audit row, if its row is still the one that failed. Outcomes:
-- ok, unchanged (withheld already, changed or gone), changed (owners of the event: look again).
create function withhold_agent_v1(
  p_log smallint, p_directory_version bigint, p_aid text, p_fingerprint bytea, p_event ledger_event_v1,
  p_act admin_act_v1)
returns text
language plpgsql as $$
begin
  perform from log_head h where h.log_id = p_log for update;
  if (select h.directory_version from log_head h where h.log_id = p_log) <> p_directory_version then
    return 'changed';
  end if;
  update agents a set integrity_ok = false
  where a.aid = p_aid and a.integrity_ok and agent_fingerprint_v1(a) = p_fingerprint;
  if not found then
    return 'unchanged';
  end if;
  perform record_admin_act_v1(p_act);
  perform append_v1(p_log, p_directory_version, array[p_event]);
  return 'ok';
end
$$;
-- statement
-- A party of an event as filters compare it: both spellings of an Ed25519 AID are one.
create function webhook_party_v1(p_aid text) returns text
language sql immutable parallel safe as $$
  select case
    when starts_with(p_aid, 'aid:pubkey:ed25519:') and length(p_aid) = 62 then 'aid:pubkey:' || substr(p_aid, 20)
    else p_aid
  end
$$;
-- statement
create or replace function webhook_wants_v1(
  p_events jsonb, p_filter jsonb, p_organization uuid, p_type text, p_namespace text, p_aid_a text, p_aid_b text,
  p_run_id text, p_org_ids uuid[])
returns boolean
language sql immutable parallel safe as $$
  select webhook_lists_v1(p_events, p_type)
    and (p_organization is null or p_organization = any(p_org_ids))
    and coalesce(p_filter ->> 'namespace' = p_namespace, p_filter ->> 'namespace' is null)
    and coalesce(p_filter ->> 'runId' = p_run_id, p_filter ->> 'runId' is null)
    and coalesce(
      webhook_party_v1(p_filter ->> 'aid') in (webhook_party_v1(p_aid_a), webhook_party_v1(p_aid_b)),
      p_filter ->> 'aid' is null)
$$;
