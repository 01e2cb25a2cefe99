-- What the dashboard counts, so that it reads small indexes and neither the ledger nor the sessions themselves.

create index audit_events_invocations on audit_events (ts, capability) where canonical_type = 'capability.invoked';
-- statement
create index audit_events_invokers on audit_events (aid_a)
  where canonical_type = 'capability.invoked' and aid_a is not null;
-- statement
create index handshake_sessions_dashboard on handshake_sessions (created_at) include (status, boundary_offer);
