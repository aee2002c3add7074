//! Capture: the digests of ended tasks, and the lessons that agents handed in.
//!
//! Behind the commit: the journal says which tasks ended, and the digest of each is written from what the database
//! knows. So finishing a task costs nothing more for it. A digest is written once for each end; a later end is a new
//! version of the same lesson. The number up to which the journal is captured moves in the transaction that writes the
//! lessons, so a killed process leaves out nothing and writes nothing twice.
//!
//! The duty works a tenth of its time at most: agents that claim go first, and behind a burst of ends the digests
//! follow later. A search does not wait for it: it captures the tail first ([`App::capture_tail`]), so the first search
//! after a commit finds what was committed. A tail of [`TAIL_ENDS`] ends or more is captured from its newest end, and
//! the duty fills the gap.
//!
//! Lessons of agents are candidates at the end of their attempt, and active when the task is done with that attempt
//! and verified.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    promote::by_evidence,
    state::{Reshelving, reshelve},
    views::LessonSource,
    write::{Became, NewText, Written, write},
};
use crate::{
    app::{App, Result, Unit, caller::Actor},
    clock::Stopwatch,
    domain::{
        budget::ask::Estimate,
        criterion::EvidenceTier,
        ids::{AttemptId, LessonId, TaskId, WorkspaceId},
        journal::{Kind, NewRow},
        knowledge::{
            LessonKind, LessonState, Origin, Outcome, Trust,
            digest::{self, AttemptFact, CriterionFact, Facts, SpendFact},
            secrets, standing,
        },
        states::TaskState,
    },
    store::{
        self,
        knowledge::{
            cursors::Cursor,
            facts::{self, AttemptRow, CommentRow, CriterionRow, TaskRow},
            handed::HandedRow,
        },
    },
};

/// Ends of tasks captured in one transaction.
const AT_ONCE: i64 = 25;
/// The same, of a list.
const CHUNK: usize = 25;
/// Lessons of agents captured in one transaction.
const HANDED_AT_ONCE: i64 = 100;
/// Time after which a run of the duty begins no further transaction.
const RUN: Duration = Duration::from_millis(60);
/// Time after which a search captures no more.
const TAIL: Duration = Duration::from_millis(300);
/// Newest ends that a search captures.
const TAIL_ENDS: i64 = 200;

/// What a run captured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::app) struct Captured {
    /// Ends of tasks that were read.
    pub read: u64,
    /// Lessons that were written.
    pub written: u64,
    /// Whether more is left.
    pub left: bool,
}

impl App {
    /// Captures what the journal has behind the last captured row, for a moment.
    pub(in crate::app) async fn capture_lessons(&self, workspace: WorkspaceId) -> Result<Captured> {
        self.capture_for(workspace, RUN).await
    }

    /// Captures the tail of the journal before a search: all of a short one, the newest ends of a long one.
    pub(in crate::app) async fn capture_tail(&self, workspace: WorkspaceId) -> Result<()> {
        let began = Stopwatch::start();
        if !self.captures {
            return Ok(());
        }
        let mut reader = self.reader(workspace).await?;
        let unread = store::knowledge::cursors::unread(&mut reader).await?;
        if unread.after >= unread.newest {
            return Ok(());
        }
        let ends = facts::ended(&mut reader, unread.after, AT_ONCE + 1).await?;
        if i64::try_from(ends.len()).is_ok_and(|count| count <= AT_ONCE) {
            drop(reader);
            return self.capture_for(workspace, TAIL).await.map(drop);
        }
        let newest = facts::newest_ended(&mut reader, unread.after, TAIL_ENDS).await?;
        drop(reader);
        for some in newest.chunks(CHUNK) {
            self.capture_ahead(workspace, some).await?;
            if began.elapsed() >= TAIL {
                break;
            }
        }
        Ok(())
    }

    /// Captures ends without moving the number up to which the journal is captured.
    async fn capture_ahead(&self, workspace: WorkspaceId, tasks: &[TaskId]) -> Result<()> {
        let mut unit = self.begin(workspace, Actor::SERVICE).await?;
        let mut cursor = store::knowledge::cursors::lock(unit.tx()).await?;
        hand_in(&mut unit, &mut cursor).await?;
        digest(&mut unit, &mut cursor, tasks).await?;
        store::knowledge::cursors::set(unit.tx(), cursor).await?;
        self.commit(unit).await?;
        self.lesson_searches.notice(workspace);
        Ok(())
    }

    async fn capture_for(&self, workspace: WorkspaceId, time: Duration) -> Result<Captured> {
        let mut all = Captured::default();
        if !self.captures {
            return Ok(all);
        }
        let began = Stopwatch::start();
        loop {
            let mut reader = self.reader(workspace).await?;
            let unread = store::knowledge::cursors::unread(&mut reader).await?;
            drop(reader);
            if unread.after >= unread.newest {
                all.left = false;
                return Ok(all);
            }
            let some = self.capture_some(workspace).await?;
            all.read += some.read;
            all.written += some.written;
            all.left = some.left;
            if !some.left || began.elapsed() >= time {
                return Ok(all);
            }
        }
    }

    async fn capture_some(&self, workspace: WorkspaceId) -> Result<Captured> {
        let mut unit = self.begin(workspace, Actor::SERVICE).await?;
        let mut cursor = store::knowledge::cursors::lock(unit.tx()).await?;
        let newest = store::knowledge::cursors::unread(unit.tx()).await?.newest;
        let handed = hand_in(&mut unit, &mut cursor).await?;
        let ended = facts::ended(unit.tx(), cursor.number, AT_ONCE).await?;
        let more = i64::try_from(ended.len()).is_ok_and(|count| count >= AT_ONCE);
        let last = ended.last().map_or(cursor.number, |end| end.number);
        let mut tasks: Vec<TaskId> = ended.iter().map(|end| end.task_id).collect();
        tasks.sort_unstable();
        tasks.dedup();
        let written = handed.written + digest(&mut unit, &mut cursor, &tasks).await?;
        // A row that was committed after the newest was read may be among the ends.
        cursor.number = match (more, handed.left) {
            (true, _) => last,
            // The rest of the lessons is captured with these rows.
            (false, true) => cursor.number,
            (false, false) => newest.max(last),
        };
        store::knowledge::cursors::set(unit.tx(), cursor).await?;
        self.commit(unit).await?;
        if written > 0 {
            self.lesson_searches.notice(workspace);
        }
        Ok(Captured { read: ended.len() as u64, written, left: more || handed.left })
    }
}

/// Lessons of agents that were captured.
struct HandedIn {
    written: u64,
    left: bool,
}

/// Writes what agents handed in.
async fn hand_in(unit: &mut Unit, cursor: &mut Cursor) -> Result<HandedIn> {
    let handed = store::knowledge::handed::take(unit.tx(), HANDED_AT_ONCE).await?;
    if handed.is_empty() {
        return Ok(HandedIn { written: 0, left: false });
    }
    let left = i64::try_from(handed.len()).is_ok_and(|count| count >= HANDED_AT_ONCE);
    let now = unit.now();
    let texts = handed.into_iter().map(|row| text_of(row, now)).collect();
    let written = write(unit, cursor, texts).await?;
    Ok(HandedIn { written: count(&written), left })
}

fn text_of(row: HandedRow, now: chrono::DateTime<chrono::Utc>) -> NewText {
    NewText {
        id: None,
        kind: row.kind,
        title: row.title,
        body: row.body,
        applies_to: row.applies_to,
        capabilities: row.capabilities,
        project: row.project_id,
        source: LessonSource {
            goal_id: Some(row.goal_id),
            task_id: Some(row.task_id),
            attempt_id: Some(row.attempt_id),
            agent_id: row.agent_id,
        },
        origin: Origin::Agent,
        outcome: None,
        trust: Trust::Unverified,
        state: None,
        external: false,
        learned_at: now,
        person: None,
        key: None,
        supersedes: Vec::new(),
        follows: None,
    }
}

fn count(written: &[Written]) -> u64 {
    let mut stored = 0;
    for one in written {
        match &one.became {
            Became::Written | Became::Quarantined => stored += 1,
            Became::Known => {}
            // What agents hand in is refused before, and digests are redacted.
            Became::Refused(secrets) => {
                tracing::warn!(
                    places = secrets.len(),
                    "a captured text holds secrets; it is left out"
                );
            }
        }
    }
    stored
}

/// Writes the digests of tasks, and judges anew what their attempts handed in.
async fn digest(unit: &mut Unit, cursor: &mut Cursor, ids: &[TaskId]) -> Result<u64> {
    if ids.is_empty() {
        return Ok(0);
    }
    let tasks = facts::tasks(unit.tx(), ids).await?;
    let mut details = Details::read(unit, ids).await?;
    let known = store::knowledge::lessons::digests_of(unit.tx(), ids).await?;
    let (mut texts, mut verified, mut ended) = (Vec::new(), Vec::new(), Vec::new());
    for task in tasks {
        let Some(outcome) = outcome_of(task.state) else { continue };
        let trust = trust_of(&task, details.criteria.get(&task.task_id));
        ended.push((task.task_id, outcome));
        if let Some(attempt) = task.accepted {
            verified.push((attempt, trust));
        }
        if outcome == Outcome::Cancelled && task.attempts == 0 {
            continue;
        }
        let before = known.get(&task.task_id);
        // This end is captured already, ahead of the others.
        if before.is_some_and(|head| head.learned_at >= task.ended_at) {
            continue;
        }
        // What a person put away stays away.
        let away =
            |state: &LessonState| matches!(state, LessonState::Archived | LessonState::Superseded);
        let kept = before.map(|head| head.state).filter(away);
        let follows = before.map(|head| (head.lesson_id, head.version));
        texts.push(NewText { state: kept, follows, ..text(task, outcome, trust, &mut details) });
    }
    let written = write(unit, cursor, texts).await?;
    activate(unit, cursor, &verified).await?;
    store::knowledge::trials::end(unit.tx(), &ended).await?;
    Ok(count(&written))
}

fn outcome_of(state: TaskState) -> Option<Outcome> {
    match state {
        TaskState::Done => Some(Outcome::Done),
        TaskState::Failed => Some(Outcome::Failed),
        TaskState::Cancelled => Some(Outcome::Cancelled),
        TaskState::Waiting
        | TaskState::Ready
        | TaskState::Running
        | TaskState::Parked
        | TaskState::Reviewing => None,
    }
}

/// The least tier over the required criteria of a task, or the approval of a person.
fn trust_of(task: &TaskRow, criteria: Option<&Vec<CriterionRow>>) -> Trust {
    if task.approved {
        return Trust::Person;
    }
    let required = criteria.into_iter().flatten().filter(|criterion| criterion.required);
    let tiers = required.map(|criterion| match criterion.met {
        Some(true) => criterion.tier.unwrap_or(EvidenceTier::Claimed),
        Some(false) | None => EvidenceTier::Claimed,
    });
    standing::trust_of(tiers.min())
}

/// What is known of tasks beside their rows, by task.
#[derive(Default)]
struct Details {
    criteria: HashMap<TaskId, Vec<CriterionRow>>,
    attempts: HashMap<TaskId, Vec<AttemptRow>>,
    spend: HashMap<TaskId, Vec<(String, i64)>>,
    comments: HashMap<TaskId, Vec<CommentRow>>,
    artifacts: HashMap<TaskId, Vec<String>>,
}

impl Details {
    async fn read(unit: &mut Unit, tasks: &[TaskId]) -> Result<Self> {
        let mut details = Self::default();
        for row in facts::criteria(unit.tx(), tasks).await? {
            details.criteria.entry(row.task_id).or_default().push(row);
        }
        for row in facts::attempts(unit.tx(), tasks).await? {
            details.attempts.entry(row.task_id).or_default().push(row);
        }
        for (task, unit_name, amount) in facts::spend(unit.tx(), tasks).await? {
            details.spend.entry(task).or_default().push((unit_name, amount));
        }
        for row in facts::comments(unit.tx(), tasks).await? {
            details.comments.entry(row.task_id).or_default().push(row);
        }
        for (task, sha256, media_type) in facts::artifacts(unit.tx(), tasks).await? {
            let kind = media_type.map_or_else(String::new, |kind| format!(" ({kind})"));
            details.artifacts.entry(task).or_default().push(format!("sha256:{sha256}{kind}"));
        }
        Ok(details)
    }
}

fn text(task: TaskRow, outcome: Outcome, trust: Trust, details: &mut Details) -> NewText {
    let id = task.task_id;
    let attempts = details.attempts.remove(&id).unwrap_or_default();
    let wall_ms = attempts.iter().map(|attempt| attempt.wall_ms).sum();
    let facts = Facts {
        goal_title: task.goal_title,
        title: task.title,
        description: task.description,
        section: task.section,
        labels: task.labels,
        capabilities: task.capabilities.clone(),
        outcome,
        end_reason: task.end_reason,
        criteria: details
            .criteria
            .remove(&id)
            .unwrap_or_default()
            .into_iter()
            .map(criterion)
            .collect(),
        attempts: attempts.into_iter().map(attempt).collect(),
        result: task.result,
        artifacts: details.artifacts.remove(&id).unwrap_or_default(),
        spend: spend(details.spend.remove(&id).unwrap_or_default(), wall_ms, task.estimate),
        comments: details
            .comments
            .remove(&id)
            .unwrap_or_default()
            .into_iter()
            .map(|row| (row.who, row.text))
            .collect(),
    };
    let digest = digest::render(&facts);
    NewText {
        id: None,
        kind: LessonKind::Digest,
        title: secrets::redact(&digest.title).0,
        body: secrets::redact(&digest.body).0,
        applies_to: Vec::new(),
        capabilities: task.capabilities,
        project: task.project_id,
        source: LessonSource {
            goal_id: Some(task.goal_id),
            task_id: Some(id),
            attempt_id: task.accepted,
            agent_id: task.agent_id,
        },
        origin: Origin::Capture,
        outcome: Some(outcome),
        trust,
        state: None,
        external: false,
        learned_at: task.ended_at,
        person: None,
        key: None,
        supersedes: Vec::new(),
        follows: None,
    }
}

fn criterion(row: CriterionRow) -> CriterionFact {
    CriterionFact {
        number: row.number,
        text: row.text,
        met: row.met,
        tier: row.tier.map(|tier| tier.as_str().to_owned()),
    }
}

fn attempt(row: AttemptRow) -> AttemptFact {
    AttemptFact {
        number: row.number,
        agent: row.agent,
        state: row.state.as_str().to_owned(),
        failure_class: row.failure_class.map(|class| class.as_str().to_owned()),
        message: row.message,
        feedback: row.feedback,
        wall_ms: row.wall_ms,
    }
}

/// What a task used, beside its estimate.
fn spend(used: Vec<(String, i64)>, wall_ms: i64, estimate: Option<Value>) -> Vec<SpendFact> {
    let estimates: BTreeMap<String, Estimate> =
        estimate.and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default();
    let estimated = |unit: &str| estimates.get(unit).map(|estimate| estimate.range().want);
    let mut facts: Vec<SpendFact> = used
        .into_iter()
        .filter(|(unit, _)| unit != "wall_ms")
        .map(|(unit, amount)| SpendFact { estimate: estimated(&unit), unit, amount })
        .collect();
    if wall_ms > 0 {
        let unit = "wall_ms".to_owned();
        facts.push(SpendFact { estimate: estimated(&unit), unit, amount: wall_ms });
    }
    facts
}

/// Makes candidates active whose attempts were accepted and verified.
async fn activate(
    unit: &mut Unit,
    cursor: &mut Cursor,
    accepted: &[(AttemptId, Trust)],
) -> Result<()> {
    if accepted.is_empty() {
        return Ok(());
    }
    let attempts: Vec<AttemptId> = accepted.iter().map(|(attempt, _)| *attempt).collect();
    // Nearly no attempt handed in anything.
    if store::knowledge::lessons::candidates_of(unit.tx(), &attempts).await?.is_empty() {
        return Ok(());
    }
    for (attempt, trust) in accepted {
        let candidates = store::knowledge::lessons::candidates_of(unit.tx(), &[*attempt]).await?;
        if candidates.is_empty() {
            continue;
        }
        let ids: Vec<LessonId> = candidates.iter().map(|head| head.lesson_id).collect();
        let done = Some(Outcome::Done);
        store::knowledge::lessons::set_source(unit.tx(), &ids, *trust, done).await?;
        if standing::first_state(done, *trust) != LessonState::Active {
            continue;
        }
        store::knowledge::lessons::set_state(unit.tx(), &ids, LessonState::Active, None).await?;
        let moved: Vec<Reshelving> = candidates
            .iter()
            .map(|head| (head.lesson_id, head.project_id, LessonState::Active))
            .collect();
        reshelve(unit, cursor, &moved).await?;
        by_evidence(unit, cursor, &ids).await?;
        for head in candidates {
            unit.record(
                NewRow::new(Kind::LessonActivated)
                    .project(head.project_id)
                    .task(head.source_task)
                    .attempt(*attempt)
                    .data(json!({"lesson_id": head.lesson_id})),
            );
        }
    }
    Ok(())
}
