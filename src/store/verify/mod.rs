//! Looking for what breaks an invariant.
//!
//! One query for each invariant, that finds everything that breaks it and nothing else; which query
//! is an exhaustive match, so a new promise does not compile until it can be checked. The caller
//! runs them in one transaction that [`hold_still`] has made: all of them see the same moment, so
//! they are right beside running traffic. They only read, and lock nothing.
//!
//! The queries are made for large data: whole tables are read once and joined by hash or by merge;
//! nothing is looked up row by row but what is rare. Only a few examples leave the database.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::domain::{ids::WorkspaceId, invariant::Invariant, task::story};

mod attempts;
mod audit;
mod budgets;
mod endings;
mod events;
mod freezes;
mod goals;
mod questions;
mod spend;
mod tasks;
mod times;

/// Something that breaks an invariant.
#[derive(Debug, Clone)]
pub struct Violation {
    /// What it is: `task`, `attempt`, ...
    pub subject: String,
    /// Its id; for an event its number.
    pub id: String,
    /// What was found, for people.
    pub found: String,
    /// How many break the invariant in all.
    pub total: i64,
}

/// Where and as of when an invariant is checked.
#[derive(Debug, Clone, Copy)]
pub struct Scope {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// What was due by then and still rests breaks a promise about time.
    pub due: DateTime<Utc>,
}

/// Makes the transaction that just began one that sees a single moment and changes nothing. Must be
/// its first statement. It uses one core at most, and may do what short statements may not (sort in
/// much memory, read and join whole tables), because it reads everything.
///
/// # Errors
/// When the database fails.
pub async fn hold_still(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("set transaction isolation level repeatable read, read only")
        .execute(&mut *conn)
        .await?;
    sqlx::query!(
        r#"select set_config('work_mem', '64MB', true) as "memory",
                  set_config('max_parallel_workers_per_gather', '0', true) as "workers",
                  set_config('enable_seqscan', 'on', true) as "scan",
                  set_config('enable_hashjoin', 'on', true) as "hash",
                  set_config('enable_mergejoin', 'on', true) as "merge""#
    )
    .fetch_one(conn)
    .await?;
    Ok(())
}

/// The time at which the transaction began.
///
/// # Errors
/// When the database fails.
pub async fn moment(conn: &mut PgConnection) -> sqlx::Result<DateTime<Utc>> {
    sqlx::query_scalar!(r#"select transaction_timestamp() as "now!""#).fetch_one(conn).await
}

/// Ends every further statement of the transaction that takes longer than this.
///
/// # Errors
/// When the database fails.
pub async fn limit_statements(conn: &mut PgConnection, milliseconds: i64) -> sqlx::Result<()> {
    sqlx::query!(
        r#"select set_config('statement_timeout', $1, true) as "timeout""#,
        milliseconds.to_string(),
    )
    .fetch_one(conn)
    .await?;
    Ok(())
}

/// Turns `name: query;` into functions that look for what breaks an invariant. A query gives
/// (subject, id, found), each text; `$1` is the workspace and `$2` the number of examples.
macro_rules! finders {
    ($($name:ident $(($argument:expr))? : $query:tt;)+) => {$(
        pub(super) async fn $name(
            conn: &mut sqlx::PgConnection,
            scope: super::Scope,
        ) -> sqlx::Result<Vec<super::Violation>> {
            sqlx::query_as!(
                super::Violation,
                "with broken (subject, id, found) as (" + $query + ")
                 select subject as \"subject!\", id as \"id!\", found as \"found!\",
                        count(*) over () as \"total!\"
                 from broken order by id limit $2",
                scope.workspace.0,
                crate::domain::settings::VERIFY_SAMPLES,
                $(&$argument(scope),)?
            )
            .fetch_all(conn)
            .await
        }
    )+};
}
use finders;

/// A few of those that break the invariant, each with how many there are in all.
///
/// # Errors
/// When the database fails, or the query takes longer than [`limit_statements`] lets it.
pub async fn broken(
    conn: &mut PgConnection,
    scope: Scope,
    invariant: Invariant,
) -> sqlx::Result<Vec<Violation>> {
    match invariant {
        Invariant::OneLiveAttempt => attempts::one_live(conn, scope).await,
        Invariant::LiveAttemptIsCurrent => attempts::live_is_current(conn, scope).await,
        Invariant::RunningTaskHasAttempt => attempts::running_has_one(conn, scope).await,
        Invariant::AttemptsNumbered => attempts::numbered(conn, scope).await,
        Invariant::CurrentAttemptIsLast => attempts::current_is_last(conn, scope).await,
        Invariant::AttemptsUsedCounted => attempts::used_counted(conn, scope).await,
        Invariant::ContainersNotTried => attempts::containers_not_tried(conn, scope).await,
        Invariant::AgentsWithinLimit => attempts::agents_within_limit(conn, scope).await,
        Invariant::LeasesWithinDeadline => attempts::leases_within_deadline(conn, scope).await,
        Invariant::KeptForAgents => attempts::kept_for_agents(conn, scope).await,
        Invariant::DoneByOneAttempt => endings::done_by_one_attempt(conn, scope).await,
        Invariant::EndingsAnswered => endings::answered(conn, scope).await,
        Invariant::EvidenceGiven => endings::evidence_given(conn, scope).await,
        Invariant::EndedAtTheEnd => endings::ended_at_the_end(conn, scope).await,
        Invariant::GoalCounters => goals::counters(conn, scope).await,
        Invariant::GoalEndsWithTasks => goals::ends_with_tasks(conn, scope).await,
        Invariant::CompletedGoalIsDone => goals::completed_is_done(conn, scope).await,
        Invariant::EndedGoalIsQuiet => goals::ended_is_quiet(conn, scope).await,
        Invariant::OnePlanApplied => goals::one_plan_applied(conn, scope).await,
        Invariant::NeedsCounted => tasks::needs_counted(conn, scope).await,
        Invariant::DependencySatisfied => tasks::dependency_satisfied(conn, scope).await,
        Invariant::OfferedWithNeedsMet => tasks::offered_with_needs_met(conn, scope).await,
        Invariant::DoneAfterNeeds => tasks::done_after_needs(conn, scope).await,
        Invariant::ChildrenCounted => tasks::children_counted(conn, scope).await,
        Invariant::ContainerFollowsChildren => tasks::container_follows(conn, scope).await,
        Invariant::LostCausesEnd => tasks::lost_causes_end(conn, scope).await,
        Invariant::AttemptRowsBelong => attempts::rows_belong(conn, scope).await,
        Invariant::LinksWithinGoal => tasks::links_within_goal(conn, scope).await,
        Invariant::WaitingIsAsked => questions::waiting_is_asked(conn, scope).await,
        Invariant::QuestionIsAwaited => questions::question_is_awaited(conn, scope).await,
        Invariant::EventsWithoutGaps => events::without_gaps(conn, scope).await,
        Invariant::TaskEventsInOrder => events::in_order(conn, scope).await,
        Invariant::EventsTellTheState => events::tell_the_state(conn, scope).await,
        Invariant::TaskEndToldOnce => events::task_end_told_once(conn, scope).await,
        Invariant::GoalEndToldOnce => events::goal_end_told_once(conn, scope).await,
        Invariant::AttemptsTold => events::attempts_told(conn, scope).await,
        Invariant::AttemptSpendCounted => spend::of_attempts_counted(conn, scope).await,
        Invariant::SpendTotalsCounted => spend::totals_counted(conn, scope).await,
        Invariant::WindowsReservedCounted => budgets::reserved_counted(conn, scope).await,
        Invariant::WindowsSettledCounted => budgets::settled_counted(conn, scope).await,
        Invariant::ReservationsOfRunning => budgets::of_running(conn, scope).await,
        Invariant::ShortOfALimit => budgets::short_of_a_limit(conn, scope).await,
        Invariant::FreezesHold => freezes::hold(conn, scope).await,
        Invariant::VotesReachQuorum => questions::votes_reach_quorum(conn, scope).await,
        Invariant::ApprovalsExpire => times::approvals_expire(conn, scope).await,
        Invariant::AnswersCloseRules => questions::answers_close_rules(conn, scope).await,
        Invariant::AuditEndsWithHead => audit::ends_with_head(conn, scope).await,
        Invariant::LeasesSwept => times::leases_swept(conn, scope).await,
        Invariant::PromotedInTime => times::promoted_in_time(conn, scope).await,
        Invariant::DeadlinesEnforced => times::deadlines_enforced(conn, scope).await,
    }
}

/// When what an argument of a query says is due.
fn due(scope: Scope) -> DateTime<Utc> {
    scope.due
}

/// The stories that events may tell.
fn steps(_: Scope) -> Vec<String> {
    story::steps()
}
