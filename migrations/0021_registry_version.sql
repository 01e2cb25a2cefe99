-- Tells whether answers of the registry that were made before still hold.

-- Changes with every statement that may have changed an agent; in one row, which is written by those who hold the head row.
create table registry_version (
  id smallint primary key default 1 check (id = 1),
  version bigint not null
);
-- statement
insert into registry_version (version) values (1);
-- statement
create function bump_registry_version() returns trigger
language plpgsql as $$
begin
  update registry_version set version = version + 1;
  return null;
end
$$;
-- statement
create trigger agents_bump_registry after insert or update or delete or truncate on agents
  for each statement execute function bump_registry_version();
