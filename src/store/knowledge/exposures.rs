//! Exposures: lessons that attempts were given, and the verdicts about them.
//!
//! A verdict is written in the transaction that ends its attempt, on a row that only this attempt has. The counters of
//! the lessons follow behind the commit ([`count`]).

use std::collections::BTreeMap;

use crate::{
    domain::{
        ids::{AttemptId, GoalId, LessonId, ProjectId},
        knowledge::{LessonState, LessonVerdict, standing::Owners},
    },
    store::{Tx, columns::uuids, traced},
};

/// A lesson that is given to an attempt.
#[derive(Debug, Clone, Copy)]
pub struct NewExposure {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// Its goal.
    pub goal_id: GoalId,
    /// The lesson.
    pub lesson_id: LessonId,
    /// Its version.
    pub version: i32,
}

/// Records which lessons attempts are given, and counts them at the lessons, which are locked in the order of their
/// ids.
pub async fn record(tx: &mut Tx, exposures: &[NewExposure]) -> sqlx::Result<()> {
    if exposures.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "with given as materialized (
             select * from unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::int[])
                  as g (attempt_id, goal_id, lesson_id, version)
         ), held as materialized (
             select l.lesson_id from lessons l
             where l.workspace_id = $1 and l.lesson_id = any($5)
             order by l.lesson_id
             for no key update
         ), stored as (
             insert into exposures (workspace_id, attempt_id, lesson_id, goal_id, shown_at, version)
             select $1, g.attempt_id, g.lesson_id, g.goal_id, $2, g.version
             from given g
             join held h on h.lesson_id = g.lesson_id
             on conflict do nothing
             returning lesson_id
         )
         update lessons l
         set shown = l.shown + s.attempts, last_shown_at = greatest(l.last_shown_at, $2)
         from (select lesson_id, count(*) as attempts from stored group by lesson_id) s
         where l.workspace_id = $1 and l.lesson_id = s.lesson_id",
        tx.workspace.0,
        tx.now,
        &exposures.iter().map(|one| one.attempt_id.0).collect::<Vec<_>>(),
        &exposures.iter().map(|one| one.goal_id.0).collect::<Vec<_>>(),
        &exposures.iter().map(|one| one.lesson_id.0).collect::<Vec<_>>(),
        &exposures.iter().map(|one| one.version).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "knowledge.exposures.record"))
    .await?;
    Ok(())
}

/// The lessons that attempts were given.
pub async fn of_attempts(
    tx: &mut Tx,
    attempts: &[AttemptId],
) -> sqlx::Result<Vec<(AttemptId, LessonId)>> {
    let rows = sqlx::query!(
        r#"select attempt_id as "attempt_id: AttemptId", lesson_id as "lesson_id: LessonId"
           from exposures
           where workspace_id = $1 and attempt_id = any($2)"#,
        tx.workspace.0,
        &uuids(attempts),
    )
    .fetch_all(traced!(tx, "knowledge.exposures.of_attempts"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.attempt_id, row.lesson_id)).collect())
}

/// What an agent says of a lesson.
#[derive(Debug, Clone)]
pub struct NewVerdict {
    /// Its attempt.
    pub attempt_id: AttemptId,
    /// The lesson.
    pub lesson_id: LessonId,
    /// The verdict.
    pub verdict: LessonVerdict,
    /// Owner of the agent, or the agent or key itself without one.
    pub owner: String,
}

/// Stores verdicts. Writes nothing without any.
pub async fn judge(tx: &mut Tx, verdicts: &[NewVerdict]) -> sqlx::Result<()> {
    if verdicts.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update exposures e
         set verdict = v.verdict, owner = v.owner
         from unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[]) as v (attempt_id, lesson_id, verdict, owner)
         where e.workspace_id = $1 and e.attempt_id = v.attempt_id and e.lesson_id = v.lesson_id
           and e.verdict is null",
        tx.workspace.0,
        &verdicts.iter().map(|one| one.attempt_id.0).collect::<Vec<_>>(),
        &verdicts.iter().map(|one| one.lesson_id.0).collect::<Vec<_>>(),
        &verdicts.iter().map(|one| one.verdict.as_str().to_owned()).collect::<Vec<_>>(),
        &verdicts.iter().map(|one| one.owner.clone()).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "knowledge.exposures.judge"))
    .await?;
    Ok(())
}

/// Whether a verdict is not counted yet.
pub async fn are_uncounted(tx: &mut Tx) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from exposures
                          where workspace_id = $1 and verdict is not null and not counted) as "uncounted!""#,
        tx.workspace.0,
    )
    .fetch_one(traced!(tx, "knowledge.exposures.are_uncounted"))
    .await
}

/// Counts up to `rows` verdicts at their lessons, once each; returns the lessons, and whether more may be left. The
/// caller holds the cursor of the workspace, so nobody else counts.
pub async fn count(tx: &mut Tx, rows: i64) -> sqlx::Result<(Vec<LessonId>, bool)> {
    let counted = sqlx::query!(
        r#"
        with next as materialized (
            select attempt_id, lesson_id from exposures
            where workspace_id = $1 and verdict is not null and not counted
            order by attempt_id, lesson_id
            limit $2
            for no key update
        )
        update exposures e
        set counted = true
        from next n
        where e.workspace_id = $1 and e.attempt_id = n.attempt_id and e.lesson_id = n.lesson_id
        returning e.lesson_id as "lesson_id: LessonId", e.verdict as "verdict!: LessonVerdict"
        "#,
        tx.workspace.0,
        rows,
    )
    .fetch_all(traced!(tx, "knowledge.exposures.count"))
    .await?;
    let more = i64::try_from(counted.len()).is_ok_and(|count| count >= rows);
    let mut sums: BTreeMap<LessonId, [i32; 4]> = BTreeMap::new();
    for row in counted {
        let place = match row.verdict {
            LessonVerdict::Helpful => 0,
            LessonVerdict::Harmful => 1,
            LessonVerdict::Irrelevant => 2,
            LessonVerdict::Unused => 3,
        };
        sums.entry(row.lesson_id).or_default()[place] += 1;
    }
    if sums.is_empty() {
        return Ok((Vec::new(), more));
    }
    let column = |place: usize| sums.values().map(|sum| sum[place]).collect::<Vec<i32>>();
    let lessons: Vec<LessonId> = sums.keys().copied().collect();
    sqlx::query!(
        "with held as materialized (
             select lesson_id from lessons
             where workspace_id = $1 and lesson_id = any($2)
             order by lesson_id
             for no key update
         )
         update lessons l
         set helpful = l.helpful + v.helpful, harmful = l.harmful + v.harmful,
             irrelevant = l.irrelevant + v.irrelevant, unused = l.unused + v.unused
         from unnest($2::uuid[], $3::int[], $4::int[], $5::int[], $6::int[])
              as v (lesson_id, helpful, harmful, irrelevant, unused)
         join held h on h.lesson_id = v.lesson_id
         where l.workspace_id = $1 and l.lesson_id = v.lesson_id",
        tx.workspace.0,
        &uuids(&lessons),
        &column(0),
        &column(1),
        &column(2),
        &column(3),
    )
    .execute(traced!(tx, "knowledge.exposures.count"))
    .await?;
    Ok((lessons, more))
}

/// A lesson with the owners whose agents judged it.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// The lesson.
    pub lesson_id: LessonId,
    /// Its project.
    pub project_id: Option<ProjectId>,
    /// Its state.
    pub state: LessonState,
    /// Different owners by verdict.
    pub owners: Owners,
}

/// The owners whose agents judged lessons since these were last written or changed their state. Older verdicts are
/// about another text, or a person decided after them.
pub async fn standings(tx: &mut Tx, lessons: &[LessonId]) -> sqlx::Result<Vec<Standing>> {
    let rows = sqlx::query!(
        r#"
        select l.lesson_id as "lesson_id: LessonId", l.project_id as "project_id: ProjectId",
               l.state as "state: LessonState",
               count(distinct e.owner) filter (where e.verdict = 'helpful') as "helpful!",
               count(distinct e.owner) filter (where e.verdict = 'harmful') as "harmful!"
        from lessons l
        left join exposures e on e.workspace_id = $1 and e.lesson_id = l.lesson_id
             and e.shown_at >= l.changed_at
        where l.workspace_id = $1 and l.lesson_id = any($2)
        group by l.workspace_id, l.lesson_id
        order by l.lesson_id
        "#,
        tx.workspace.0,
        &uuids(lessons),
    )
    .fetch_all(traced!(tx, "knowledge.exposures.standings"))
    .await?;
    let standings = rows.into_iter().map(|row| Standing {
        lesson_id: row.lesson_id,
        project_id: row.project_id,
        state: row.state,
        owners: Owners { helpful: row.helpful.unsigned_abs(), harmful: row.harmful.unsigned_abs() },
    });
    Ok(standings.collect())
}

/// Sets the longest wait for a lock in this transaction, in milliseconds.
pub async fn wait_at_most(tx: &mut Tx, millis: i32) -> sqlx::Result<()> {
    sqlx::query!("select set_config('lock_timeout', $1::int::text || 'ms', true)", millis)
        .fetch_one(traced!(tx, "knowledge.exposures.wait_at_most"))
        .await?;
    Ok(())
}
