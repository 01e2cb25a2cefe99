-- What runs under the head row keeps one plan a session. Left to itself Postgres plans these statements anew at every
-- call, which takes several times as long as running them for one event. The settings hold for what they call, too.

alter function append_v1(smallint, bigint, ledger_event_v1[])
  set plan_cache_mode = force_generic_plan;
-- statement
alter function append_v1(smallint, bigint, ledger_event_v1[]) set enable_seqscan = off;
-- statement
alter function ingest_v1(
  smallint, bigint, ledger_event_v1[], session_contribution_v1[], artifact_contribution_v1[], artifact_claim_v1[],
  revocation_contribution_v1[], int[], idempotency_completion_v1[])
  set plan_cache_mode = force_generic_plan;
-- statement
alter function ingest_v1(
  smallint, bigint, ledger_event_v1[], session_contribution_v1[], artifact_contribution_v1[], artifact_claim_v1[],
  revocation_contribution_v1[], int[], idempotency_completion_v1[])
  set enable_seqscan = off;
-- statement
alter function register_agent_v2(
  smallint, bigint, agent_registration_v1, ledger_event_v1, admin_act_v1, idempotency_completion_v1)
  set plan_cache_mode = force_generic_plan;
-- statement
alter function register_agent_v2(
  smallint, bigint, agent_registration_v1, ledger_event_v1, admin_act_v1, idempotency_completion_v1)
  set enable_seqscan = off;
