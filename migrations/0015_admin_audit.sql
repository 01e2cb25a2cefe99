-- Reading the admin audit page by page. Times are kept to the millisecond, which is what cursors carry.

alter table admin_audit_log alter column created_at set default date_trunc('milliseconds', clock_timestamp());
-- statement
update admin_audit_log set created_at = date_trunc('milliseconds', created_at)
where created_at <> date_trunc('milliseconds', created_at);
-- statement
create index admin_audit_log_action on admin_audit_log (action, created_at desc, id desc);
-- statement
create index admin_audit_log_actor on admin_audit_log (actor_id, created_at desc, id desc);
-- statement
create index admin_audit_log_target on admin_audit_log (target_id, created_at desc, id desc) where target_id is not null;
