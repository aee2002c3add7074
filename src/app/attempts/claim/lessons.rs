//! Lessons of earlier work, attached to claims after these were committed.
//!
//! The transaction of a batch of claims knows nothing of lessons. When its answer is there, each claimed task is searched
//! for, in what its agent may see: the lessons of the workspace and of the project of the task. So the next batch does not
//! wait for a search, and a search that fails leaves a claim without lessons.
//!
//! - **Control group.** A part of all tasks, chosen by their ids, is searched for as well and given nothing. A trial begins
//!   with the first claim of a task for which lessons were found, in either group, so both have the same mix of work.
//! - **Repeated requests.** The answer of a claim with an `Idempotency-Key` is stored in the transaction of the claim, and
//!   has no lessons. So a repeated request is searched for again: a client that lost the first answer lost its lessons too. The
//!   exposures of the first search stay, and lessons that both found are counted once.
//! - **A caller that goes away** during the search is treated as one that goes away before: its tasks are released, unless
//!   the answer is stored.

use super::{
    answer::{Claim, ClaimAnswer},
    command::{ClaimCommand, ClaimOutcome},
    learned::ClaimedLessons,
};
use crate::{
    app::{
        App, Result,
        coalesce::Batched as _,
        knowledge::{
            answers::{self, CANDIDATES, SolvedBy, WITH_TASK},
            context::{ContextPack, pack_found},
            search::{self, Asked},
            sight::Sight,
        },
        unit::idempotency::Outcome,
    },
    clock::Stopwatch,
    domain::{
        ids::{TaskId, WorkspaceId},
        knowledge::uplift,
    },
    store::{
        self,
        knowledge::{
            answers::{Offer, Subject},
            exposures::NewExposure,
            trials::NewTrial,
        },
    },
};

/// Most words of the description of a task that are searched for. The time of a search grows with its words, and the first
/// ones say what a task is about.
const DESCRIPTION: usize = 60;

/// What was found for one claim.
struct Found {
    pack: ContextPack,
    solved: Vec<SolvedBy>,
    subject: Subject,
    control: bool,
}

impl App {
    /// The answer of a claim, with lessons.
    pub(super) async fn with_lessons(&self, given: ClaimOutcome) -> Outcome<ClaimAnswer> {
        if given.outcome.value.claims.is_empty() {
            return given.outcome;
        }
        let workspace = given.owner.workspace;
        let mut held = Held { app: self.clone(), given: Some(given) };
        if let Some(given) = &mut held.given {
            self.attach_lessons(workspace, &mut given.outcome.value.claims).await;
        }
        held.deliver().unwrap_or_else(|| Outcome::fresh(ClaimAnswer { claims: Vec::new() }))
    }

    /// Attaches lessons to new claims of a workspace, within a share of the time of the process.
    pub(in crate::app) async fn attach_lessons(
        &self,
        workspace: WorkspaceId,
        claims: &mut [Claim],
    ) {
        let offer = match self.lesson_offer(workspace).await {
            Ok(Some(offer)) if offer.tokens > 0 => offer,
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(%error, "what a workspace knows could not be read");
                return;
            }
        };
        if !self.lesson_searches.may_begin() {
            return;
        }
        let watch = Stopwatch::start();
        if let Err(error) = self.search_and_record(workspace, offer, claims, &watch).await {
            tracing::warn!(%error, "lessons for claims were left out");
        }
        self.lesson_searches.charge(watch.elapsed());
    }

    async fn search_and_record(
        &self,
        workspace: WorkspaceId,
        offer: Offer,
        claims: &mut [Claim],
        watch: &Stopwatch,
    ) -> Result<()> {
        let mut found: Vec<Option<Found>> = Vec::with_capacity(claims.len());
        let search = self.search_for(workspace, offer, claims, watch, &mut found);
        // What was found until then is given; the search that takes too long is left out.
        if let Ok(searched) = tokio::time::timeout(self.lesson_searches.within(), search).await {
            searched?;
        }
        let (mut exposures, mut trials) = (Vec::new(), Vec::new());
        for (claim, found) in claims.iter().zip(&found) {
            let Some(found) = found.as_ref().filter(|found| !found.pack.lessons.is_empty()) else {
                continue;
            };
            trials.push(NewTrial {
                task_id: claim.task.id,
                project_id: found.subject.project_id,
                with_lessons: !found.control,
            });
            if !found.control {
                exposures.extend(found.pack.lessons.iter().map(|lesson| NewExposure {
                    attempt_id: claim.attempt_id,
                    goal_id: claim.task.goal_id,
                    lesson_id: lesson.id,
                    version: lesson.version,
                }));
            }
        }
        self.record_given(workspace, &exposures, &trials).await?;
        for (claim, found) in claims.iter_mut().zip(found) {
            let Some(Found { pack, solved, subject: _, control }) = found else { continue };
            if control {
                claim.lessons = Some(ClaimedLessons { control, ..ClaimedLessons::default() });
                continue;
            }
            let ContextPack { text, tokens, lessons, .. } = pack;
            claim.lessons = Some(ClaimedLessons { text, tokens, lessons, control });
            claim.solved = solved;
        }
        Ok(())
    }

    /// Searches for claims in their order, until the share of the process is used up.
    async fn search_for(
        &self,
        workspace: WorkspaceId,
        offer: Offer,
        claims: &[Claim],
        watch: &Stopwatch,
        found: &mut Vec<Option<Found>>,
    ) -> Result<()> {
        let mut tx = self.reader(workspace).await?;
        let tasks: Vec<TaskId> = claims.iter().map(|claim| claim.task.id).collect();
        let mut subjects = store::knowledge::answers::subjects(&mut tx, &tasks).await?;
        for claim in claims {
            // The first search may be slow; the others begin only in what is left.
            if !found.is_empty() && watch.elapsed() >= self.lesson_searches.within() / 2 {
                break;
            }
            let Some(subject) = subjects.remove(&claim.task.id) else {
                found.push(None);
                continue;
            };
            let sight = Sight::of_task(subject.project_id);
            let tokens = offer.tokens.unsigned_abs();
            let text = text_of(claim, &subject);
            // Lessons of earlier attempts of the task itself are welcome, so nothing is left out before the ranking.
            let asked = Asked { project: subject.project_id, ..Asked::new(&text, CANDIDATES) };
            let matches = search::find(&mut tx, &sight, &asked).await?;
            let pack = pack_found(&mut tx, &matches, tokens).await?;
            let (title, except) = (&claim.task.title, Some(claim.task.id));
            let solved =
                answers::among(&mut tx, &sight, &matches, title, except, WITH_TASK).await?;
            let percent = u8::try_from(offer.control_percent).unwrap_or(uplift::CONTROL_PERCENT);
            let control = uplift::is_control(workspace, claim.task.id, percent);
            found.push(Some(Found { pack, solved, subject, control }));
        }
        Ok(())
    }
}

/// What is searched for: the words of the title first, because of a long text the first words count.
fn text_of(claim: &Claim, subject: &Subject) -> String {
    let task = &claim.task;
    let words = task.description.split_whitespace().take(DESCRIPTION);
    let description = words.collect::<Vec<_>>().join(" ");
    let section = task.section.as_deref().unwrap_or_default();
    let capabilities = subject.capabilities.join(" ");
    [task.title.as_str(), section, &capabilities, &description].join("\n")
}

/// An answer that is not delivered yet. Dropped before that, because its caller went away, it is undone as an answer that
/// finds its caller gone.
struct Held {
    app: App,
    given: Option<ClaimOutcome>,
}

impl Held {
    fn deliver(mut self) -> Option<Outcome<ClaimAnswer>> {
        self.given.take().map(|given| given.outcome)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(given) = self.given.take() else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(ClaimCommand::undelivered(self.app.clone(), given));
        }
    }
}
