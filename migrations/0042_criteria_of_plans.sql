-- Criteria of goals that follow their plans.
--
-- Why `written`: a new plan changes what the plan before it wrote, and nothing else. Criteria that came with the request
-- of the goal are in no document, so a document that does not have them does not remove them. Whether the box was ticked is
-- kept because the same document again changes nothing, whatever was decided since.
--
-- Why a highest number: a removed criterion is deleted, and its number must not become that of another one, because
-- people decide criteria by number. Why in the texts: the rows of goals are hot.
alter table goal_criteria
    add column written text,
    add constraint goal_criteria_written_known check (written in ('open', 'ticked'));
comment on column goal_criteria.written is 'How the plan in force has it: open, or ticked (the plan says that it is met); null: it was given beside the plan, which does not change it.';

alter table goal_texts
    add column criteria_numbered smallint not null default 0,
    add constraint goal_texts_criteria_numbered_positive check (criteria_numbered >= 0);
comment on column goal_texts.criteria_numbered is 'Highest number that a criterion of the goal ever had; 0: it never had one.';

update goal_texts x set criteria_numbered = c.highest
from (select workspace_id, goal_id, max(number) as highest from goal_criteria group by workspace_id, goal_id) c
where c.workspace_id = x.workspace_id and c.goal_id = x.goal_id;

-- What the brief says word for word came from the brief.
update goal_criteria c
set written = case when c.state = 'satisfied' and c.attempt_id is null and c.decided_by is null
                        and c.decided_by_person is null then 'ticked' else 'open' end
from goal_texts x
where x.workspace_id = c.workspace_id and x.goal_id = c.goal_id and position(c.text in x.brief) > 0;
