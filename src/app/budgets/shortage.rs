//! Tasks that no budget can fund: parked with the reason, with one approval per limit.
//!
//! The claim that could not fund a task parks it. The task keeps its place in claim order, its
//! deadlines are suspended, and any move ends its wait. If releasing every open reservation would
//! not make enough room, the limit is exhausted. With `park_and_ask` one approval then asks to
//! raise it, once per version of the limit and period, however many tasks wait. If a limit becomes
//! exhausted while tasks already wait for it, the duty `fund` requests the approval.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::json;

use crate::{
    app::{Error, Result, Unit, approvals::ask},
    domain::{
        budget::{self, OnExhausted, ledger::Shortage},
        ids::{GoalId, LimitId, TaskId},
        journal::{Kind, NewRow},
        refusal::{Code, FieldError, Refusal},
        states::{ApprovalKind, TaskState},
        task::TaskFacts,
    },
    store::{self, approvals::NewApproval, attempts::claim::ReadyTask, tasks::moves::TaskMove},
};

/// Parks tasks. The caller holds the locks of the tasks and of the windows that are short.
pub(in crate::app) async fn park(
    unit: &mut Unit,
    ready: &[ReadyTask],
    short: &BTreeMap<TaskId, Vec<Shortage>>,
) -> Result<()> {
    if short.is_empty() {
        return Ok(());
    }
    let now = unit.now();
    let ids: Vec<TaskId> = short.keys().copied().collect();
    let ranks: HashMap<TaskId, _> =
        ready.iter().map(|task| (task.task_id, task.ranked_from)).collect();
    let facts = store::tasks::lock(unit.tx(), &ids).await?;
    let mut moves = Vec::new();
    let mut asking = BTreeMap::new();
    for task in &facts {
        let Some(lacks) = short.get(&task.task_id) else { continue };
        let Some(worst) = worst(lacks) else { continue };
        moves.push(TaskMove {
            ranked_from: ranks.get(&task.task_id).copied().unwrap_or(now),
            short: Some((worst.limit_id, worst.requested)),
            ..TaskMove::of(task, TaskState::Parked, now)
        });
        let data = json!({"reason": "waits for a budget", "budget": lacks});
        let parked = NewRow::new(Kind::TaskParked).goal(task.goal_id).task(task.task_id);
        unit.record(parked.data(data));
        note_question(&mut asking, task, worst);
    }
    store::tasks::moves::apply(unit.tx(), &moves).await?;
    ask(unit, asking).await
}

/// The limit a task waits for: exhausted ones first, then the nearest.
fn worst(short: &[Shortage]) -> Option<&Shortage> {
    short.iter().min_by_key(|short| (!short.is_exhausted(), short.node, short.limit_id))
}

fn note_question<'a>(
    asking: &mut BTreeMap<LimitId, (GoalId, &'a Shortage)>,
    task: &TaskFacts,
    short: &'a Shortage,
) {
    match short.on_exhausted {
        OnExhausted::ParkAndAsk if short.is_exhausted() => {
            asking.entry(short.limit_id).or_insert((task.goal_id, short));
        }
        OnExhausted::ParkAndAsk | OnExhausted::Park | OnExhausted::Stop | OnExhausted::Notify => {}
    }
}

/// Requests approvals to raise limits, unless one was requested for this version and period. The
/// caller holds the locks of the windows.
pub(in crate::app) async fn ask(
    unit: &mut Unit,
    asking: BTreeMap<LimitId, (GoalId, &Shortage)>,
) -> Result<()> {
    if asking.is_empty() {
        return Ok(());
    }
    let limits: Vec<_> =
        asking.values().map(|(_, short)| (short.limit_id, short.starts_at)).collect();
    let fresh = store::budgets::note_asked(unit.tx(), &limits).await?;
    let fresh: BTreeSet<LimitId> = fresh.into_iter().collect();
    let asked = asking.into_iter().filter(|(limit, _)| fresh.contains(limit));
    let questions = asked.map(|(limit, (goal, short))| question(unit, limit, goal, short));
    let questions: Vec<NewApproval> = questions.collect();
    ask::ask(unit, questions).await
}

fn question(unit: &Unit, limit: LimitId, goal: GoalId, short: &Shortage) -> NewApproval {
    let Shortage { node, unit: name, settled, reserved, requested, limit: amount, .. } = short;
    let proposed = budget::raised(*amount, *settled, *reserved, *requested);
    NewApproval {
        limit_id: Some(limit),
        // The proposed amount is only in the payload, which may be revised.
        title: format!("Raise the limit of {name} of the {node}, which is {amount}?"),
        body: format!(
            "Tasks wait because too little is left of this limit: {short}.\n\nApproving raises it to \
             what is `proposed` in the payload, and they go on. Any other limit can be set with `PATCH \
             /v1/budgets/{{budget_id}}`, which answers this question too. Rejecting cancels the \
             tasks that wait for a limit of a lifetime; of a day, week or month they wait for the \
             next one."
        ),
        payload: Some(json!({"short": short, "proposed": proposed})),
        ..NewApproval::new(unit.id(), ApprovalKind::Budget, goal)
    }
}

/// The refusal `budget_exhausted`, naming every limit that is short.
pub(in crate::app) fn exhausted(short: &[Shortage]) -> Error {
    let errors =
        short.iter().map(|short| FieldError::new(format!("/{}", short.unit), short.to_string()));
    let errors: Vec<_> = errors.collect();
    let all: Vec<String> = short.iter().map(ToString::to_string).collect();
    let detail = format!("there is not enough left: {}", all.join("; "));
    Refusal::at(Code::BudgetExhausted, detail, errors).into()
}
