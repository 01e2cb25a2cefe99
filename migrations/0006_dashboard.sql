-- What the dashboard counts, so that it reads indexes and not the ledger.

create index audit_events_invocations on audit_events (ts, capability) where canonical_type = 'capability.invoked';
-- statement
create index audit_events_invokers on audit_events (aid_a)
  where canonical_type = 'capability.invoked' and aid_a is not null;
