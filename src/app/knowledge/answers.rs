//! Already solved? The nearest finished tasks, with what they used and how far they are verified.
//!
//! Candidates come from the search of lessons: digests of done tasks that share words with the title. Those whose titles
//! are alike ([`alike`]) are offered, the most alike first. Nobody has to believe them: an operator or the holder of an
//! attempt accepts an answer, or the task is worked on.
//!
//! When a goal is posted or previewed, its first [`TASKS`] tasks are looked at, as far as time allows; the answer says how
//! many were.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    search::{self, Asked, Found},
    sight::Sight,
};
use crate::{
    app::{
        App, Result,
        caller::{Caller as _, Principal, ProjectReaderCaller},
    },
    clock::Stopwatch,
    domain::{
        access::person::Person,
        check::Checks,
        criterion::EvidenceTier,
        ids::{AgentId, GoalId, KeyId, LessonId, TaskId},
        knowledge::{
            Trust,
            alike::{ALIKE, TitleWords},
            bounds,
        },
        plan::TaskSpec,
        refusal::Refusal,
        spend::{Amounts, MONEY, WALL_MS},
    },
    store::{
        self, Tx,
        knowledge::answers::{AcceptedRow, DigestRow},
    },
};

/// Candidates of a search whose titles are compared.
pub(in crate::app) const CANDIDATES: usize = 100;
/// Most answers that are offered at a time.
const ANSWERS: usize = 10;
/// Most answers that are offered with a claim and with each task of a plan.
pub(in crate::app) const WITH_TASK: usize = 3;
/// Most tasks of a plan that are looked at.
const TASKS: usize = 50;

/// A finished task that may have answered another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SolvedBy {
    /// Its digest: name it to accept the answer, and read it at `GET /v1/lessons/{lesson_id}`.
    pub lesson_id: LessonId,
    /// The finished task: `GET /v1/tasks/{task_id}`, unless it is pruned.
    pub task_id: TaskId,
    /// Its goal; `null` for an imported digest.
    pub goal_id: Option<GoalId>,
    /// Its title.
    #[schema(example = "Write the importer")]
    pub title: String,
    /// Likeness of both titles, from 0.45 to 1.
    #[schema(example = 0.83)]
    pub likeness: f64,
    /// Least tier of the evidence for its required criteria; `null`: it has none, or is pruned.
    pub tier: Option<EvidenceTier>,
    /// How far its result is verified.
    pub trust: Trust,
    /// What it used, by unit, with `attempts` and `wall_ms`; `null`: it is pruned.
    #[schema(example = json!({"usd_micros": 250_000, "attempts": 1, "wall_ms": 93_000}))]
    pub used: Option<Amounts>,
    /// When it was done.
    pub done_at: DateTime<Utc>,
    /// Seconds since then.
    #[schema(example = 86_400)]
    pub age_seconds: i64,
}

/// An answer that was accepted for a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AcceptedAnswer {
    /// The earlier task whose result was taken.
    pub task_id: TaskId,
    /// Its digest.
    pub lesson_id: LessonId,
    /// The key that accepted it.
    pub accepted_by: Option<KeyId>,
    /// The person of the key; `null`: an agent accepted it, or the key has no person.
    pub person: Option<Person>,
    /// The agent that accepted it during its attempt; `null`: a person did.
    pub agent_id: Option<AgentId>,
    /// When it was accepted.
    pub accepted_at: DateTime<Utc>,
    /// What the earlier task had cost, in millionths of a US dollar.
    pub saved_usd_micros: i64,
    /// Tokens that it had used.
    pub saved_tokens: i64,
    /// Time that its attempts had taken, in milliseconds.
    pub saved_wall_ms: i64,
}

impl From<AcceptedRow> for AcceptedAnswer {
    fn from(row: AcceptedRow) -> Self {
        Self {
            task_id: row.source_task,
            lesson_id: row.lesson_id,
            accepted_by: row.accepted_by,
            person: row.person,
            agent_id: row.agent_id,
            accepted_at: row.accepted_at,
            saved_usd_micros: row.saved_usd_micros,
            saved_tokens: row.saved_tokens,
            saved_wall_ms: row.saved_wall_ms,
        }
    }
}

/// Finished tasks that may have answered a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Answers {
    /// The most alike first; at most 10.
    pub answers: Vec<SolvedBy>,
    /// The answer that was accepted for the task; `null`: none, or it is about a text.
    pub accepted: Option<AcceptedAnswer>,
}

/// A task that does not exist yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswersRequest {
    /// Title of the task, or a text whose first line is one. At most 10,000 characters.
    #[schema(example = "Write the importer", max_length = 10_000)]
    pub text: String,
}

/// The tasks of a plan that earlier ones may have answered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SolvedTasks {
    /// Number of tasks that were looked at: the first 50, as far as time allowed.
    #[schema(example = 12, minimum = 0)]
    pub looked_at: u32,
    /// Number of tasks of the plan, without containers and done ones.
    #[schema(example = 12, minimum = 0)]
    pub of: u32,
    /// Those for which finished tasks were found, in the order of the plan.
    pub tasks: Vec<SolvedTask>,
}

/// A task of a plan that earlier ones may have answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SolvedTask {
    /// Its name in the plan.
    #[schema(example = "importer")]
    pub r#ref: String,
    /// Finished tasks, the most alike first; at most 3.
    pub answers: Vec<SolvedBy>,
}

/// The finished tasks with titles most like `title`, at most `most`, as a caller sees them. `except`: this task is none of
/// them.
pub(in crate::app) async fn nearest(
    tx: &mut Tx,
    sight: &Sight,
    title: &str,
    except: Option<TaskId>,
    most: usize,
) -> Result<Vec<SolvedBy>> {
    // All kinds: to count only digests costs more than to compare some titles in vain.
    let found = search::find(tx, sight, &Asked::new(title, CANDIDATES)).await?;
    among(tx, sight, &found, title, except, most).await
}

/// The same among what a search found.
pub(in crate::app) async fn among(
    tx: &mut Tx,
    sight: &Sight,
    found: &Found,
    title: &str,
    except: Option<TaskId>,
    most: usize,
) -> Result<Vec<SolvedBy>> {
    let words = TitleWords::of(title);
    let ids: Vec<LessonId> = found.hits.iter().map(|hit| hit.lesson_id).collect();
    let digests = store::knowledge::answers::digests(tx, &ids).await?;
    let mut alike: Vec<(f64, DigestRow)> = digests
        .into_iter()
        .filter(|row| Some(row.task_id) != except && sight.sees(row.project_id, row.state))
        .map(|row| (words.likeness(&TitleWords::of(&row.title)), row))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .collect();
    // Of equally alike ones the latest, whose result is the least out of date.
    alike.sort_by(|(a, one), (b, other)| {
        b.total_cmp(a)
            .then_with(|| other.done_at.cmp(&one.done_at))
            .then_with(|| one.lesson_id.cmp(&other.lesson_id))
    });
    alike.truncate(most);
    let stored: Vec<TaskId> =
        alike.iter().filter(|(_, row)| row.stored).map(|(_, row)| row.task_id).collect();
    let used = store::knowledge::answers::used(tx, &stored).await?;
    let now = tx.now;
    Ok(alike.into_iter().map(|(likeness, row)| solved_by(row, likeness, &used, now)).collect())
}

fn solved_by(
    row: DigestRow,
    likeness: f64,
    used: &HashMap<TaskId, Amounts>,
    now: DateTime<Utc>,
) -> SolvedBy {
    SolvedBy {
        lesson_id: row.lesson_id,
        task_id: row.task_id,
        goal_id: row.goal_id,
        title: row.title,
        likeness,
        tier: row.tier,
        trust: row.trust,
        used: used.get(&row.task_id).cloned(),
        done_at: row.done_at,
        age_seconds: (now - row.done_at).num_seconds().max(0),
    }
}

/// What a task saved by its amounts: money, tokens and time.
pub(in crate::app) fn saving(used: Option<&Amounts>) -> (i64, i64, i64) {
    let amount = |unit: &str| used.and_then(|used| used.get(unit)).copied().unwrap_or_default();
    let tokens = used.into_iter().flatten().filter(|(unit, _)| unit.ends_with("_tokens"));
    let tokens = tokens.fold(0_i64, |sum, (_, amount)| sum.saturating_add(*amount));
    (amount(MONEY), tokens, amount(WALL_MS))
}

impl App {
    /// Finished tasks that may have answered a task, and the answer that was accepted for it.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn task_answers(
        &self,
        caller: &ProjectReaderCaller,
        task: TaskId,
    ) -> Result<Answers> {
        let principal = caller.principal();
        self.see_task(principal, task).await?;
        self.capture_before_search(principal.workspace).await;
        let mut tx = self.reader(principal.workspace).await?;
        let subject = store::knowledge::answers::subjects(&mut tx, &[task]).await?.remove(&task);
        let subject = subject.ok_or_else(|| Refusal::not_found("task"))?;
        let sight = Sight::of(&mut tx, principal).await?;
        let answers = nearest(&mut tx, &sight, &subject.title, Some(task), ANSWERS).await?;
        let accepted = store::knowledge::answers::accepted(&mut tx, task).await?;
        Ok(Answers { answers, accepted: accepted.map(AcceptedAnswer::from) })
    }

    /// Finished tasks that may have answered a task that does not exist yet.
    ///
    /// # Errors
    /// `invalid`.
    pub async fn text_answers(
        &self,
        caller: &ProjectReaderCaller,
        request: &AnswersRequest,
    ) -> Result<Answers> {
        let mut checks = Checks::new();
        checks.chars("/text", &request.text, bounds::QUERY_CHARS);
        checks.finish()?;
        let principal = caller.principal();
        self.capture_before_search(principal.workspace).await;
        let mut tx = self.reader(principal.workspace).await?;
        let sight = Sight::of(&mut tx, principal).await?;
        let title = request.text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let answers = nearest(&mut tx, &sight, title, None, ANSWERS).await?;
        Ok(Answers { answers, accepted: None })
    }

    /// Finished tasks that may have answered the tasks of a plan. Nothing is searched in a workspace without lessons.
    /// An error leaves them out: a post does not depend on them.
    pub(in crate::app) async fn solved_tasks(
        &self,
        principal: &Principal,
        tasks: &[TaskSpec],
    ) -> SolvedTasks {
        // Nothing to be found: the answer says so, whether it is repeated or not.
        if matches!(self.lesson_offer(principal.workspace).await, Ok(None)) {
            return SolvedTasks::default();
        }
        let containers: HashSet<&str> =
            tasks.iter().filter_map(|task| task.parent.as_deref()).collect();
        let worked_on = |task: &&TaskSpec| !task.done && !containers.contains(task.r#ref.as_str());
        let asked: Vec<&TaskSpec> = tasks.iter().filter(worked_on).collect();
        let of = u32::try_from(asked.len()).unwrap_or(u32::MAX);
        let watch = Stopwatch::start();
        let solved = match self.look_for(principal, &asked, &watch).await {
            Ok(solved) => solved,
            Err(error) => {
                tracing::warn!(%error, "finished tasks like those of a plan were not looked for");
                SolvedTasks::default()
            }
        };
        SolvedTasks { of, ..solved }
    }

    /// The same for the latest plan of a goal.
    pub(in crate::app) async fn solved_in_goal(
        &self,
        principal: &Principal,
        goal: GoalId,
    ) -> SolvedTasks {
        match self.plan_to_look_at(principal, goal).await {
            Ok(Some(tasks)) => self.solved_tasks(principal, &tasks).await,
            Ok(None) => SolvedTasks::default(),
            Err(error) => {
                tracing::warn!(%error, %goal, "finished tasks like those of a goal were not looked for");
                SolvedTasks::default()
            }
        }
    }

    /// The tasks of the latest plan of a goal, if there is anything to be found.
    async fn plan_to_look_at(
        &self,
        principal: &Principal,
        goal: GoalId,
    ) -> Result<Option<Vec<TaskSpec>>> {
        let workspace = principal.workspace;
        if self.lesson_offer(workspace).await?.is_none() || !self.lesson_searches.may_begin() {
            return Ok(None);
        }
        let mut tx = self.reader(workspace).await?;
        let latest = store::goals::plans::list(&mut tx, goal, None, 1).await?.pop();
        Ok(latest.map(|plan| plan.document.0))
    }

    async fn look_for(
        &self,
        principal: &Principal,
        asked: &[&TaskSpec],
        watch: &Stopwatch,
    ) -> Result<SolvedTasks> {
        let mut solved = SolvedTasks::default();
        let workspace = principal.workspace;
        if asked.is_empty() || self.lesson_offer(workspace).await?.is_none() {
            return Ok(solved);
        }
        let mut tx = self.reader(workspace).await?;
        let sight = Sight::of(&mut tx, principal).await?;
        for task in asked.iter().take(TASKS) {
            if watch.elapsed() >= self.lesson_searches.within() || !self.lesson_searches.may_begin()
            {
                break;
            }
            let search = Stopwatch::start();
            let answers = nearest(&mut tx, &sight, &task.title, None, WITH_TASK).await?;
            self.lesson_searches.charge(search.elapsed());
            solved.looked_at += 1;
            if !answers.is_empty() {
                solved.tasks.push(SolvedTask { r#ref: task.r#ref.clone(), answers });
            }
        }
        Ok(solved)
    }
}
