//! Claims: giving ready tasks to agents.
//!
//! Concurrent claims of a workspace are one batch in one transaction: what is ready is locked in
//! the order of claims, skipping what another batch is taking; the agents are locked, so that the
//! count of their attempts is exact; the domain says who gets what; the attempts start. A claim
//! that waits holds no connection and no place in a batch while it waits.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    pin::pin,
    time::Duration,
};

use secrecy::ExposeSecret as _;
use serde_json::json;

use super::{
    App, Result, Unit,
    caller::{AgentCaller, Caller as _},
    claim_views::{Claim, ClaimAnswer, ClaimRequest, Started, claims},
    coalesce::Batched,
    idempotency::{self, Outcome, Request},
    lease,
};
use crate::{
    domain::{
        claim::{self, Candidate, Wish},
        event::{EventKind, NewEvent},
        ids::{AgentId, KeyId, TaskId, WorkspaceId},
        refusal::{Code, Refusal},
        settings,
        states::AgentState,
    },
    store::{
        self,
        attempts::NewAttempt,
        claims::{Claimer, ReadyTask},
    },
};

/// Most tasks that one batch locks for agents of the same abilities: what it locks and does not
/// give away, nobody else can be given meanwhile.
const MOST_AT_ONCE: i64 = 500;

/// Who claims.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner {
    pub workspace: WorkspaceId,
    pub actor: KeyId,
    pub agent: AgentId,
}

/// What a claim was given, and who is to hear of it.
#[derive(Debug)]
pub(super) struct Given {
    owner: Owner,
    claims: Vec<Claim>,
}

/// One claim in a batch.
#[derive(Debug, Clone)]
pub(super) struct ClaimCommand {
    owner: Owner,
    max: u32,
    lease: Option<Duration>,
}

impl Batched for ClaimCommand {
    type Context = App;
    type Group = WorkspaceId;
    type Answer = Given;
    const KIND: &'static str = "claim";

    fn group(&self) -> WorkspaceId {
        self.owner.workspace
    }

    async fn run(app: App, workspace: WorkspaceId, batch: Vec<Self>) -> Result<Vec<Result<Given>>> {
        let mut unit = app.begin(workspace, None).await?;
        let answers = claim_batch(&mut unit, &batch).await?;
        app.commit(unit).await?;
        let given = |(command, claims): (&Self, Result<Vec<Claim>>)| {
            claims.map(|claims| Given { owner: command.owner, claims })
        };
        Ok(batch.iter().zip(answers).map(given).collect())
    }

    /// The agent hung up while it was being given tasks. Nobody knows the leases, so the tasks go
    /// back at once instead of being lost for the length of a lease.
    async fn undelivered(app: App, given: Given) {
        for claim in given.claims {
            let attempt = claim.attempt_id;
            if let Err(error) = app.take_back(given.owner, attempt, claim.lease).await {
                tracing::warn!(%error, %attempt, "a claim that nobody received was not taken back");
            }
        }
    }
}

impl App {
    /// Claims up to `max` tasks for the caller's agent, waiting for the first up to
    /// `wait_seconds`. No claims: there was nothing it could do.
    ///
    /// # Errors
    /// `agent_not_active`, `invalid`.
    pub async fn claim(
        &self,
        caller: &AgentCaller,
        asked: &ClaimRequest,
        request: Option<&Request>,
    ) -> Result<Outcome<ClaimAnswer>> {
        asked.check()?;
        let principal = caller.principal();
        let command = ClaimCommand {
            owner: Owner {
                workspace: principal.workspace,
                actor: principal.key,
                agent: caller.agent(),
            },
            max: asked.max,
            lease: asked.lease_seconds.map(|seconds| Duration::from_secs(seconds.into())),
        };
        let mut over = pin!(tokio::time::sleep(Duration::from_secs(asked.wait_seconds.into())));
        let mut waiter = self.wake.wait_ready();
        loop {
            // Never cancelled half-way: what a batch has given must reach its claimer.
            let outcome = self.claim_now(caller, &command, request).await?;
            if !outcome.value.claims.is_empty() || asked.wait_seconds == 0 {
                return Ok(outcome);
            }
            tokio::select! {
                () = &mut over => return Ok(outcome),
                () = waiter.look_again() => {}
            }
            if self.wake.is_stopping() {
                return Ok(outcome);
            }
            // A key that was revoked while its claim waited is given nothing any more.
            self.authenticate(caller.principal().secret.expose_secret()).await?;
        }
    }

    async fn claim_now(
        &self,
        caller: &AgentCaller,
        command: &ClaimCommand,
        request: Option<&Request>,
    ) -> Result<Outcome<ClaimAnswer>> {
        if request.is_none() {
            let given = self.claims.submit(self, command.clone()).await?;
            return Ok(Outcome::fresh(ClaimAnswer { claims: given.claims }));
        }
        let principal = caller.principal();
        let mut unit = self.begin(principal.workspace, Some(principal.key)).await?;
        if let Some(answer) = idempotency::replay(&mut unit, principal, request).await? {
            return Ok(Outcome::replayed(answer));
        }
        let mut answers = claim_batch(&mut unit, std::slice::from_ref(command)).await?;
        let claims = answers.pop().unwrap_or_else(|| Ok(Vec::new()))?;
        let answer = ClaimAnswer { claims };
        if answer.claims.is_empty() {
            // Not kept: the same request may find something later, and may come at once.
            self.undo(unit).await?;
        } else {
            idempotency::store(&mut unit, principal, request, &answer).await?;
            self.commit(unit).await?;
        }
        Ok(Outcome::fresh(answer))
    }
}

async fn claim_batch(unit: &mut Unit, batch: &[ClaimCommand]) -> Result<Vec<Result<Vec<Claim>>>> {
    let (workspace, now) = (unit.workspace(), unit.now());
    let agents: Vec<AgentId> = distinct(batch.iter().map(|command| command.owner.agent));
    let known = by_id(store::claims::claimers(unit.conn(), workspace, &agents).await?);
    let ready = lock_ready(unit, batch, &known).await?;
    // Who may claim is judged once, by what the tasks are given out by.
    let (known, given) = if ready.is_empty() {
        (known, vec![Vec::new(); batch.len()])
    } else {
        store::claims::lock_agents(unit.conn(), workspace, &agents).await?;
        let exact = by_id(store::claims::claimers(unit.conn(), workspace, &agents).await?);
        let given = assign(batch, &exact, &ready);
        (exact, given)
    };
    let started = start(unit, batch, &given).await?;
    let mut found = claims(unit, &started).await?;
    store::claims::seen(unit.conn(), workspace, now, &agents).await?;
    let answers = batch.iter().zip(&given).map(|(command, tasks)| {
        refuse_inactive(known.get(&command.owner.agent))?;
        Ok(tasks.iter().filter_map(|task| found.remove(&task.task_id)).collect())
    });
    Ok(answers.collect())
}

fn by_id(claimers: Vec<Claimer>) -> HashMap<AgentId, Claimer> {
    claimers.into_iter().map(|claimer| (claimer.agent_id, claimer)).collect()
}

fn distinct<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    items.collect::<BTreeSet<T>>().into_iter().collect()
}

fn refuse_inactive(claimer: Option<&Claimer>) -> Result<()> {
    let state = claimer.map(|claimer| claimer.state);
    match state {
        Some(AgentState::Active) => Ok(()),
        Some(AgentState::Paused | AgentState::Draining | AgentState::Retired) | None => {
            let state = state.map_or("unknown", AgentState::as_str);
            let detail =
                format!("the agent is {state} and may not claim; an operator can change it");
            Err(Refusal::new(Code::AgentNotActive, detail).into())
        }
    }
}

fn free_slots(claimer: &Claimer) -> u32 {
    match claimer.state {
        AgentState::Active => {
            u32::try_from(i64::from(claimer.max_concurrent) - claimer.running).unwrap_or(0)
        }
        AgentState::Paused | AgentState::Draining | AgentState::Retired => 0,
    }
}

/// Locks as many ready tasks as the batch can take, for each set of abilities in it.
async fn lock_ready(
    unit: &mut Unit,
    batch: &[ClaimCommand],
    known: &HashMap<AgentId, Claimer>,
) -> Result<Vec<ReadyTask>> {
    let mut asked: BTreeMap<AgentId, u32> = BTreeMap::new();
    for command in batch {
        *asked.entry(command.owner.agent).or_default() += command.max;
    }
    let mut wanted: BTreeMap<&[String], i64> = BTreeMap::new();
    for (agent, asked) in asked {
        let Some(claimer) = known.get(&agent) else { continue };
        let take = asked.min(free_slots(claimer));
        if take > 0 {
            *wanted.entry(&claimer.capabilities).or_default() += i64::from(take);
        }
    }
    let workspace = unit.workspace();
    let mut ready: Vec<ReadyTask> = Vec::new();
    for (able, wanted) in wanted {
        let held: Vec<TaskId> = ready.iter().map(|task| task.task_id).collect();
        let wanted = wanted.min(MOST_AT_ONCE);
        ready.extend(store::claims::lock_ready(unit.conn(), workspace, able, wanted, &held).await?);
    }
    ready.sort_by_key(|task| (task.claim_rank, task.task_id));
    Ok(ready)
}

fn assign(
    batch: &[ClaimCommand],
    exact: &HashMap<AgentId, Claimer>,
    ready: &[ReadyTask],
) -> Vec<Vec<ReadyTask>> {
    let wishes: Vec<Wish> = batch
        .iter()
        .map(|command| Wish {
            agent: command.owner.agent,
            able: exact
                .get(&command.owner.agent)
                .map(|c| c.capabilities.clone())
                .unwrap_or_default(),
            max: command.max,
        })
        .collect();
    let candidates: Vec<Candidate<ReadyTask>> = ready
        .iter()
        .map(|task| Candidate { task: task.clone(), required: task.required.clone() })
        .collect();
    let slots = exact.iter().map(|(agent, claimer)| (*agent, free_slots(claimer))).collect();
    claim::assign(&wishes, &candidates, &slots)
}

/// Starts the attempts; returns each with its token.
async fn start(
    unit: &mut Unit,
    batch: &[ClaimCommand],
    given: &[Vec<ReadyTask>],
) -> Result<Vec<Started>> {
    let (workspace, now) = (unit.workspace(), unit.now());
    let mut started = Vec::new();
    for (command, tasks) in batch.iter().zip(given) {
        for task in tasks {
            let (token, attempt) = new_attempt(unit, command, task);
            unit.record(
                NewEvent::new(EventKind::TaskRunning)
                    .goal(task.goal_id)
                    .task(task.task_id)
                    .attempt(attempt.attempt_id)
                    .agent(command.owner.agent)
                    .by(command.owner.actor)
                    .data(json!({"attempt": attempt.number})),
            );
            started.push(Started { token, attempt });
        }
    }
    if !started.is_empty() {
        let rows: Vec<NewAttempt> = started.iter().map(|s| s.attempt.clone()).collect();
        store::attempts::start(unit.conn(), workspace, now, &rows).await?;
    }
    Ok(started)
}

fn new_attempt(unit: &Unit, command: &ClaimCommand, task: &ReadyTask) -> (String, NewAttempt) {
    let now = unit.now();
    let millis = |duration: Duration| duration.as_millis() as i64;
    let lease_ms = command.lease.map(millis).or(task.lease_ms).unwrap_or(millis(settings::LEASE));
    let timeout = task.attempt_timeout_ms.unwrap_or(millis(settings::ATTEMPT_TIMEOUT));
    let hard = now + chrono::TimeDelta::milliseconds(timeout);
    let hard_deadline = task.finish_by.map_or(hard, |finish_by| finish_by.min(hard));
    let lease_end = now + chrono::TimeDelta::milliseconds(lease_ms);
    let (token, lease_sha256) = lease::new(unit.entropy());
    let attempt = NewAttempt {
        attempt_id: unit.id(),
        task_id: task.task_id,
        goal_id: task.goal_id,
        agent_id: command.owner.agent,
        number: task.attempts_started + 1,
        lease_sha256,
        lease_ms,
        lease_expires_at: lease_end.min(hard_deadline),
        hard_deadline,
    };
    (token, attempt)
}
