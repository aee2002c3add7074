//! Checks of results by other agents: the tasks for them, and what follows from their findings.
//!
//! A result with a criterion that its attempt cannot satisfy alone (`command`, `review`, a demanded tier) is submitted,
//! and its task stays `reviewing`. For each kind of check there is one task of the goal, which no author may claim.
//! When all of them have ended, in the transaction of the last:
//! - a criterion that is not met rejects the result, as a person would: with feedback by criterion, and at most
//!   `max_rework` times; then a person chooses how the task goes on;
//! - if the result needs the approval of a person, or a check said nothing because it failed or was cancelled, a person
//!   is asked. They see all evidence, and waive what is missing;
//! - otherwise the result is accepted.
//!
//! Decisions:
//! - Checks come before the approval of a person: nobody reads what a program refuses.
//! - Checks take no approval from the defaults of their goal, and no budget of their own. They weigh nothing.
//! - A check does not decide its goal. One that has ended is not brought back: a person was asked.
//! - When the checked task leaves `reviewing`, its open checks are cancelled (see [`super::cascade`]).
//!
//! The caller holds the lock of the goal.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt::Write as _,
};

use serde_json::json;

use super::{
    change::Change,
    create::{InsertPoint, create_own},
};
use crate::{
    app::{
        Result, Unit,
        approvals::ask,
        unit::locks::{find, locked},
    },
    domain::{
        approval::review::{self, FeedbackPoint, Rejection},
        criterion::{
            self, COMMAND, Criterion, CriterionSpec, CriterionType, Found, Outcome, Terms,
        },
        ids::{AttemptId, GoalId, TaskId},
        plan::{ApprovalPoints, TaskSpec, new_goal::with_defaults},
        settings,
        states::{ApprovalKind, TaskState},
        task::TaskFacts,
    },
    store::{
        self,
        approvals::NewApproval,
        tasks::checks::{CheckedRow, NewCheck, SubmittedRow},
    },
};

/// Most bytes of a result in the input of its check; a larger one is read with the attempt.
const RESULT_BYTES: i32 = 64 << 10;
/// Most bytes of the feedback about one criterion.
const FEEDBACK_BYTES: usize = 4096;

/// A kind of check: one task each.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Runs programs.
    Command,
    /// Looks at the result.
    Review { other_owner: bool, capabilities: Vec<String> },
}

impl Kind {
    fn capabilities(&self) -> Vec<String> {
        match self {
            Self::Command => vec![COMMAND.to_owned()],
            Self::Review { capabilities, .. } => capabilities.clone(),
        }
    }

    const fn other_owner(&self) -> bool {
        match self {
            Self::Command => false,
            Self::Review { other_owner, .. } => *other_owner,
        }
    }

    /// How a check has a criterion.
    fn criterion(&self, of: &CheckedRow) -> CriterionSpec {
        let text =
            CriterionSpec { text: of.text.clone(), required: true, ..CriterionSpec::default() };
        match self {
            Self::Command => {
                let command = terms(of).command;
                let terms = Terms { command, ..Terms::default() };
                CriterionSpec { r#type: CriterionType::Command, terms, ..text }
            }
            Self::Review { .. } => text,
        }
    }
}

fn terms(row: &CheckedRow) -> Terms {
    row.terms.as_ref().map(|terms| terms.0.clone()).unwrap_or_default()
}

/// The checks that a criterion needs.
fn kinds(row: &CheckedRow) -> Vec<Kind> {
    let terms = terms(row);
    let review = terms.review.clone().unwrap_or_default();
    let needs = criterion::needs(&Criterion {
        number: row.number,
        required: row.required,
        r#type: row.r#type,
        terms,
        min_tier: row.min_tier,
        reports: false,
    });
    let other_owner = review.other_owner;
    let review = Kind::Review { other_owner, capabilities: review.capabilities };
    let command = needs.command.then_some(Kind::Command);
    command.into_iter().chain(needs.review.then_some(review)).collect()
}

/// Makes the tasks that check submitted results, which need checks.
pub(in crate::app) async fn begin(unit: &mut Unit, attempts: &[AttemptId]) -> Result<()> {
    if attempts.is_empty() {
        return Ok(());
    }
    let submitted = store::tasks::checks::submitted(unit.tx(), attempts, RESULT_BYTES).await?;
    let tasks: Vec<TaskId> = submitted.iter().map(|row| row.task_id).collect();
    let mut criteria: HashMap<TaskId, Vec<CheckedRow>> = HashMap::new();
    for row in store::tasks::checks::criteria(unit.tx(), &tasks).await? {
        criteria.entry(row.task_id).or_default().push(row);
    }
    let mut by_goal: BTreeMap<GoalId, Planned> = BTreeMap::new();
    for row in submitted {
        let of_task = criteria.remove(&row.task_id).unwrap_or_default();
        by_goal.entry(row.goal_id).or_default().add(&row, &of_task);
    }
    let mut checks = Vec::new();
    for (goal, planned) in by_goal {
        checks.extend(planned.make(unit, goal).await?);
    }
    if checks.is_empty() {
        return Ok(());
    }
    Ok(store::tasks::checks::mark(unit.tx(), &checks).await?)
}

/// The checks of results of one goal, made in a few statements however many there are: completions wait for each other
/// under the lock of their goal.
#[derive(Default)]
struct Planned {
    specs: Vec<TaskSpec>,
    /// By check: the result, whether it excludes other agents of the owner of the author, and the criteria.
    of: Vec<(AttemptId, bool, Vec<i16>)>,
}

impl Planned {
    fn add(&mut self, row: &SubmittedRow, criteria: &[CheckedRow]) {
        let mut by_kind: BTreeMap<Kind, Vec<&CheckedRow>> = BTreeMap::new();
        for criterion in criteria {
            for kind in kinds(criterion) {
                by_kind.entry(kind).or_default().push(criterion);
            }
        }
        let specs = by_kind.iter().zip(1..).map(|((kind, of), place)| spec(row, kind, of, place));
        let mut specs: Vec<TaskSpec> = specs.collect();
        with_defaults(&mut specs, &row.task_defaults.0);
        for spec in &mut specs {
            spec.priority = Some(row.priority);
            spec.approval = ApprovalPoints::default();
        }
        self.specs.extend(specs);
        self.of.extend(by_kind.iter().map(|(kind, of)| {
            let numbers = of.iter().map(|criterion| criterion.number).collect();
            (row.attempt_id, kind.other_owner(), numbers)
        }));
    }

    async fn make(mut self, unit: &mut Unit, goal: GoalId) -> Result<Vec<NewCheck>> {
        if self.specs.is_empty() {
            return Ok(Vec::new());
        }
        let refs: Vec<String> = self.specs.iter().map(|spec| spec.r#ref.clone()).collect();
        let room = store::tasks::room(unit.tx(), goal, &refs).await?;
        let mut taken: HashSet<String> = room.taken.into_iter().collect();
        for spec in &mut self.specs {
            // Taken also by another one of these: long names are cut.
            if !taken.insert(spec.r#ref.clone()) {
                spec.r#ref = format!("check-{}", unit.id::<TaskId>());
            }
        }
        let at = InsertPoint {
            goal,
            priority: settings::PRIORITY,
            position: room.next_position,
            parent: None,
            risk: None,
        };
        let made = create_own(unit, at, &self.specs).await?;
        let check = |(made, (attempt_id, other_owner, numbers))| {
            let super::create::Made { task_id, .. } = made;
            NewCheck { task_id, attempt_id, other_owner, numbers }
        };
        Ok(made.into_iter().zip(self.of).map(check).collect())
    }
}

fn spec(row: &SubmittedRow, kind: &Kind, criteria: &[&CheckedRow], place: usize) -> TaskSpec {
    let end = format!("-{}-{place}", row.attempt_number);
    let room = settings::REF_CHARS - "check-".len() - end.len();
    let reference: String = row.reference.chars().take(room).collect();
    let title = format!("Check: {}", row.title);
    TaskSpec {
        r#ref: format!("check-{reference}{end}"),
        title: title.chars().take(settings::TITLE_CHARS).collect(),
        description: description(row, kind),
        capabilities: kind.capabilities(),
        criteria: criteria.iter().map(|criterion| kind.criterion(criterion)).collect(),
        labels: vec!["check".to_owned()],
        input: Some(json!({
            "task_id": row.task_id,
            "attempt_id": row.attempt_id,
            "result": row.result,
            "artifacts": row.artifacts,
        })),
        ..TaskSpec::default()
    }
}

fn description(row: &SubmittedRow, kind: &Kind) -> String {
    let (task, attempt) = (row.task_id, row.attempt_id);
    let mut text = match kind {
        Kind::Command => {
            "Run the program of each criterion of this task on the result below, and complete it with evidence for \
             each: `exit_code`, and the end of the output as `text`. The server compares the exit code."
        }
        Kind::Review { .. } => {
            "Look at the result below, which another agent made, and judge each criterion of this task by yourself. \
             Complete it with evidence for each. If a criterion is not met, its evidence has `\"met\": false` and says \
             what is wrong and what would be right."
        }
    }
    .to_owned();
    let _ = write!(
        text,
        " Mend nothing yourself: the task goes back to be mended.\n\n\
         What was asked for is at `GET /v1/tasks/{task}`, the result with its evidence at \
         `GET /v1/attempts/{attempt}`, its artifacts at `GET /v1/artifacts/{{sha256}}`. `input` repeats the result if it \
         is small.\n"
    );
    text
}

/// Decides about results of which a check has ended, if it was the last. Returns the changes of their tasks.
pub(super) async fn advance(unit: &mut Unit, attempts: &[AttemptId]) -> Result<Vec<Change>> {
    let over = store::tasks::checks::over(unit.tx(), attempts).await?;
    if over.is_empty() {
        return Ok(Vec::new());
    }
    let tasks: Vec<TaskId> = over.iter().map(|checked| checked.task_id).collect();
    let attempts: Vec<AttemptId> = over.iter().map(|checked| checked.attempt_id).collect();
    let facts = store::tasks::lock(unit.tx(), &tasks).await?;
    store::tasks::checks::take_over(unit.tx(), &attempts).await?;
    let mut changes = Vec::new();
    for task in facts {
        let Some(attempt) = task.current_attempt.filter(|id| attempts.contains(id)) else {
            continue;
        };
        if task.state == TaskState::Reviewing {
            changes.extend(decide(unit, task, attempt).await?);
        }
    }
    Ok(changes)
}

async fn decide(unit: &mut Unit, task: TaskFacts, attempt: AttemptId) -> Result<Option<Change>> {
    let found = store::tasks::checks::found(unit.tx(), task.task_id, attempt).await?;
    let facts: Vec<Found> = found.iter().map(|(found, _)| *found).collect();
    match criterion::outcome(&facts, task.approve_result) {
        Outcome::Accept => {
            let ending = review::review(&task, true, unit.now());
            ended(unit, task, attempt, ending, None).await.map(Some)
        }
        Outcome::Ask => {
            ask(unit, &task, attempt, None).await?;
            Ok(None)
        }
        Outcome::Reject(numbers) => {
            let points = found.into_iter().filter(|(found, _)| numbers.contains(&found.number));
            let points = points.map(|(found, wrong)| FeedbackPoint {
                criterion: Some(found.number),
                text: cut(wrong.as_deref().unwrap_or("it is not met")),
                must: true,
            });
            reject(unit, task, attempt, points.collect()).await
        }
    }
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(FEEDBACK_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

async fn reject(
    unit: &mut Unit,
    task: TaskFacts,
    attempt: AttemptId,
    points: Vec<FeedbackPoint>,
) -> Result<Option<Change>> {
    let numbers: Vec<String> =
        points.iter().filter_map(|point| Some(point.criterion?.to_string())).collect();
    let reason = format!("checks found that criteria are not met: {}", numbers.join(", "));
    let said = json!(points);
    store::approvals::reviews::add_feedback(unit.tx(), attempt, Some(&reason), &said).await?;
    let (reworks, rejection) = review::rejected(&task, unit.now());
    store::approvals::reviews::set_reworks(unit.tx(), task.task_id, reworks).await?;
    match rejection {
        Rejection::Again(ending) => {
            let reason = Some(format!("its result was not accepted: {reason}"));
            ended(unit, task, attempt, ending, reason).await.map(Some)
        }
        Rejection::Choose => {
            let rejected_for = json!({"reason": reason, "feedback": said});
            ask(unit, &task, attempt, Some((reworks, rejected_for))).await?;
            Ok(None)
        }
    }
}

async fn ended(
    unit: &mut Unit,
    task: TaskFacts,
    attempt: AttemptId,
    ending: crate::domain::task::Ending,
    reason: Option<String>,
) -> Result<Change> {
    let holder = find(&locked(unit, &[attempt]).await?, attempt)?.holder;
    store::attempts::end(unit.tx(), &[(attempt, ending.attempt)]).await?;
    Ok(Change::by_attempt(task, attempt, holder, ending, reason))
}

/// Asks a person about a checked result. `last`: the rejections so far, and why, if there is no round left.
async fn ask(
    unit: &mut Unit,
    task: &TaskFacts,
    attempt: AttemptId,
    last: Option<(i32, serde_json::Value)>,
) -> Result<()> {
    let mut payload = store::tasks::checks::payload(unit.tx(), task.task_id, attempt).await?;
    let last_round = last.is_some();
    if let Some((reworks, rejected_for)) = last {
        payload["rejections"] = json!(reworks);
        payload["rejected_for"] = rejected_for;
    }
    let goal: GoalId = task.goal_id;
    let question = NewApproval {
        task_id: Some(task.task_id),
        attempt_id: Some(attempt),
        payload: Some(payload),
        last_round,
        ..NewApproval::new(unit.id(), ApprovalKind::Result, goal)
    };
    ask::ask(unit, vec![question]).await
}
