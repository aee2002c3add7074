-- Risk floors: the least risk that an approval has, whatever its asker says.
--
-- Why floors: policies are chosen by risk, and the asker stated it. An agent that called its action `low`
-- chose its own deciders. Now a task and the workspace's rules set a floor, and the asker can only go higher.
--
-- Why the risk of a task is stored with its texts: only a new approval reads it. The rows that claims read and
-- lock stay as narrow as they were. It already includes the risk of what contains the task, so that no
-- approval walks up the tree and no subtask is below the task it belongs to.
--
-- Why an approval keeps its floor: people see why the risk is what it is, also when the rule is gone. Rules are
-- deleted for good, and later rules change no approval that is already asked; nothing refers to them by key.
--
-- Why a constraint between risk and floor: no statement can put an approval below its own floor.

alter table task_texts add column risk text;
alter table task_texts add constraint task_texts_risk_known check (risk in ('low', 'medium', 'high', 'critical'));
comment on column task_texts.risk is 'The least risk of approvals about the task: its own or that of what contains it. Null: none.';

alter table approvals add column risk_floor jsonb;
alter table approvals add constraint approvals_risk_at_least_floor check (
    risk_floor is null
    or array_position(array['low', 'medium', 'high', 'critical'], risk)
       >= array_position(array['low', 'medium', 'high', 'critical'], risk_floor ->> 'risk'));
comment on column approvals.risk is 'low, medium, high or critical: as rated by the asker, and at least the floor.';
comment on column approvals.risk_floor is 'The highest floor that applied, with its source. Null: none applied.';

create table risk_floors (
    workspace_id uuid        not null,
    floor_id     uuid        not null,
    name         text        not null,
    risk         text        not null,
    kind         text,
    capability   text,
    project_id   uuid,
    payload      jsonb       not null default '[]',
    created_by   uuid,
    created_at   timestamptz not null,
    constraint risk_floors_pkey primary key (workspace_id, floor_id),
    constraint risk_floors_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id),
    constraint risk_floors_project_fkey foreign key (workspace_id, project_id) references projects (workspace_id, project_id),
    constraint risk_floors_name_length check (char_length(name) between 1 and 200),
    constraint risk_floors_risk_known check (risk in ('low', 'medium', 'high', 'critical')),
    constraint risk_floors_kind_known check (kind in ('plan', 'start', 'result', 'action', 'budget', 'input'))
);
comment on table  risk_floors is 'Rules for the least risk of approvals. Never edited.';
comment on column risk_floors.workspace_id is 'The workspace.';
comment on column risk_floors.floor_id is 'UUIDv7; of equal risk the oldest is shown as the reason.';
comment on column risk_floors.name is 'Unique in the workspace.';
comment on column risk_floors.risk is 'The least risk of the approvals that it covers.';
comment on column risk_floors.kind is 'Only approvals of this kind. Null: all.';
comment on column risk_floors.capability is 'Only approvals about tasks that require this capability. Null: all.';
comment on column risk_floors.project_id is 'Only approvals in goals of this project. Null: all.';
comment on column risk_floors.payload is 'Conditions on the payload, an array; all must hold.';
comment on column risk_floors.created_by is 'The key that created it.';
comment on column risk_floors.created_at is 'Time of creation.';
create unique index risk_floors_name_unique on risk_floors (workspace_id, name);
