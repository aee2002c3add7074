//! Checks: tasks in which other agents check the result of a task.

use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{
    domain::{
        artifact::digest::ArtifactDigest,
        criterion::{CriterionType, EvidenceTier, Found, Terms},
        goal::criteria::TaskPurpose,
        ids::{AgentId, AttemptId, GoalId, KeyId, TaskId},
        plan::new_goal::TaskDefaults,
        task::holder::Holder,
    },
    store::{Tx, columns::uuids, traced},
};

/// Most pieces of evidence about one criterion that are taken over from its check.
const PIECES: i64 = 5;

/// A submitted result that is to be checked.
#[derive(Debug)]
#[expect(missing_docs, reason = "the columns of the tables, documented there")]
pub struct SubmittedRow {
    pub attempt_id: AttemptId,
    pub attempt_number: i32,
    pub task_id: TaskId,
    pub goal_id: GoalId,
    pub reference: String,
    pub title: String,
    pub priority: i16,
    pub task_defaults: Json<TaskDefaults>,
    /// `None` also if it is larger than the bound.
    pub result: Option<Value>,
    pub artifacts: Vec<ArtifactDigest>,
}

/// Reads results that are to be checked. `most`: bytes of a result that is returned.
pub async fn submitted(
    tx: &mut Tx,
    attempts: &[AttemptId],
    most: i32,
) -> sqlx::Result<Vec<SubmittedRow>> {
    sqlx::query_as!(
        SubmittedRow,
        r#"
        select a.attempt_id as "attempt_id: AttemptId", a.number as attempt_number,
               t.task_id as "task_id: TaskId", t.goal_id as "goal_id: GoalId", t.ref as reference,
               x.title, t.priority, g.task_defaults as "task_defaults: Json<TaskDefaults>",
               case when r.result_bytes <= $3 then r.result end as result,
               coalesce(r.artifacts, '{}') as "artifacts!: Vec<ArtifactDigest>"
        from attempts a
        join tasks t on t.workspace_id = $1 and t.task_id = a.task_id
        join task_texts x on x.workspace_id = $1 and x.task_id = a.task_id
        join goal_texts g on g.workspace_id = $1 and g.goal_id = a.goal_id
        left join attempt_results r on r.workspace_id = $1 and r.attempt_id = a.attempt_id
        where a.workspace_id = $1 and a.attempt_id = any($2)
        order by a.attempt_id
        "#,
        tx.workspace.0,
        &uuids(attempts),
        most,
    )
    .fetch_all(traced!(tx, "tasks.checks.submitted"))
    .await
}

/// A criterion that is to be checked.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the table, documented there")]
pub struct CheckedRow {
    pub task_id: TaskId,
    pub number: i16,
    pub text: String,
    pub required: bool,
    pub r#type: CriterionType,
    pub terms: Option<Json<Terms>>,
    pub min_tier: EvidenceTier,
}

/// The criteria of tasks that check nothing themselves, in order.
pub async fn criteria(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<Vec<CheckedRow>> {
    sqlx::query_as!(
        CheckedRow,
        r#"select task_id as "task_id: TaskId", number, text, required,
                  type as "type: CriterionType", terms as "terms: Json<Terms>",
                  min_tier as "min_tier: EvidenceTier"
           from criteria
           where workspace_id = $1 and task_id = any($2) and checks is null and goal_criterion is null
           order by task_id, number"#,
        tx.workspace.0,
        &uuids(tasks),
    )
    .fetch_all(traced!(tx, "tasks.checks.criteria"))
    .await
}

/// A new check.
#[derive(Debug, Clone)]
pub struct NewCheck {
    /// The task.
    pub task_id: TaskId,
    /// The attempt whose result it checks.
    pub attempt_id: AttemptId,
    /// Whether an agent of an owner of the author may not claim it.
    pub other_owner: bool,
    /// The numbers of the checked criteria, in the order of its own.
    pub numbers: Vec<i16>,
}

/// Makes new tasks checks of attempts.
pub async fn mark(tx: &mut Tx, checks: &[NewCheck]) -> sqlx::Result<()> {
    sqlx::query!(
        "update tasks t
         set purpose = $5, checks_attempt_id = c.attempt_id, checks_other_owner = c.other_owner
         from unnest($2::uuid[], $3::uuid[], $4::bool[]) as c (task_id, attempt_id, other_owner)
         where t.workspace_id = $1 and t.task_id = c.task_id",
        tx.workspace.0,
        &checks.iter().map(|check| check.task_id.0).collect::<Vec<_>>(),
        &checks.iter().map(|check| check.attempt_id.0).collect::<Vec<_>>(),
        &checks.iter().map(|check| check.other_owner).collect::<Vec<_>>(),
        TaskPurpose::Check.as_str(),
    )
    .execute(traced!(tx, "tasks.checks.mark"))
    .await?;
    let numbered = checks.iter().flat_map(|check| {
        check.numbers.iter().zip(1i16..).map(|(checks, number)| (check.task_id, number, *checks))
    });
    let numbered: Vec<(TaskId, i16, i16)> = numbered.collect();
    sqlx::query!(
        "update criteria c set checks = k.checks, min_tier = 'claimed'
         from unnest($2::uuid[], $3::smallint[], $4::smallint[]) as k (task_id, number, checks)
         where c.workspace_id = $1 and c.task_id = k.task_id and c.number = k.number",
        tx.workspace.0,
        &numbered.iter().map(|(task, ..)| task.0).collect::<Vec<_>>(),
        &numbered.iter().map(|(_, number, _)| *number).collect::<Vec<_>>(),
        &numbered.iter().map(|(.., checks)| *checks).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "tasks.checks.mark"))
    .await?;
    Ok(())
}

/// A result whose checks have all ended.
#[derive(Debug)]
pub struct Checked {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// Its task.
    pub task_id: TaskId,
}

/// Of these attempts, those that are still submitted and have no open check; in order.
pub async fn over(tx: &mut Tx, attempts: &[AttemptId]) -> sqlx::Result<Vec<Checked>> {
    sqlx::query_as!(
        Checked,
        r#"
        select a.attempt_id as "attempt_id: AttemptId", a.task_id as "task_id: TaskId"
        from attempts a
        where a.workspace_id = $1 and a.attempt_id = any($2) and a.state = 'submitted'
          and not exists (select from tasks c
                          where c.workspace_id = $1 and c.checks_attempt_id = a.attempt_id
                            and c.ended_at is null)
        order by a.attempt_id
        "#,
        tx.workspace.0,
        &uuids(attempts),
    )
    .fetch_all(traced!(tx, "tasks.checks.over"))
    .await
}

/// Takes the evidence of finished checks over to the attempts that they checked, the findings that a criterion is not
/// met first. `over`: attempts without an open check.
pub async fn take_over(tx: &mut Tx, over: &[AttemptId]) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into evidence (workspace_id, attempt_id, number, criterion, text, uri, met, artifact_sha256,
                               exit_code, tier, criteria_version, by_attempt_id)
         select $1, f.checked,
                (l.last + row_number() over (partition by f.checked order by f.criterion, f.place, f.given_by))::smallint,
                f.criterion, f.text, f.uri, f.met, f.artifact_sha256, f.exit_code, f.tier,
                f.criteria_version, f.given_by
         from (
             select c.checks_attempt_id as checked, k.checks as criterion, e.text, e.uri, e.met,
                    e.artifact_sha256, e.exit_code, t.criteria_version, e.attempt_id as given_by,
                    case k.type when 'command' then 'machine_checked' else 'reviewed' end as tier,
                    row_number() over (partition by c.task_id, k.number order by e.met, e.number) as place
             from tasks c
             join criteria k on k.workspace_id = $1 and k.task_id = c.task_id and k.checks is not null
             join evidence e on e.workspace_id = $1 and e.attempt_id = c.current_attempt_id
                  and e.criterion = k.number
             join attempts a on a.workspace_id = $1 and a.attempt_id = c.checks_attempt_id
             join tasks t on t.workspace_id = $1 and t.task_id = a.task_id
             where c.workspace_id = $1 and c.checks_attempt_id = any($2) and c.state = 'done'
         ) f
         cross join lateral (
             select coalesce(max(number), 0) as last from evidence e
             where e.workspace_id = $1 and e.attempt_id = f.checked
         ) l
         where f.place <= $3",
        tx.workspace.0,
        &uuids(over),
        PIECES,
    )
    .execute(traced!(tx, "tasks.checks.take_over"))
    .await?;
    Ok(())
}

/// What the checks of an attempt found about the required criteria of its task, each with what is wrong.
pub async fn found(
    tx: &mut Tx,
    task: TaskId,
    attempt: AttemptId,
) -> sqlx::Result<Vec<(Found, Option<String>)>> {
    let rows = sqlx::query!(
        r#"
        select c.number, c.min_tier = 'person' as "person!", coalesce(e.unmet, false) as "unmet!",
               coalesce(e.rank, 0) >= tier_rank(c.min_tier)
                   -- Whatever a reviewer says, its program was to be run.
                   and (c.type <> 'command' or coalesce(e.ran, false)) as "shown!", e.wrong
        from criteria c
        left join lateral (
            select bool_or(not e.met) as unmet,
                   max(tier_rank(e.tier)) filter (where e.met) as rank,
                   bool_or(e.exit_code is not null and e.by_attempt_id is not null) as ran,
                   string_agg(e.text, E'\n\n' order by e.number) filter (where not e.met) as wrong
            from evidence e
            where e.workspace_id = $1 and e.attempt_id = $3 and e.criterion = c.number
        ) e on true
        where c.workspace_id = $1 and c.task_id = $2 and c.required
        order by c.number
        "#,
        tx.workspace.0,
        task.0,
        attempt.0,
    )
    .fetch_all(traced!(tx, "tasks.checks.found"))
    .await?;
    let found = rows.into_iter().map(|row| {
        let found =
            Found { number: row.number, unmet: row.unmet, shown: row.shown, person: row.person };
        (found, row.wrong)
    });
    Ok(found.collect())
}

/// What a person is asked about after the checks of a result: the result with all evidence for it, each with its tier.
pub async fn payload(tx: &mut Tx, task: TaskId, attempt: AttemptId) -> sqlx::Result<Value> {
    sqlx::query_scalar!(
        r#"
        select jsonb_build_object(
                   'result', r.result,
                   'evidence', coalesce((
                       select jsonb_agg(jsonb_build_object('criterion', e.criterion, 'text', e.text,
                                                           'uri', e.uri, 'met', e.met, 'tier', e.tier)
                            || jsonb_strip_nulls(jsonb_build_object(
                                   'artifact', 'sha256:' || encode(e.artifact_sha256, 'hex'),
                                   'value', e.value, 'exit_code', e.exit_code)) order by e.number)
                       from evidence e where e.workspace_id = $1 and e.attempt_id = $3), '[]'),
                   'criteria', coalesce((
                       select jsonb_agg(jsonb_build_object('number', c.number, 'text', c.text,
                                                           'required', c.required, 'type', c.type,
                                                           'min_tier', c.min_tier)
                            || coalesce(c.terms, '{}') order by c.number)
                       from criteria c where c.workspace_id = $1 and c.task_id = $2), '[]'))
               || case when r.artifacts is null then '{}' else jsonb_build_object('artifacts', (
                   select jsonb_agg('sha256:' || encode(f.sha256, 'hex') order by f.sha256)
                   from unnest(r.artifacts) as f (sha256))) end as "payload!"
        from attempts a
        left join attempt_results r on r.workspace_id = $1 and r.attempt_id = a.attempt_id
        where a.workspace_id = $1 and a.attempt_id = $3
        "#,
        tx.workspace.0,
        task.0,
        attempt.0,
    )
    .fetch_one(traced!(tx, "tasks.checks.payload"))
    .await
}

/// The open checks of the results of tasks.
pub async fn open(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<Vec<TaskId>> {
    sqlx::query_scalar!(
        r#"
        select c.task_id as "task_id: TaskId"
        from attempts a
        join tasks c on c.workspace_id = $1 and c.checks_attempt_id = a.attempt_id
        where a.workspace_id = $1 and a.task_id = any($2) and c.ended_at is null
        order by c.task_id
        "#,
        tx.workspace.0,
        &uuids(tasks),
    )
    .fetch_all(traced!(tx, "tasks.checks.open"))
    .await
}

/// Whether an agent has held a check of this attempt.
pub async fn has_checked(tx: &mut Tx, agent: AgentId, attempt: AttemptId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"
        select exists (
            select from tasks c
            join attempts a on a.workspace_id = $1 and a.task_id = c.task_id
            where c.workspace_id = $1 and c.checks_attempt_id = $3 and a.agent_id = $2
        ) as "checked!"
        "#,
        tx.workspace.0,
        agent.0,
        attempt.0,
    )
    .fetch_one(traced!(tx, "tasks.checks.has_checked"))
    .await
}

/// Of these checks with their holders, those whose holder may not do them: authors of what is checked, and agents that
/// share an owner with them if that is demanded. A person counts by their keys, and as the owner of agents.
pub async fn barred(tx: &mut Tx, held: &[(TaskId, Holder)]) -> sqlx::Result<Vec<TaskId>> {
    let agents: Vec<Option<Uuid>> =
        held.iter().map(|(_, holder)| holder.agent().map(|AgentId(id)| id)).collect();
    let keys: Vec<Option<Uuid>> =
        held.iter().map(|(_, holder)| holder.key().map(|KeyId(id)| id)).collect();
    sqlx::query_scalar!(
        r#"
        select h.task_id as "task_id!: TaskId"
        from unnest($2::uuid[], $3::uuid[], $4::uuid[]) as h (task_id, agent_id, key_id)
        where h.agent_id in (select barred_from_check($1, h.task_id))
           or exists (
               select from authors_of_checked($1, h.task_id) a
               join tasks c on c.workspace_id = $1 and c.task_id = h.task_id
               join keys k on k.workspace_id = $1 and k.key_id = h.key_id
               left join keys m on m.workspace_id = $1 and m.key_id = a.held_by_key
               where (coalesce(m.origin_person, m.origin::text, m.key_id::text)
                          = coalesce(k.origin_person, k.origin::text, k.key_id::text)
                      or c.checks_other_owner and exists (
                          select from agent_owners o
                          where o.workspace_id = $1 and o.agent_id = a.agent_id
                            and o.owner = k.origin_person)))
        "#,
        tx.workspace.0,
        &held.iter().map(|(task, _)| task.0).collect::<Vec<_>>(),
        &agents as &[Option<Uuid>],
        &keys as &[Option<Uuid>],
    )
    .fetch_all(traced!(tx, "tasks.checks.barred"))
    .await
}
