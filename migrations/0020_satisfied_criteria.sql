-- Criteria that were satisfied before the task began.
--
-- Why: a brief has ticked boxes among the criteria of a task. They stay visible, and nobody is asked for evidence.

alter table criteria
    add column satisfied boolean not null default false,
    add constraint criteria_satisfied_need_nothing check (not (satisfied and required));
comment on column criteria.satisfied is 'Whether the plan says that it is satisfied already; then it is not required.';
