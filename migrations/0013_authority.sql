-- Authority: who a key counts as, by which links people voted, and who owned an agent when.
--
-- Why a key stores its origin: of two keys without a person, one may have made the other. They count as one
-- in votes and exclusions, or one holder would fill a quorum and decide for themselves. The chain of makers
-- never changes, so its end is stored once, when the key is made.
--
-- Why votes and decisions store their link: whoever made a link saw its token. A vote by link therefore
-- belongs to its maker too, and the record must show both.
--
-- Why owners have a history: an agent's owner at the time of its work is excluded from deciding about it,
-- also after the agent was given to somebody else.

alter table keys add column origin uuid;
alter table keys add column origin_person text;
comment on column keys.origin is 'For a key without a person: the first key in its chain of makers that has a person or no maker. Null: the key itself.';
comment on column keys.origin_person is 'The person as whom the key counts: its own, else that of its origin. Null: nobody.';

with recursive chain (workspace_id, key_id, at_key, person, created_by, depth) as (
    select workspace_id, key_id, key_id, person, created_by, 0 from keys
    union all
    select c.workspace_id, c.key_id, m.key_id, m.person, m.created_by, c.depth + 1
    from chain c
    join keys m on m.workspace_id = c.workspace_id and m.key_id = c.created_by
    where c.person is null
), ends as (
    select distinct on (workspace_id, key_id) workspace_id, key_id, at_key, person
    from chain
    order by workspace_id, key_id, depth desc
)
update keys k
set origin = nullif(e.at_key, k.key_id), origin_person = e.person
from ends e
where e.workspace_id = k.workspace_id and e.key_id = k.key_id;

alter table approval_votes add column link_id uuid;
alter table approval_votes add column link_maker uuid;
alter table approval_votes add constraint approval_votes_link_whole
    check ((link_id is null) = (link_maker is null) and (link_id is null or key_id is null));
comment on column approval_votes.link_id is 'The link that was used; null: a key.';
comment on column approval_votes.link_maker is 'The key that made the link; its holder''s own vote and this one count as one.';

alter table approvals add column decided_by_link uuid;
alter table approvals add column nobody_else boolean not null default false;
comment on column approvals.decided_by_link is 'The link that was used to decide; null: a key, or no person.';
comment on column approvals.nobody_else is 'An admin decided although excluded or no approver, because nobody else could.';

-- A link and the vote that used it were written at one instant.
update approval_votes v
set link_id = l.link_id, link_maker = l.created_by
from approval_links l
where l.workspace_id = v.workspace_id and l.approval_id = v.approval_id
  and l.person = v.person and l.used_at = v.voted_at
  and v.key_id is null;
update approvals a
set decided_by_link = l.link_id
from approval_links l
where l.workspace_id = a.workspace_id and l.approval_id = a.approval_id
  and l.person = a.decided_by_person and l.used_at = a.decided_at
  and a.decided_by is null;

create table agent_owners (
    workspace_id uuid        not null,
    agent_id     uuid        not null,
    number       integer     not null,
    owner        text        not null,
    owned_from   timestamptz not null,
    owned_until  timestamptz,
    constraint agent_owners_pkey primary key (workspace_id, agent_id, number),
    constraint agent_owners_agent_fkey foreign key (workspace_id, agent_id) references agents (workspace_id, agent_id),
    constraint agent_owners_owner_length check (char_length(owner) between 1 and 200),
    constraint agent_owners_ends_after_begin check (owned_until >= owned_from)
);
comment on table  agent_owners is 'The present and former owners of each agent.';
comment on column agent_owners.workspace_id is 'The workspace.';
comment on column agent_owners.agent_id is 'The agent.';
comment on column agent_owners.number is 'Ordinal of the owner within the agent, from 1.';
comment on column agent_owners.owner is 'The person for whom it worked.';
comment on column agent_owners.owned_from is 'Time from which it worked for this person.';
comment on column agent_owners.owned_until is 'Time of the change to another owner; null: the present owner.';

insert into agent_owners (workspace_id, agent_id, number, owner, owned_from)
select workspace_id, agent_id, 1, owner, created_at from agents where owner is not null;
