//! The transaction of a batch of claims.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    answer::{Claim, ClaimAnswer, claims},
    command::{ClaimCommand, ClaimOutcome},
    pacing::Pacing,
    turns::{self, SearchStarts, Seen},
};
use crate::{
    app::{
        App, Error, Result, Unit,
        attempts::start::{Started, begun, new_attempt},
        budgets::{
            reserve::{Funds, Refused},
            shortage,
            windows::LockMode,
        },
        caller::Actor,
        coalesce::Batched,
        gates::Gates,
        routing,
        unit::idempotency::{self, Outcome, Repeat, Repeatable},
    },
    clock::Stopwatch,
    domain::{
        ids::{AgentId, TaskId, WorkspaceId},
        refusal::{Code, Refusal},
        routing::{
            assign::{self, Deferred, Router, Rules, Slots},
            beliefs::Beliefs,
            deferral::Rival,
            policy::Policy,
            score::Weights,
        },
        states::AgentState,
        task::{
            claim::{Candidate, Funding, Keeping, Wish},
            holder::Holder,
            lease::LeaseTerms,
        },
    },
    store::{
        self,
        attempts::{
            NewAttempt,
            claim::{Claimer, LockedTasks, Lookers, ReadyTask, SearchBounds},
        },
    },
};

impl Batched for ClaimCommand {
    type Context = App;
    type Group = WorkspaceId;
    type Answer = ClaimOutcome;
    const KIND: &'static str = "claim";

    fn group(&self) -> WorkspaceId {
        self.owner.workspace
    }

    async fn run(
        app: App,
        workspace: WorkspaceId,
        batch: Vec<Self>,
    ) -> Result<Vec<Result<ClaimOutcome>>> {
        let began = Stopwatch::start();
        let first: Vec<&Self> = batch.iter().collect();
        let Claimed { mut answers, mut refused, mut contended, deferred: _ } =
            claim_once(&app, workspace, &first, SearchDepth::Requested).await?;
        // Tasks that no budget covers are parked by now, so empty claims search past them. Tasks
        // that exceed only the budgets of these agents stay ready: one more search sees them all. Tasks without a
        // grant stay ready too, and the next search leaves them out, as what they wait for is committed.
        // Each search is a commit of its own. So a failure of a later one must not be the answer to the batch: its
        // commands would be executed again, and nobody would know the leases given before.
        for look in 0..SEARCHES_PAST_UNFUNDABLE {
            let empty: Vec<usize> =
                (0..batch.len()).filter(|n| got_nothing(&answers[*n])).collect();
            let worth_it = match refused {
                Refused::Nothing => contended,
                Refused::Agents => look == 0 || contended,
                Refused::Tasks => true,
            };
            if !worth_it || empty.is_empty() {
                break;
            }
            let again: Vec<&Self> = empty.iter().map(|n| &batch[*n]).collect();
            let left = (app.patience / SHARE_OF_PATIENCE).saturating_sub(began.elapsed());
            if left.is_zero() {
                break;
            }
            let more = claim_once(&app, workspace, &again, SearchDepth::PastUnfundable);
            let more = tokio::time::timeout(left, more).await;
            match more.unwrap_or_else(|_| Err(Error::Unavailable("it took too long".into()))) {
                Ok(more) => {
                    refused = more.refused;
                    contended = more.contended;
                    for (index, answer) in empty.into_iter().zip(more.answers) {
                        answers[index] = answer;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, %look, "a further search of a batch of claims failed");
                    keep_answers(&mut answers, &empty, &error);
                    break;
                }
            }
        }
        Ok(answers)
    }

    /// The client disconnected before the answer. Its tasks are released at once, because nobody
    /// knows their leases; unless the answer is stored for a repeated request.
    async fn undelivered(app: App, given: ClaimOutcome) {
        if given.kept {
            return;
        }
        for claim in given.outcome.value.claims {
            let attempt = claim.attempt_id;
            let (owner, actor) = (given.owner, given.actor.clone());
            if let Err(error) = app.take_back(owner, actor, attempt, claim.lease).await {
                tracing::warn!(%error, %attempt, "a claim that nobody received was not taken back");
            }
        }
    }
}

/// Share of the patience of a batch after which it searches no further: a third. A batch that is given up loses the
/// answers of its first search.
const SHARE_OF_PATIENCE: u32 = 3;

/// The answers to a batch after the failure of a further search for the commands `asked`, whose answers were empty. They
/// stay empty after a rollback, which gave nothing. After any other failure the result of the search is unknown, and
/// they get the error.
fn keep_answers<T>(answers: &mut [Result<T>], asked: &[usize], error: &Error) {
    if error.rolled_back() {
        return;
    }
    for index in asked {
        answers[*index] = Err(error.clone());
    }
}

/// Most tasks that one batch locks per set of capabilities. Locked tasks that the batch does not
/// assign are unavailable to other batches until it ends.
const MOST_AT_ONCE: i64 = 500;
/// Extra candidates of each try. A process runs one batch of a workspace at a time, so usually nobody else holds any;
/// another process can hold a hundred, several a thousand.
const SLACK: [i64; 3] = [16, 128, 1_000];
/// Most parts of the list of goals that one batch searches. One part is all goals unless there are hundreds; a
/// further one is searched only if nothing in those before could be claimed.
const MOST_PAGES: usize = 8;

/// Which commands of the batch are repeats of answered ones.
pub(in crate::app) async fn repeats(
    unit: &mut Unit,
    batch: &[&ClaimCommand],
) -> Result<Vec<Repeat<ClaimAnswer>>> {
    let keyed: Vec<&Repeatable> =
        batch.iter().filter_map(|command| command.repeatable.as_deref()).collect();
    let mut taken = idempotency::take_all(unit, &keyed).await?.into_iter();
    let repeat = |command: &&ClaimCommand| match command.repeatable {
        Some(_) => taken.next().unwrap_or(Repeat::New),
        None => Repeat::New,
    };
    Ok(batch.iter().map(repeat).collect())
}

/// Search depth of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::app) enum SearchDepth {
    /// As many tasks as requested.
    Requested,
    /// As many tasks as one batch may lock, because no budget covered the first ones.
    PastUnfundable,
}

/// Result of a batch of claims.
#[derive(Debug)]
pub(in crate::app) struct Claimed {
    /// One answer for each command, in their order.
    pub answers: Vec<Result<ClaimOutcome>>,
    /// Assignments refused by a budget.
    pub refused: Refused,
    /// Whether a task got no grant because another one of the batch, or of another batch, was first.
    pub contended: bool,
    /// Tasks that are left for better agents.
    pub deferred: Vec<Deferred>,
}

/// Assigns tasks to a batch of claims.
pub(in crate::app) async fn claim_batch(
    unit: &mut Unit,
    batch: &[&ClaimCommand],
    look: SearchDepth,
    lock_mode: LockMode,
    starts: &SearchStarts,
    beliefs: &Beliefs,
) -> Result<Claimed> {
    if batch.is_empty() {
        return Ok(Claimed {
            answers: Vec::new(),
            refused: Refused::Nothing,
            contended: false,
            deferred: Vec::new(),
        });
    }
    let agents: Vec<AgentId> = distinct(batch.iter().map(|command| command.owner.agent));
    let known = by_id(store::attempts::claim::claimers(unit.tx(), &agents).await?);
    let mut seen = Seen::default();
    let ready = lock_ready(unit, batch, &known, look, beliefs, (starts, &mut seen)).await?;
    // Read again under the lock: this state decides who may claim.
    let known = if ready.is_empty() {
        known
    } else {
        store::attempts::claim::lock_agents(unit.tx(), &agents).await?;
        by_id(store::attempts::claim::claimers(unit.tx(), &agents).await?)
    };
    // Before the locks on budget windows: heartbeats wait for those while they hold their agents'
    // rows.
    store::attempts::claim::touch_presence(unit.tx(), &agents).await?;
    let Assigned { given, claims: mut found, refused, contended, deferred } = if ready.is_empty() {
        Assigned { given: vec![Vec::new(); batch.len()], ..Assigned::default() }
    } else {
        let router = Router { rules: rules_for(&known, &seen), beliefs, now: unit.now() };
        give(unit, batch, &known, &ready, lock_mode, router).await?
    };
    turns::advance(unit, &seen, &ready, &given).await?;
    let answers = batch.iter().zip(&given).map(|(command, tasks)| {
        let claimer = active(known.get(&command.owner.agent))?;
        let claims = tasks.iter().filter_map(|task| found.remove(&task.task_id)).collect();
        let able = claimer.capabilities.clone().into();
        Ok(ClaimOutcome {
            outcome: Outcome::fresh(ClaimAnswer { claims }),
            able,
            ..command.nothing()
        })
    });
    Ok(Claimed { answers: answers.collect(), refused, contended, deferred })
}

/// Assigned tasks with their claims, and assignments refused by a budget.
#[derive(Debug, Default)]
struct Assigned {
    given: Vec<Vec<ReadyTask>>,
    claims: HashMap<TaskId, Claim>,
    refused: Refused,
    contended: bool,
    deferred: Vec<Deferred>,
}

/// Assigns locked tasks to locked agents as far as budgets cover them, and starts the attempts.
///
/// # Errors
/// [`Error::Again`] if an optimistic check lost a race; the caller retries with locks.
async fn give(
    unit: &mut Unit,
    batch: &[&ClaimCommand],
    exact: &HashMap<AgentId, Claimer>,
    ready: &[ReadyTask],
    lock_mode: LockMode,
    router: Router<'_>,
) -> Result<Assigned> {
    let asked = Asked::of(batch, exact, ready);
    let rivals = asked.rivals(unit, &router).await?;
    let agents: Vec<AgentId> = distinct(batch.iter().map(|command| command.owner.agent));
    // Before the budgets: spend is charged to quota windows before it is settled.
    let mut pacing = Pacing::open(unit, ready, exact).await?;
    let gated = ready.iter().filter(|task| task.gated).map(|task| task.task_id);
    let mut gates = Gates::open(unit, &Vec::from_iter(gated)).await?;
    let Some(mut funds) = Funds::open(unit, ready, &agents, lock_mode).await? else {
        let assigned = asked.assign(&router, rivals, |task, agent| {
            gates
                .start(task.task_id, Some(agent), || pacing.admit(task, agent, || Funding::Granted))
        });
        let assign::Assigned { given, choices, deferred } = assigned;
        let started = start(unit, batch, exact, &given).await?;
        pacing.write(unit).await?;
        gates.write(unit, started.iter().map(Started::pair)).await?;
        explain(unit, router.rules.policy, choices, &started).await?;
        return Ok(Assigned {
            given,
            claims: claims(unit, &started).await?,
            refused: pacing.refused(),
            contended: gates.refused(),
            deferred,
        });
    };
    let assigned = asked.assign(&router, rivals, |task, agent| {
        gates.start(task.task_id, Some(agent), || {
            pacing.admit(task, agent, || funds.fund(unit, task, Some(agent)))
        })
    });
    let assign::Assigned { given, choices, deferred } = assigned;
    let refused = match funds.refused() {
        Refused::Nothing => pacing.refused(),
        refused @ (Refused::Agents | Refused::Tasks) => refused,
    };
    if refused == Refused::Tasks && lock_mode == LockMode::Optimistic {
        // A task must not be parked on an unlocked reading of its budget.
        return Err(Error::Again);
    }
    let started = start(unit, batch, exact, &given).await?;
    pacing.write(unit).await?;
    gates.write(unit, started.iter().map(Started::pair)).await?;
    explain(unit, router.rules.policy, choices, &started).await?;
    let claims = claims(unit, &started).await?;
    shortage::park(unit, ready, funds.short()).await?;
    funds.write(unit, started.iter().map(|new| &new.attempt)).await?;
    Ok(Assigned { given, claims, refused, contended: gates.refused(), deferred })
}

/// Stores the answers of repeatable commands, except empty ones: the same request may find a task
/// later.
pub(in crate::app) async fn keep(
    unit: &mut Unit,
    batch: &[&ClaimCommand],
    given: &mut [Result<ClaimOutcome>],
) -> Result<()> {
    let mut answers = Vec::new();
    for (command, given) in batch.iter().zip(given) {
        let (Some(repeatable), Ok(given)) = (&command.repeatable, given) else { continue };
        if !given.outcome.value.claims.is_empty() {
            given.kept = true;
            answers.push((repeatable.as_ref(), &given.outcome.value));
        }
    }
    idempotency::store_all(unit, &answers).await
}

fn by_id(claimers: Vec<Claimer>) -> HashMap<AgentId, Claimer> {
    claimers.into_iter().map(|claimer| (claimer.agent_id, claimer)).collect()
}

fn distinct<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    items.collect::<BTreeSet<T>>().into_iter().collect()
}

fn active(claimer: Option<&Claimer>) -> Result<&Claimer> {
    if claimer.is_some_and(|claimer| claimer.archived) {
        let detail = "the agent is archived and may not claim; an operator can bring it back";
        return Err(Refusal::new(Code::AgentNotActive, detail).into());
    }
    let state = claimer.map(|claimer| claimer.state);
    match (claimer, state) {
        (Some(claimer), Some(AgentState::Active)) => Ok(claimer),
        (
            _,
            Some(
                AgentState::Active
                | AgentState::Paused
                | AgentState::Draining
                | AgentState::Retired,
            )
            | None,
        ) => {
            let state = state.map_or("unknown", AgentState::as_str);
            let detail =
                format!("the agent is {state} and may not claim; an operator can change it");
            Err(Refusal::new(Code::AgentNotActive, detail).into())
        }
    }
}

/// Number of attempts that an agent may start now.
pub(in crate::app) fn free_slots(claimer: &Claimer) -> u32 {
    match claimer.state {
        AgentState::Active if claimer.frozen || claimer.archived => 0,
        AgentState::Active if claimer.held_until.is_some() => 0,
        AgentState::Active => {
            u32::try_from(i64::from(claimer.max_concurrent) - claimer.running).unwrap_or(0)
        }
        AgentState::Paused | AgentState::Draining | AgentState::Retired => 0,
    }
}

/// Locks up to `wanted` tasks for one set of capabilities, skipping tasks that other batches hold.
/// Looks at a few extra candidates first, and at many only if those were all held.
async fn lock_more(
    unit: &mut Unit,
    lookers: Lookers<'_>,
    wanted: i64,
    ready: &mut Vec<ReadyTask>,
    (starts, seen): (&SearchStarts, &mut Seen),
) -> Result<()> {
    let workspace = unit.workspace();
    let mut wanted = wanted;
    for _ in 0..MOST_PAGES {
        let from = starts.get(workspace);
        let mut cut_at = None;
        for slack in SLACK {
            let held: Vec<TaskId> = ready.iter().map(|task| task.task_id).collect();
            let bounds = SearchBounds { wanted, slack, from };
            let found =
                store::attempts::claim::lock_ready(unit.tx(), lookers, bounds, &held).await?;
            seen.note(&found);
            let LockedTasks { tasks, more, cut_at: cut, .. } = found;
            wanted -= tasks.iter().filter(|task| task.keeping == Keeping::Anybody).count() as i64;
            ready.extend(tasks);
            cut_at = cut;
            if wanted <= 0 || !more {
                break;
            }
        }
        // What the next search begins with, of this batch or another.
        starts.set(workspace, cut_at.map(turns::behind));
        if wanted <= 0 || cut_at.is_none() {
            break;
        }
    }
    Ok(())
}

/// Locks as many ready tasks as the batch can take, for each of its sets of capabilities.
async fn lock_ready(
    unit: &mut Unit,
    batch: &[&ClaimCommand],
    known: &HashMap<AgentId, Claimer>,
    look: SearchDepth,
    beliefs: &Beliefs,
    (starts, seen): (&SearchStarts, &mut Seen),
) -> Result<Vec<ReadyTask>> {
    let mut asked: BTreeMap<AgentId, u32> = BTreeMap::new();
    for command in batch {
        *asked.entry(command.owner.agent).or_default() += command.max;
    }
    let mut wanted: BTreeMap<&[String], (i64, Vec<AgentId>)> = BTreeMap::new();
    for (agent, asked) in asked {
        let Some(claimer) = known.get(&agent) else { continue };
        let take = asked.min(free_slots(claimer));
        if take > 0 {
            let (wanted, agents) = wanted.entry(&claimer.capabilities).or_default();
            *wanted += i64::from(take);
            agents.push(agent);
        }
    }
    let mut ready: Vec<ReadyTask> = Vec::new();
    let rules = rules(known);
    for (able, (wanted, agents)) in wanted {
        let wanted = wanted + left_for_others(beliefs, rules, able, &agents);
        let wanted = match look {
            SearchDepth::Requested => wanted.min(MOST_AT_ONCE),
            SearchDepth::PastUnfundable => MOST_AT_ONCE,
        };
        let lookers = Lookers { able, agents: &agents };
        lock_more(unit, lookers, wanted, &mut ready, (starts, &mut *seen)).await?;
    }
    // What has the same turn stays as the search placed it: run by run.
    ready.sort_by_key(|task| task.turn.at);
    Ok(ready)
}

/// The rules of the workspace, which are the same for all claimers.
fn rules(claimers: &HashMap<AgentId, Claimer>) -> Rules {
    let fifo =
        Rules { policy: Policy::Fifo, max_deferral: chrono::TimeDelta::zero(), control_percent: 0 };
    claimers.values().next().map_or(fifo, Claimer::rules)
}

/// The rules for what a search found. Where more is ready than it looked at, better agents find enough, and nothing is
/// left for them.
fn rules_for(claimers: &HashMap<AgentId, Claimer>, seen: &Seen) -> Rules {
    let rules = rules(claimers);
    let max_deferral = if seen.more() { chrono::TimeDelta::zero() } else { rules.max_deferral };
    Rules { max_deferral, ..rules }
}

/// Number of tasks to lock in addition, because some may be left for better agents.
fn left_for_others(beliefs: &Beliefs, rules: Rules, able: &[String], agents: &[AgentId]) -> i64 {
    if rules.policy == Policy::Fifo || rules.max_deferral <= chrono::TimeDelta::zero() {
        return 0;
    }
    let weights = Weights::of(rules.policy);
    let waits = agents.iter().any(|agent| beliefs.may_wait(weights, able, *agent));
    if waits { LEFT_FOR_OTHERS } else { 0 }
}

/// Most tasks that a batch leaves for better agents and still has some to give.
const LEFT_FOR_OTHERS: i64 = 16;

/// What the assignment of a batch begins with.
struct Asked {
    wishes: Vec<Wish>,
    candidates: Vec<Candidate<ReadyTask>>,
    slots: HashMap<AgentId, Slots>,
}

impl Asked {
    fn of(batch: &[&ClaimCommand], exact: &HashMap<AgentId, Claimer>, ready: &[ReadyTask]) -> Self {
        let wish = |command: &&ClaimCommand| Wish {
            agent: command.owner.agent,
            able: exact
                .get(&command.owner.agent)
                .map(|c| c.capabilities.clone())
                .unwrap_or_default(),
            max: command.max,
        };
        let candidate = |task: &ReadyTask| Candidate {
            task: task.clone(),
            required: task.required.clone(),
            keeping: task.keeping.clone(),
        };
        let slots =
            |(agent, claimer): (&AgentId, &Claimer)| (*agent, claimer.slots(free_slots(claimer)));
        Self {
            wishes: batch.iter().map(wish).collect(),
            candidates: ready.iter().map(candidate).collect(),
            slots: exact.iter().map(slots).collect(),
        }
    }

    /// Agents that did not ask and may be left a task. Nearly always there are none, and no statement runs.
    async fn rivals(&self, unit: &mut Unit, router: &Router<'_>) -> Result<Vec<Rival>> {
        let agents = router.rivals(&self.wishes, &self.slots, &self.candidates);
        let required = self.candidates.first().map(|first| first.required.as_slice());
        routing::claims::rivals(unit.tx(), router, &agents, required.unwrap_or_default()).await
    }

    fn assign(
        &self,
        router: &Router<'_>,
        rivals: Vec<Rival>,
        fund: impl FnMut(&ReadyTask, AgentId) -> Funding,
    ) -> assign::Assigned<ReadyTask> {
        router.assign(&self.wishes, &self.slots, &self.candidates, rivals, fund)
    }
}

/// Stores why the tasks of the started attempts were given to their agents.
async fn explain(
    unit: &mut Unit,
    policy: Policy,
    choices: Vec<assign::Choice>,
    started: &[Started],
) -> Result<()> {
    let attempts =
        started.iter().map(|new| (new.attempt.task_id, new.attempt.attempt_id)).collect();
    routing::claims::record(unit, policy, choices, &attempts).await
}

/// Starts the attempts and journals them; returns each with its lease token.
async fn start(
    unit: &mut Unit,
    batch: &[&ClaimCommand],
    exact: &HashMap<AgentId, Claimer>,
    given: &[Vec<ReadyTask>],
) -> Result<Vec<Started>> {
    let mut started = Vec::new();
    for (command, tasks) in batch.iter().zip(given) {
        let agent = command.owner.agent;
        let longest = exact.get(&agent).and_then(Claimer::longest_lease);
        let terms = LeaseTerms { asked: command.lease, longest, ..LeaseTerms::default() };
        for task in tasks {
            let new = new_attempt(unit, Holder::Agent(agent), terms, task);
            unit.record(begun(&new.attempt).by(command.actor.clone()));
            started.push(new);
        }
    }
    if !started.is_empty() {
        let rows: Vec<NewAttempt> = started.iter().map(|s| s.attempt.clone()).collect();
        store::attempts::start(unit.tx(), &rows).await?;
    }
    Ok(started)
}

/// Most searches of a batch past tasks that no budget covers. Each parks up to `MOST_AT_ONCE`
/// tasks, so this is thousands; the next claim continues.
pub(in crate::app::attempts) const SEARCHES_PAST_UNFUNDABLE: usize = 8;

pub(in crate::app::attempts) fn got_nothing(answer: &Result<ClaimOutcome>) -> bool {
    answer.as_ref().is_ok_and(|given| given.outcome.value.claims.is_empty())
}

/// Runs a batch in one transaction. If an optimistic check loses a race, runs it again with locks.
pub(in crate::app::attempts) async fn claim_once(
    app: &App,
    workspace: WorkspaceId,
    batch: &[&ClaimCommand],
    look: SearchDepth,
) -> Result<Claimed> {
    match claim_by(app, workspace, batch, look, LockMode::Optimistic).await {
        Err(Error::Again) => claim_by(app, workspace, batch, look, LockMode::Locked).await,
        done => done,
    }
}

pub(in crate::app::attempts) async fn claim_by(
    app: &App,
    workspace: WorkspaceId,
    batch: &[&ClaimCommand],
    look: SearchDepth,
    lock_mode: LockMode,
) -> Result<Claimed> {
    let mut unit = app.begin(workspace, Actor::SERVICE).await?;
    let repeats = repeats(&mut unit, batch).await?;
    let fresh: Vec<&ClaimCommand> = batch
        .iter()
        .zip(&repeats)
        .filter(|(_, repeat)| matches!(repeat, Repeat::New))
        .map(|(command, _)| *command)
        .collect();
    let beliefs = app.routes.beliefs(workspace);
    let claimed =
        claim_batch(&mut unit, &fresh, look, lock_mode, &app.search_starts, &beliefs).await;
    let Claimed { answers: mut given, refused, contended, deferred } = match claimed {
        Ok(claimed) => claimed,
        Err(error) => {
            // Its locks would block the next try.
            let _ = app.undo(unit).await;
            return Err(error);
        }
    };
    keep(&mut unit, &fresh, &mut given).await?;
    let left = routing::claims::first_end(&deferred, unit.now());
    app.commit(unit).await?;
    metrics::counter!("muster_deferrals_total").increment(deferred.len() as u64);
    if let Some(left) = left {
        app.wake().deferred(workspace, left);
    }
    let mut given = given.into_iter();
    let answers = batch.iter().zip(repeats).map(|(command, repeat)| match repeat {
        Repeat::New => given.next().unwrap_or_else(|| Ok(command.nothing())),
        Repeat::Refused(refusal) => Err(refusal.into()),
        Repeat::Answered(answer) => {
            Ok(ClaimOutcome { outcome: Outcome::replayed(answer), kept: true, ..command.nothing() })
        }
    });
    Ok(Claimed { answers: answers.collect(), refused, contended, deferred })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers() -> Vec<Result<u32>> {
        vec![Ok(1), Ok(0), Err(Error::Again), Ok(0)]
    }

    #[test]
    fn a_failure_of_a_further_search_leaves_what_was_given() {
        let mut kept = answers();
        keep_answers(&mut kept, &[1, 3], &Error::Stale("rolled back"));
        assert!(matches!(kept[..], [Ok(1), Ok(0), Err(Error::Again), Ok(0)]), "{kept:?}");
        let mut unknown = answers();
        keep_answers(&mut unknown, &[1, 3], &Error::Unavailable("the connection broke".into()));
        assert!(
            matches!(
                unknown[..],
                [Ok(1), Err(Error::Unavailable(_)), Err(Error::Again), Err(Error::Unavailable(_)),]
            ),
            "{unknown:?}"
        );
    }
}
