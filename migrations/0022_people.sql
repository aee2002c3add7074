-- People, and who may not decide.
--
-- Why names on keys: a person may have several keys, and an agent acts for somebody. Whoever wants
-- something, owns the agent that asks for it, or wrote what is under review must not be the one who
-- approves it, with whichever key. A key without a person stands for nobody but itself.
--
-- Why who is excluded is stored with the approval: it is decided when the question is asked, so that
-- renaming an owner afterwards opens nothing.

alter table keys
    add column person text,
    add constraint keys_person_length check (char_length(person) between 1 and 200),
    add constraint keys_of_agents_are_nobodys check (person is null or role <> 'agent');
comment on column keys.person is 'The person who holds it, such as an e-mail address; null: nobody in particular.';

alter table agents
    add column owner text,
    add column registered_by uuid,
    add constraint agents_owner_length check (char_length(owner) between 1 and 200);
comment on column agents.owner is 'The person for whom it works.';
comment on column agents.registered_by is 'The key that registered it first; stands in for an owner when there is none.';

alter table goals add column on_behalf_of text[] not null default '{}';
comment on column goals.on_behalf_of is 'The people for whom it was posted, nearest first.';

alter table approvals
    add column excluded jsonb not null default '[]',
    add column allow_self boolean not null default false,
    add column decided_by_person text;
comment on column approvals.excluded is 'Who may not decide: keys and people, and why; fixed when asked.';
comment on column approvals.allow_self is 'Whether those may decide all the same, because a policy says so.';
comment on column approvals.decided_by_person is 'The person who decided, when one is known.';
