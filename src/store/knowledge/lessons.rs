//! Lessons: what holds now of each.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::{
    domain::{
        access::person::Person,
        ids::{AgentId, AttemptId, GoalId, KeyId, LessonId, ProjectId, TaskId},
        knowledge::{LessonKind, LessonState, Origin, Outcome, Trust},
    },
    store::{Tx, columns::uuids, traced},
};

/// A lesson with its newest text.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the tables, documented there")]
pub struct LessonRow {
    pub lesson_id: LessonId,
    pub version: i32,
    pub kind: LessonKind,
    pub title: String,
    pub body: String,
    pub applies_to: Vec<String>,
    pub capabilities: Vec<String>,
    pub state: LessonState,
    pub reason: Option<String>,
    pub trust: Trust,
    pub origin: Origin,
    pub external: bool,
    pub outcome: Option<Outcome>,
    pub project_id: Option<ProjectId>,
    pub cluster_id: LessonId,
    pub contradicts: Vec<LessonId>,
    pub superseded_by: Option<LessonId>,
    pub supersedes: Vec<LessonId>,
    pub source_goal: Option<GoalId>,
    pub source_task: Option<TaskId>,
    pub source_attempt: Option<AttemptId>,
    pub source_agent: Option<AgentId>,
    pub shown: i64,
    pub helpful: i32,
    pub harmful: i32,
    pub irrelevant: i32,
    pub unused: i32,
    pub confirmed: i32,
    pub created_at: DateTime<Utc>,
    pub changed_at: DateTime<Utc>,
    pub learned_at: DateTime<Utc>,
    pub confirmed_at: Option<DateTime<Utc>>,
    pub last_shown_at: Option<DateTime<Utc>>,
}

/// Reads lessons, with the clauses behind the joins. Links are those to lessons that every reader of a lesson sees: of
/// its project and of the workspace.
macro_rules! lessons {
    ($clauses:literal, $($argument:expr),+ $(,)?) => {
        sqlx::query_as!(
            LessonRow,
            r#"select l.lesson_id as "lesson_id: LessonId", l.version, l.kind as "kind: LessonKind",
                      v.title, v.body, v.applies_to, l.capabilities, l.state as "state: LessonState",
                      l.reason, l.trust as "trust: Trust", l.origin as "origin: Origin", l.external,
                      l.outcome as "outcome: Outcome", l.project_id as "project_id: ProjectId",
                      l.cluster_id as "cluster_id: LessonId",
                      array(select k.id
                            from (select other_id as id from lesson_links
                                  where workspace_id = $1 and lesson_id = l.lesson_id
                                  union all
                                  select lesson_id from lesson_links
                                  where workspace_id = $1 and other_id = l.lesson_id) k
                            where (select o.project_id is null or o.project_id = l.project_id
                                   from lessons o
                                   where o.workspace_id = $1 and o.lesson_id = k.id)
                            order by 1) as "contradicts!: Vec<LessonId>",
                      l.superseded_by as "superseded_by: LessonId",
                      v.supersedes as "supersedes: Vec<LessonId>",
                      l.source_goal as "source_goal: GoalId", l.source_task as "source_task: TaskId",
                      l.source_attempt as "source_attempt: AttemptId",
                      l.source_agent as "source_agent: AgentId", l.shown, l.helpful, l.harmful,
                      l.irrelevant, l.unused, l.confirmed, l.created_at, l.changed_at, l.learned_at,
                      l.confirmed_at, l.last_shown_at
               from lessons l
               join lesson_versions v on v.workspace_id = $1 and v.lesson_id = l.lesson_id
                    and v.version = l.version "# + $clauses,
            $($argument),+
        )
    };
}

/// These lessons, by id. Unknown ids are left out.
pub async fn read(tx: &mut Tx, lessons: &[LessonId]) -> sqlx::Result<HashMap<LessonId, LessonRow>> {
    if lessons.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = lessons!(
        "where l.workspace_id = $1 and l.lesson_id = any($2)",
        tx.workspace.0,
        &uuids(lessons),
    )
    .fetch_all(traced!(tx, "knowledge.lessons.read"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.lesson_id, row)).collect())
}

/// Which lessons a list has.
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    /// In one of these states; empty: in any.
    pub states: Vec<String>,
    /// Of one of these kinds; empty: of any.
    pub kinds: Vec<String>,
    /// Of this project.
    pub project: Option<ProjectId>,
    /// Of these projects alone, beside lessons of the workspace; `None`: of all.
    pub only: Option<Vec<uuid::Uuid>>,
    /// Whether lessons of the workspace are among them.
    pub workspace: bool,
    /// Learned from this task.
    pub source_task: Option<TaskId>,
    /// By this origin.
    pub origin: Option<Origin>,
    /// Only those that another contradicts.
    pub contradicted: bool,
    /// Only those that no attempt was ever given.
    pub never_shown: bool,
    /// Only those that were neither learned, confirmed nor shown since.
    pub stale_since: Option<DateTime<Utc>>,
}

/// Up to `rows` lessons after `after`, newest first.
pub async fn list(
    tx: &mut Tx,
    filter: &ListFilter,
    after: Option<LessonId>,
    rows: i64,
) -> sqlx::Result<Vec<LessonRow>> {
    lessons!(
        "where l.workspace_id = $1 and l.lesson_id < $2
           and (cardinality($3::text[]) = 0 or l.state = any($3))
           and (cardinality($4::text[]) = 0 or l.kind = any($4))
           and ($5::uuid is null or l.project_id = $5)
           and (case when l.project_id is null then $13
                     else $6::uuid[] is null or l.project_id = any($6) end)
           and ($7::uuid is null or l.source_task = $7)
           and ($8::text is null or l.origin = $8)
           and (not $9 or exists (select from lesson_links k where k.workspace_id = $1
                    and (k.lesson_id = l.lesson_id or k.other_id = l.lesson_id)))
           and (not $10 or l.shown = 0)
           and ($11::timestamptz is null
                or greatest(l.learned_at, l.confirmed_at, l.last_shown_at) < $11)
         order by l.lesson_id desc
         limit $12",
        tx.workspace.0,
        after.map_or(uuid::Uuid::max(), |id| id.0),
        &filter.states,
        &filter.kinds,
        filter.project.map(|id| id.0),
        filter.only.as_deref(),
        filter.source_task.map(|id| id.0),
        filter.origin.map(Origin::as_str),
        filter.contradicted,
        filter.never_shown,
        filter.stale_since,
        rows,
        filter.workspace,
    )
    .fetch_all(traced!(tx, "knowledge.lessons.list"))
    .await
}

/// A lesson to be stored, with its first version.
#[derive(Debug, Clone)]
pub struct NewLesson {
    /// Its id.
    pub lesson_id: LessonId,
    /// The project that sees it; `None`: the workspace.
    pub project_id: Option<ProjectId>,
    /// Its cluster.
    pub cluster_id: LessonId,
    /// The goal that it was learned from.
    pub source_goal: Option<GoalId>,
    /// The task that it was learned from.
    pub source_task: Option<TaskId>,
    /// The attempt that handed it in.
    pub source_attempt: Option<AttemptId>,
    /// The agent of that attempt.
    pub source_agent: Option<AgentId>,
    /// When it was learned.
    pub learned_at: DateTime<Utc>,
    /// Whether it came from outside.
    pub external: bool,
    /// Kind.
    pub kind: LessonKind,
    /// Who writes it.
    pub origin: Origin,
    /// How its task ended.
    pub outcome: Option<Outcome>,
    /// State.
    pub state: LessonState,
    /// Why it is in this state.
    pub reason: Option<String>,
    /// Trust.
    pub trust: Trust,
    /// Capabilities.
    pub capabilities: Vec<String>,
    /// The text.
    pub text: NewVersion,
}

/// The text of a version to be stored.
#[derive(Debug, Clone)]
pub struct NewVersion {
    /// One line.
    pub title: String,
    /// Markdown.
    pub body: String,
    /// What it is about.
    pub applies_to: Vec<String>,
    /// SHA-256 of the normalised text.
    pub fingerprint: [u8; 32],
    /// Lessons that it replaces.
    pub supersedes: Vec<LessonId>,
    /// The key that writes it.
    pub written_by: Option<KeyId>,
    /// The person of that key.
    pub person: Option<Person>,
}

/// Stores new lessons with their first versions.
pub async fn insert(tx: &mut Tx, new: &[NewLesson]) -> sqlx::Result<()> {
    if new.is_empty() {
        return Ok(());
    }
    let ids = new.iter().map(|one| one.lesson_id.0).collect::<Vec<_>>();
    // Arrays of arrays must be rectangular: lists of words travel as JSON.
    let capabilities =
        new.iter().map(|one| serde_json::json!(one.capabilities)).collect::<Vec<_>>();
    sqlx::query!(
        "insert into lessons (workspace_id, lesson_id, project_id, cluster_id, source_goal,
                              source_task, source_attempt, source_agent, created_at, changed_at,
                              learned_at, external, kind, origin, outcome, state, reason, trust,
                              capabilities)
         select $1, n.lesson_id, n.project_id, n.cluster_id, n.source_goal, n.source_task,
                n.source_attempt, n.source_agent, $2, $2, n.learned_at, n.external, n.kind, n.origin,
                n.outcome, n.state, n.reason, n.trust,
                array(select jsonb_array_elements_text(n.capabilities))
         from unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::uuid[], $8::uuid[],
                     $9::uuid[], $10::timestamptz[], $11::bool[], $12::text[], $13::text[],
                     $14::text[], $15::text[], $16::text[], $17::text[], $18::jsonb[])
              as n (lesson_id, project_id, cluster_id, source_goal, source_task, source_attempt,
                    source_agent, learned_at, external, kind, origin, outcome, state, reason, trust,
                    capabilities)",
        tx.workspace.0,
        tx.now,
        &ids,
        &new.iter().map(|one| one.project_id.map(|id| id.0)).collect::<Vec<_>>() as &[Option<uuid::Uuid>],
        &new.iter().map(|one| one.cluster_id.0).collect::<Vec<_>>(),
        &new.iter().map(|one| one.source_goal.map(|id| id.0)).collect::<Vec<_>>() as &[Option<uuid::Uuid>],
        &new.iter().map(|one| one.source_task.map(|id| id.0)).collect::<Vec<_>>() as &[Option<uuid::Uuid>],
        &new.iter().map(|one| one.source_attempt.map(|id| id.0)).collect::<Vec<_>>() as &[Option<uuid::Uuid>],
        &new.iter().map(|one| one.source_agent.map(|id| id.0)).collect::<Vec<_>>() as &[Option<uuid::Uuid>],
        &new.iter().map(|one| one.learned_at).collect::<Vec<_>>(),
        &new.iter().map(|one| one.external).collect::<Vec<_>>(),
        &new.iter().map(|one| one.kind.as_str().to_owned()).collect::<Vec<_>>(),
        &new.iter().map(|one| one.origin.as_str().to_owned()).collect::<Vec<_>>(),
        &new.iter().map(|one| one.outcome.map(|word| word.as_str().to_owned())).collect::<Vec<_>>()
            as &[Option<String>],
        &new.iter().map(|one| one.state.as_str().to_owned()).collect::<Vec<_>>(),
        &new.iter().map(|one| one.reason.clone()).collect::<Vec<_>>() as &[Option<String>],
        &new.iter().map(|one| one.trust.as_str().to_owned()).collect::<Vec<_>>(),
        &capabilities,
    )
    .execute(traced!(tx, "knowledge.lessons.insert"))
    .await?;
    let texts: Vec<(LessonId, i32, LessonKind, &NewVersion)> =
        new.iter().map(|one| (one.lesson_id, 1, one.kind, &one.text)).collect();
    insert_versions(tx, &texts).await
}

/// Stores versions of lessons.
pub async fn insert_versions(
    tx: &mut Tx,
    new: &[(LessonId, i32, LessonKind, &NewVersion)],
) -> sqlx::Result<()> {
    let words = |list: &[String]| serde_json::json!(list);
    sqlx::query!(
        "insert into lesson_versions (workspace_id, lesson_id, version, kind, title, body, applies_to,
                                      fingerprint, supersedes, written_by, person, written_at)
         select $1, n.lesson_id, n.version, n.kind, n.title, n.body,
                array(select jsonb_array_elements_text(n.applies_to)), n.fingerprint,
                array(select jsonb_array_elements_text(n.supersedes))::uuid[], n.written_by, n.person, $2
         from unnest($3::uuid[], $4::int[], $5::text[], $6::text[], $7::text[], $8::jsonb[],
                     $9::bytea[], $10::jsonb[], $11::uuid[], $12::text[])
              as n (lesson_id, version, kind, title, body, applies_to, fingerprint, supersedes,
                    written_by, person)",
        tx.workspace.0,
        tx.now,
        &new.iter().map(|(id, ..)| id.0).collect::<Vec<_>>(),
        &new.iter().map(|(_, version, ..)| *version).collect::<Vec<_>>(),
        &new.iter().map(|(_, _, kind, _)| kind.as_str().to_owned()).collect::<Vec<_>>(),
        &new.iter().map(|(.., text)| text.title.clone()).collect::<Vec<_>>(),
        &new.iter().map(|(.., text)| text.body.clone()).collect::<Vec<_>>(),
        &new.iter().map(|(.., text)| words(&text.applies_to)).collect::<Vec<_>>(),
        &new.iter().map(|(.., text)| text.fingerprint.to_vec()).collect::<Vec<_>>(),
        &new.iter().map(|(.., text)| serde_json::json!(text.supersedes)).collect::<Vec<_>>(),
        &new.iter().map(|(.., text)| text.written_by.map(|id| id.0)).collect::<Vec<_>>() as &[Option<uuid::Uuid>],
        &new.iter().map(|(.., text)| text.person.as_ref().map(Person::to_string)).collect::<Vec<_>>()
            as &[Option<String>],
    )
    .execute(traced!(tx, "knowledge.lessons.insert_versions"))
    .await?;
    Ok(())
}

/// The head of a lesson, locked by the cursor of the workspace.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the table, documented there")]
pub struct Head {
    pub lesson_id: LessonId,
    pub version: i32,
    pub state: LessonState,
    pub project_id: Option<ProjectId>,
    pub source_task: Option<TaskId>,
    pub trust: Trust,
    pub kind: LessonKind,
    pub learned_at: DateTime<Utc>,
}

/// The heads of digests of these tasks.
pub async fn digests_of(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<HashMap<TaskId, Head>> {
    let rows = sqlx::query_as!(
        Head,
        r#"select lesson_id as "lesson_id: LessonId", version, state as "state: LessonState",
                  project_id as "project_id: ProjectId", source_task as "source_task: TaskId",
                  trust as "trust: Trust", kind as "kind: LessonKind", learned_at
           from lessons
           where workspace_id = $1 and source_task = any($2) and kind = 'digest'"#,
        tx.workspace.0,
        &uuids(tasks),
    )
    .fetch_all(traced!(tx, "knowledge.lessons.digests_of"))
    .await?;
    Ok(rows.into_iter().filter_map(|row| Some((row.source_task?, row))).collect())
}

/// Candidates that were handed in by these attempts.
pub async fn candidates_of(tx: &mut Tx, attempts: &[AttemptId]) -> sqlx::Result<Vec<Head>> {
    sqlx::query_as!(
        Head,
        r#"select lesson_id as "lesson_id: LessonId", version, state as "state: LessonState",
                  project_id as "project_id: ProjectId", source_task as "source_task: TaskId",
                  trust as "trust: Trust", kind as "kind: LessonKind", learned_at
           from lessons
           where workspace_id = $1 and state = 'candidate' and origin = 'agent'
             and source_task in (select task_id from attempts
                                 where workspace_id = $1 and attempt_id = any($2))
             and source_attempt = any($2)
           order by lesson_id"#,
        tx.workspace.0,
        &uuids(attempts),
    )
    .fetch_all(traced!(tx, "knowledge.lessons.candidates_of"))
    .await
}

/// Sets the state of lessons.
pub async fn set_state(
    tx: &mut Tx,
    lessons: &[LessonId],
    state: LessonState,
    reason: Option<&str>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update lessons
         set state = $3, reason = $4, changed_at = $5,
             superseded_by = case when $3 = 'superseded' then superseded_by end
         where workspace_id = $1 and lesson_id = any($2)",
        tx.workspace.0,
        &uuids(lessons),
        state.as_str(),
        reason,
        tx.now,
    )
    .execute(traced!(tx, "knowledge.lessons.set_state"))
    .await?;
    Ok(())
}

/// Sets trust and outcome of the source of lessons.
pub async fn set_source(
    tx: &mut Tx,
    lessons: &[LessonId],
    trust: Trust,
    outcome: Option<Outcome>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update lessons set trust = $3, outcome = coalesce($4, outcome)
         where workspace_id = $1 and lesson_id = any($2)",
        tx.workspace.0,
        &uuids(lessons),
        trust.as_str(),
        outcome.map(Outcome::as_str),
    )
    .execute(traced!(tx, "knowledge.lessons.set_source"))
    .await?;
    Ok(())
}

/// Says which lesson replaced others.
pub async fn supersede(tx: &mut Tx, lessons: &[LessonId], by: LessonId) -> sqlx::Result<()> {
    sqlx::query!(
        "update lessons set state = 'superseded', superseded_by = $3, changed_at = $4
         where workspace_id = $1 and lesson_id = any($2)",
        tx.workspace.0,
        &uuids(lessons),
        by.0,
        tx.now,
    )
    .execute(traced!(tx, "knowledge.lessons.supersede"))
    .await?;
    Ok(())
}

/// Notes that a person vouches for a lesson.
pub async fn confirm(tx: &mut Tx, lesson: LessonId) -> sqlx::Result<()> {
    sqlx::query!(
        "update lessons
         set confirmed = confirmed + 1, confirmed_at = $3, trust = 'person', state = 'active',
             reason = null, changed_at = $3, superseded_by = null
         where workspace_id = $1 and lesson_id = $2",
        tx.workspace.0,
        lesson.0,
        tx.now,
    )
    .execute(traced!(tx, "knowledge.lessons.confirm"))
    .await?;
    Ok(())
}

/// Shows a lesson to the whole workspace. It is the first of its cluster then: lessons of its project may name a
/// lesson of the workspace, and not the other way round.
pub async fn promote(tx: &mut Tx, lesson: LessonId) -> sqlx::Result<()> {
    sqlx::query!(
        "update lessons
         set cluster_id = $2
         where workspace_id = $1
           and cluster_id = (select cluster_id from lessons where workspace_id = $1 and lesson_id = $2)",
        tx.workspace.0,
        lesson.0,
    )
    .execute(traced!(tx, "knowledge.lessons.promote"))
    .await?;
    sqlx::query!(
        "update lessons set project_id = null, changed_at = $3
         where workspace_id = $1 and lesson_id = $2",
        tx.workspace.0,
        lesson.0,
        tx.now,
    )
    .execute(traced!(tx, "knowledge.lessons.promote"))
    .await?;
    Ok(())
}

/// Notes that lessons were learned once more.
pub async fn learned_again(tx: &mut Tx, lessons: &[LessonId]) -> sqlx::Result<()> {
    sqlx::query!(
        "update lessons set learned_at = greatest(learned_at, $3)
         where workspace_id = $1 and lesson_id = any($2)",
        tx.workspace.0,
        &uuids(lessons),
        tx.now,
    )
    .execute(traced!(tx, "knowledge.lessons.learned_again"))
    .await?;
    Ok(())
}

/// What a new version changes in the head of its lesson.
#[derive(Debug, Clone)]
pub struct Rewritten {
    /// The lesson.
    pub lesson_id: LessonId,
    /// The new version.
    pub version: i32,
    /// Its kind.
    pub kind: LessonKind,
    /// Its cluster.
    pub cluster_id: LessonId,
    /// Its state.
    pub state: LessonState,
    /// Why it is in this state.
    pub reason: Option<String>,
    /// Its trust.
    pub trust: Trust,
    /// Whether the new version came from outside.
    pub external: bool,
    /// How its task ended.
    pub outcome: Option<Outcome>,
    /// When it was learned.
    pub learned_at: DateTime<Utc>,
    /// Capabilities.
    pub capabilities: Vec<String>,
}

/// Writes the head of a lesson with a new version.
pub async fn rewrite(tx: &mut Tx, head: &Rewritten) -> sqlx::Result<()> {
    sqlx::query!(
        "update lessons
         set version = $3, kind = $4, cluster_id = $5, state = $6, reason = $7, trust = $8,
             outcome = $9, learned_at = $10, capabilities = $11, changed_at = $12,
             external = external or $13,
             superseded_by = case when $6 = 'superseded' then superseded_by end
         where workspace_id = $1 and lesson_id = $2",
        tx.workspace.0,
        head.lesson_id.0,
        head.version,
        head.kind.as_str(),
        head.cluster_id.0,
        head.state.as_str(),
        head.reason,
        head.trust.as_str(),
        head.outcome.map(Outcome::as_str),
        head.learned_at,
        &head.capabilities,
        tx.now,
        head.external,
    )
    .execute(traced!(tx, "knowledge.lessons.rewrite"))
    .await?;
    Ok(())
}
