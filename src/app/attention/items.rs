//! The items of the attention list: cause, explanation, and the request that clears each.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    ready_made,
    views::{AttentionAction, AttentionItem},
};
use crate::{
    domain::{
        approval::{Risk, kind::Subject},
        attention::{
            AttentionKind, COUNTED, FAILED_RISK, FREEZE_RISK, Hindrance, OVERSIZED_RISK,
            PAUSED_RISK, QUARANTINE_RISK, RELEASED_RISK, UNCLAIMABLE_RISK, UNPRICED_RISK,
            UNSEALED_RISK, limit_risk, stalled_risk,
        },
        budget,
        freeze::FreezeScope,
        goal::criteria::CriterionVerdict,
        ids::{FreezeId, WorkspaceId},
        plan::new_goal::PlannerChoice,
        price::{Lack, UNSTATED, provider::maker, wait::named},
        settings,
    },
    store::attention::{
        AbleAgent, AwaitedModel, Blocker, ExhaustedLimit, FailedGoal, FailedTask, FreezeWaits,
        KeptTasks, Oversized, PausedSchedule, PendingApproval, Quarantined, QuarantinedLesson,
        ReleasedAgain, RestingGoal, ShortSet, UnplannedGoal, UnverifiedGoal,
    },
};

fn blank(kind: AttentionKind, id: Uuid, since: DateTime<Utc>, risk: Risk) -> AttentionItem {
    AttentionItem {
        id,
        kind,
        since,
        risk,
        title: String::new(),
        detail: String::new(),
        waiting_tasks: 0,
        goal_id: None,
        task_id: None,
        approval_id: None,
        agent_id: None,
        budget_id: None,
        limit_id: None,
        freeze_id: None,
        capabilities: Vec::new(),
        model: None,
        action: post(String::new(), json!({}), ""),
    }
}

fn post(path: String, body: Value, what: impl Into<String>) -> AttentionAction {
    let headers = BTreeMap::new();
    AttentionAction { method: "POST".to_owned(), path, headers, body, what: what.into() }
}

/// An edit with `If-Match` of the version in the list.
fn patch(path: String, version: i32, body: Value, what: impl Into<String>) -> AttentionAction {
    let headers = BTreeMap::from([("If-Match".to_owned(), format!("\"v{version}\""))]);
    AttentionAction { method: "PATCH".to_owned(), headers, ..post(path, body, what) }
}

/// `1 task`, `12 tasks`, `1000 or more tasks`.
fn many(count: i64, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        count if count >= COUNTED => format!("{COUNTED} or more {noun}s"),
        count => format!("{count} {noun}s"),
    }
}

fn waits(count: i64) -> &'static str {
    if count == 1 { "waits" } else { "wait" }
}

/// The item of a pending approval.
pub(in crate::app) fn approval(row: PendingApproval) -> AttentionItem {
    let (body, what) = ready_made::ready_made(&row);
    let PendingApproval {
        approval_id,
        kind,
        goal_id,
        task_id,
        agent_id,
        limit_id,
        budget_id,
        title,
        payload_sha256: _,
        risk,
        created_at,
        waiting,
        last_round: _,
        missing: _,
    } = row;
    let waiting_tasks = match kind.subject() {
        Subject::Plan => 0,
        Subject::Start | Subject::Result | Subject::Question => 1,
        Subject::Limit => waiting,
    };
    AttentionItem {
        title,
        detail: kind.traits().waits.to_owned(),
        waiting_tasks,
        goal_id: Some(goal_id),
        task_id,
        approval_id: Some(approval_id),
        agent_id,
        budget_id,
        limit_id,
        action: post(format!("/v1/approvals/{approval_id}/decide"), body, what),
        ..blank(AttentionKind::Approval, approval_id.0, created_at, risk)
    }
}

/// The item of a task in quarantine: it failed because its agents lost their leases.
pub(in crate::app) fn quarantined(row: Quarantined) -> AttentionItem {
    let Quarantined { task_id, goal_id, title, agent_id, lost_in_row, ended_at, may_return } = row;
    let action = match may_return {
        true => {
            let what = "Tries it again, once you know the cause; what was cancelled because of it comes \
                        back. `POST /v1/tasks/{task_id}/acknowledge` only clears the item: a failed goal \
                        is then listed itself.";
            post(format!("/v1/tasks/{task_id}/retry"), json!({}), what)
        }
        false => {
            let what = "Confirms that a person knows the cause. The task stays failed: its goal was \
                        cancelled, or goes on without it.";
            post(format!("/v1/tasks/{task_id}/acknowledge"), json!({"reason": "looked into"}), what)
        }
    };
    AttentionItem {
        title: format!("In quarantine: {title}"),
        detail: format!(
            "Its agents lost their lease {lost_in_row} times in a row, so it failed and is not \
             tried again."
        ),
        goal_id: Some(goal_id),
        task_id: Some(task_id),
        agent_id,
        action,
        ..blank(AttentionKind::QuarantinedTask, task_id.0, ended_at, QUARANTINE_RISK)
    }
}

/// The item of a failed goal.
pub(in crate::app) fn failed_goal(row: FailedGoal) -> AttentionItem {
    let FailedGoal { goal_id, title, failed, task_id, task_title, reason, ended_at } = row;
    let what = "Tries its failed tasks again; what was cancelled because of them comes back, and \
                finished work stays. `POST /v1/goals/{goal_id}/acknowledge` only clears the item.";
    let tasks = many(failed, "task");
    AttentionItem {
        title: format!("Failed: {title}"),
        detail: format!("{tasks} of it failed, the first was `{task_title}`{}", because(reason)),
        goal_id: Some(goal_id),
        task_id: Some(task_id),
        action: post(format!("/v1/goals/{goal_id}/retry"), json!({}), what),
        ..blank(AttentionKind::FailedGoal, goal_id.0, ended_at, FAILED_RISK)
    }
}

/// The item of a failed task of an active goal.
pub(in crate::app) fn failed_task(row: FailedTask) -> AttentionItem {
    let FailedTask { task_id, goal_id, title, failure_class, reason, agent_id, ended_at } = row;
    let what = "Tries it again; what was cancelled because of it comes back. `POST \
                /v1/tasks/{task_id}/acknowledge` only clears the item: its goal will fail.";
    AttentionItem {
        title: format!("Failed: {title}"),
        detail: format!("It failed for good (`{failure_class}`){}", because(reason)),
        goal_id: Some(goal_id),
        task_id: Some(task_id),
        agent_id,
        action: post(format!("/v1/tasks/{task_id}/retry"), json!({}), what),
        ..blank(AttentionKind::FailedTask, task_id.0, ended_at, FAILED_RISK)
    }
}

/// The end of a sentence about a failure: `: the build is broken`.
fn because(reason: Option<String>) -> String {
    const SHOWN: usize = 300;
    match reason {
        None => ".".to_owned(),
        Some(reason) if reason.chars().count() > SHOWN => {
            format!(": {}…", reason.chars().take(SHOWN).collect::<String>())
        }
        Some(reason) => format!(": {reason}"),
    }
}

/// The item of a task that agents release again and again.
pub(in crate::app) fn released(row: ReleasedAgain) -> AttentionItem {
    let ReleasedAgain { task_id, goal_id, title, agent_id, agent_name, released_in_row, since } =
        row;
    let last = agent_name.unwrap_or_else(|| "a person".to_owned());
    let what = "Offers the task at once to every agent but the last one. Pause the agent if it does so \
                with other tasks; cancel or edit the task if nobody can do it.";
    let body = json!({"reason": "released again and again"});
    AttentionItem {
        title: format!("Released again and again: {title}"),
        detail: format!(
            "It was given back {released_in_row} times in a row, without progress or because of a rate limit, the \
             last time by {last}. It is offered again after a pause that grows."
        ),
        waiting_tasks: 1,
        goal_id: Some(goal_id),
        task_id: Some(task_id),
        agent_id,
        action: post(format!("/v1/tasks/{task_id}/reassign"), body, what),
        ..blank(AttentionKind::ReleasedTask, task_id.0, since, RELEASED_RISK)
    }
}

/// The item of a task that waits to be divided.
pub(in crate::app) fn oversized(row: Oversized) -> AttentionItem {
    let Oversized { task_id, goal_id, title, agent_id, too_large, message, since } = row;
    let what = "Offers the task once more as it is, to every agent but the last one. To divide it, send its \
                parts: `POST /v1/tasks/{task_id}/split {\"tasks\": [...]}`. `PATCH /v1/tasks/{task_id}` makes \
                it smaller first.";
    let body = json!({"reason": "tried once more as a whole"});
    AttentionItem {
        title: format!("Too large: {title}"),
        detail: format!(
            "{} of it ended because it is too large for one attempt{}",
            many(too_large, "attempt"),
            because(message)
        ),
        waiting_tasks: 1,
        goal_id: Some(goal_id),
        task_id: Some(task_id),
        agent_id,
        action: post(format!("/v1/tasks/{task_id}/reassign"), body, what),
        ..blank(AttentionKind::OversizedTask, task_id.0, since, OVERSIZED_RISK)
    }
}

/// The item of a schedule that paused by itself.
pub(in crate::app) fn paused_schedule(row: PausedSchedule) -> AttentionItem {
    let PausedSchedule { schedule_id, name, detail, refusal, since } = row;
    let cause = detail.unwrap_or_else(|| "it cannot post its goals".to_owned());
    let what = "Goes on from now on; a key that has ended is replaced by yours, which then posts its goals. Remove the \
                cause of refused goals first. `POST /v1/schedules/{schedule_id}/fire` tries it at once.";
    AttentionItem {
        title: format!("Paused: {name}"),
        detail: format!("The schedule posts no goals: {cause}{}", because(refusal)),
        action: post(format!("/v1/schedules/{schedule_id}/resume"), json!({}), what),
        ..blank(AttentionKind::PausedSchedule, schedule_id.0, since, PAUSED_RISK)
    }
}

/// The item of a model without a price: nobody has stated one, or the call names no provider and their
/// prices differ.
pub(in crate::app) fn unpriced(row: AwaitedModel, lack: &Lack) -> AttentionItem {
    let AwaitedModel { id, provider, model, waiting, ended, since, task_id, goal_id } = row;
    let named = named(provider.as_deref(), &model);
    let late = match ended {
        0 => String::new(),
        _ => format!(" What {} used is rated then too.", many(ended, "ended task")),
    };
    let sellers = lack.sellers();
    let stated = provider.as_deref().or_else(|| maker(&model).filter(|_| sellers.is_none()));
    let (title, used, adds) = match &sellers {
        None => (
            format!("The model {named} has no price"),
            "the model was used under a budget that refuses models without a price".to_owned(),
            "Adds the price from now on, once you filled in the two rates.",
        ),
        Some(sellers) => (
            format!("Providers disagree about the price of the model {named}"),
            format!(
                "it was used without a stated provider, their prices differ ({sellers}), and the budget \
                 refuses models without a price"
            ),
            "Adds the price of calls that state no provider from now on, once you filled in the two \
             rates; calls that state one keep its price. Better, have the agents report `provider`.",
        ),
    };
    let body = json!({
        "provider": stated.unwrap_or(UNSTATED),
        "model": model,
        "usd_per_million": {
            "input": "<US dollars per million input tokens>",
            "output": "<US dollars per million output tokens>",
        },
    });
    let what = format!(
        "{adds} The tasks go on, and what they used is rated. For a model that costs nothing both are \
         \"0\", with `\"force\": true`. Instead, `POST /v1/prices/import` reads a price file, and \
         `unknown_model` of the budget lets models without a price pass."
    );
    AttentionItem {
        title,
        detail: format!("{} {} for it: {used}.{late}", many(waiting, "task"), waits(waiting)),
        waiting_tasks: waiting,
        goal_id: Some(goal_id),
        task_id: Some(task_id),
        model: Some(model),
        action: post("/v1/prices".to_owned(), body, what),
        ..blank(AttentionKind::UnpricedModel, id, since, UNPRICED_RISK)
    }
}

/// The item of a journal that is not sealed.
pub(in crate::app) fn unsealed(
    workspace: WorkspaceId,
    since: DateTime<Utc>,
    blockers: &[Blocker],
) -> AttentionItem {
    let shown: Vec<String> = blockers.iter().map(ToString::to_string).collect();
    let cause = match shown.as_slice() {
        [] => {
            "No open transaction holds its tables: see the duty `seal` in `GET /v1/supervisor` and \
               the log of the service."
                .to_owned()
        }
        some => format!(
            "In the way: {}. Let its program commit, or end it at the database: `select \
             pg_terminate_backend(pid)`, for a prepared transaction `rollback prepared`.",
            some.join("; ")
        ),
    };
    let what = "Changes nothing: `unsealed` is 0 once the journal is sealed again.";
    let action = post("/v1/audit/verify".to_owned(), json!({}), what);
    AttentionItem {
        title: "The journal is not sealed".to_owned(),
        detail: format!(
            "Nothing protects its rows since {} from changes. {cause}",
            since.to_rfc3339()
        ),
        action: AttentionAction { method: "GET".to_owned(), ..action },
        ..blank(AttentionKind::UnsealedJournal, workspace.0, since, UNSEALED_RISK)
    }
}

/// The item of ready tasks that no available agent can do. `could`: the capable agents that are
/// unavailable.
pub(in crate::app) fn unclaimable(
    set: &ShortSet,
    required: &[String],
    could: Vec<(Hindrance, &AbleAgent)>,
) -> AttentionItem {
    let ShortSet { id, capability_key: _, waiting, since, task_id, goal_id } = *set;
    let nearest = could.iter().min_by_key(|(hindrance, _)| *hindrance).copied();
    let needs = if required.is_empty() { "nothing".to_owned() } else { required.join(", ") };
    let tasks = many(waiting, "ready task");
    let require = if waiting == 1 { "requires" } else { "require" };
    let (action, freeze_id) = match nearest {
        None => (register(required, task_id.0), None),
        Some((hindrance, agent)) => overcome(hindrance, agent),
    };
    let title = match required.is_empty() {
        true => "There is no live agent".to_owned(),
        false => format!("No live agent can do tasks that require {needs}"),
    };
    AttentionItem {
        title,
        detail: format!("{tasks} {require} {needs}, {}.", lack(&could)),
        waiting_tasks: waiting,
        goal_id: Some(goal_id),
        task_id: Some(task_id),
        agent_id: nearest.map(|(_, agent)| agent.agent_id),
        freeze_id,
        capabilities: required.to_vec(),
        action,
        ..blank(AttentionKind::UnclaimableTask, id, since, UNCLAIMABLE_RISK)
    }
}

/// The item of ready tasks that are kept for an unavailable agent.
pub(in crate::app) fn kept(
    tasks: &KeptTasks,
    hindrance: Hindrance,
    agent: &AbleAgent,
) -> AttentionItem {
    let KeptTasks { agent_id, waiting, since, task_id, goal_id } = *tasks;
    let (action, freeze_id) = overcome(hindrance, agent);
    AttentionItem {
        title: format!("Tasks are kept for the agent {}, which does not take them", agent.name),
        detail: format!(
            "{} {} for this agent alone, {}. `POST /v1/tasks/{{task_id}}/reassign` without \
             `agent_id` gives a task to anybody.",
            many(waiting, "ready task"),
            waits(waiting),
            lack(&[(hindrance, agent)]),
        ),
        waiting_tasks: waiting.min(COUNTED),
        goal_id: Some(goal_id),
        task_id: Some(task_id),
        agent_id: Some(agent_id),
        freeze_id,
        capabilities: agent.capabilities.clone(),
        action,
        ..blank(AttentionKind::UnclaimableTask, agent_id.0, since, UNCLAIMABLE_RISK)
    }
}

/// The reason, as a clause: `which 3 agents could do: 1 frozen, 2 not heard of`.
fn lack(could: &[(Hindrance, &AbleAgent)]) -> String {
    if could.is_empty() {
        return "which no agent is registered for".to_owned();
    }
    let reasons = [
        (Hindrance::Frozen, "frozen"),
        (Hindrance::Paused, "paused or draining"),
        (Hindrance::Lost, "not heard of"),
        (Hindrance::PausedAndLost, "paused or draining and not heard of"),
    ];
    let told = reasons.iter().filter_map(|(hindrance, word)| {
        let count = could.iter().filter(|(found, _)| found == hindrance).count();
        (count > 0).then(|| format!("{count} {word}"))
    });
    let noun = if could.len() == 1 { "agent" } else { "agents" };
    format!("which {} {noun} could do: {}", could.len(), told.collect::<Vec<_>>().join(", "))
}

fn register(required: &[String], first: Uuid) -> AttentionAction {
    let what = "Registers an agent that can do them; start it with the token of the answer \
                within ten minutes.";
    // The end of an id is random, so the name is new; it stays the same as long as this task is
    // first.
    let digits = first.simple().to_string();
    let name: String =
        required.iter().map(String::as_str).chain(["agent"]).collect::<Vec<_>>().join("-");
    let name: String = name.chars().take(settings::NAME_CHARS - 20).collect();
    let name = format!("{name}-{}", digits.get(24..).unwrap_or_default());
    let body = json!({"name": name, "capabilities": required});
    post("/v1/agents".to_owned(), body, what)
}

/// The request that makes the agent available, and the freeze that it lifts.
fn overcome(hindrance: Hindrance, agent: &AbleAgent) -> (AttentionAction, Option<FreezeId>) {
    let AbleAgent { agent_id, name, capabilities: _, state, version, heard_at: _, freeze_id } =
        agent;
    let edit = |what: String| {
        patch(format!("/v1/agents/{agent_id}"), *version, json!({"state": "active"}), what)
    };
    match (hindrance, freeze_id) {
        (Hindrance::Frozen, Some(freeze)) => (
            lift(*freeze, format!("Lifts the freeze on the agent `{name}`, which can do them.")),
            Some(*freeze),
        ),
        (Hindrance::Frozen | Hindrance::Paused, _) => {
            (edit(format!("Lets the agent `{name}`, which is {state}, claim again.")), None)
        }
        (Hindrance::PausedAndLost, _) => (
            edit(format!(
                "Lets the agent `{name}`, which is {state}, claim again; it was not heard of for \
                 ten minutes, so start it too."
            )),
            None,
        ),
        (Hindrance::Lost, _) => {
            let what = format!(
                "Creates one more key for the agent `{name}`; start it within ten minutes, with the \
                 token of the answer or with a key that it has. Needs the key of its owner, of \
                 its registrant, or of an admin."
            );
            (post("/v1/agents".to_owned(), json!({"name": name}), what), None)
        }
    }
}

fn lift(freeze: FreezeId, what: impl Into<String>) -> AttentionAction {
    post(format!("/v1/freezes/{freeze}/lift"), json!({"reason": "tasks wait under it"}), what)
}

/// The item of a limit for which tasks wait.
///
/// # Errors
/// If the stored limits cannot be read.
pub(in crate::app) fn exhausted(row: ExhaustedLimit) -> AttentionItem {
    let ExhaustedLimit {
        limit_id,
        budget_id,
        version,
        node,
        node_id: _,
        unit,
        period,
        ends_at,
        amount,
        used,
        reserved,
        waiting,
        needed,
        since,
        task_id,
        goal_id,
        mut limits,
    } = row;
    let proposed = budget::raised(amount, used, reserved, needed).min(settings::AMOUNT_MAX);
    for limit in limits.iter_mut().filter(|limit| limit.unit == unit && limit.period == period) {
        limit.amount = proposed;
    }
    let until =
        ends_at.map_or(String::new(), |at| format!(" It has room again on {}.", at.to_rfc3339()));
    let body = json!({"limits": limits, "reason": "tasks wait for it"});
    let what = format!(
        "Raises the limit from {amount} to {proposed}, enough to offer the waiting tasks; the other \
         limits stay as they are."
    );
    AttentionItem {
        title: format!("The limit of {unit} of the {node} is used up"),
        detail: format!(
            "{} {} for it: {used} of {amount} are used and {reserved} set aside.{until}",
            many(waiting, "task"),
            waits(waiting),
        ),
        waiting_tasks: waiting,
        goal_id: Some(goal_id),
        task_id: Some(task_id),
        budget_id: Some(budget_id),
        limit_id: Some(limit_id),
        action: patch(format!("/v1/budgets/{budget_id}"), version, body, what),
        ..blank(AttentionKind::ExhaustedBudget, limit_id.0, since, limit_risk(period))
    }
}

/// The item of a freeze under which tasks wait.
pub(in crate::app) fn frozen(row: FreezeWaits) -> AttentionItem {
    let FreezeWaits { freeze_id, scope, scope_id, capability, mode, reason, set_at, waiting } = row;
    let place = match (scope, scope_id, &capability) {
        (FreezeScope::Goal, Some(id), _) => (Some(id.into()), None),
        (FreezeScope::Task, Some(id), _) => (None, Some(id.into())),
        (
            FreezeScope::Workspace
            | FreezeScope::Project
            | FreezeScope::Goal
            | FreezeScope::Task
            | FreezeScope::Agent
            | FreezeScope::Capability,
            _,
            _,
        ) => (None, None),
    };
    let name = capability.map_or_else(|| format!("the {scope}"), |name| format!("`{name}`"));
    let why = if reason.is_empty() { "no reason was given".to_owned() } else { reason };
    AttentionItem {
        title: format!("A {mode} is over {name}"),
        detail: format!("{} {} under it ({why}).", many(waiting, "ready task"), waits(waiting)),
        waiting_tasks: waiting,
        goal_id: place.0,
        task_id: place.1,
        freeze_id: Some(freeze_id),
        action: lift(freeze_id, "Lifts only this freeze: work under other freezes stays frozen."),
        ..blank(AttentionKind::Freeze, freeze_id.0, set_at, FREEZE_RISK)
    }
}

/// The item of a goal whose verification needs a person.
pub(in crate::app) fn unverified(row: UnverifiedGoal, now: DateTime<Utc>) -> AttentionItem {
    let UnverifiedGoal { goal_id, title, deadline, since, unmet, number, text, reworks, note } =
        row;
    let others = match unmet - 1 {
        0 => String::new(),
        others => format!(" {others} more are not satisfied either."),
    };
    let found = note.map_or_else(String::new, |note| format!(" The last finding: {note}"));
    let reason = "it was not shown that this criterion is met";
    let what = format!(
        "Has criterion {number} reworked once more, then checked again; say in `reason` what is missing. If \
         it is met, `approve` it instead. If the goal is no longer wanted, cancel it."
    );
    AttentionItem {
        title: format!("Criteria are not satisfied: {title}"),
        detail: format!(
            "Criterion {number} (\"{text}\") is not satisfied after {}, and no task is made for it without a \
             person.{others}{found}",
            many(reworks.into(), "rework"),
        ),
        goal_id: Some(goal_id),
        action: post(
            format!("/v1/goals/{goal_id}/criteria/{number}/decide"),
            json!({"decision": CriterionVerdict::Reject, "reason": reason}),
            what,
        ),
        ..blank(AttentionKind::UnverifiedGoal, goal_id.0, since, stalled_risk(deadline, now))
    }
}

/// The item of a goal that no planner plans any further.
pub(in crate::app) fn unplanned(row: UnplannedGoal, now: DateTime<Utc>) -> AttentionItem {
    let UnplannedGoal { goal_id, title, deadline, since, planners, planner, error, finding } = row;
    let error = error.unwrap_or_else(|| "it said nothing".to_owned());
    let last =
        planner.map_or_else(String::new, |planner| format!(" The last one, `{planner}`: {error}."));
    let finding = finding.filter(|finding| !finding.is_empty());
    let finding = finding.map_or_else(String::new, |finding| format!(" First finding: {finding}"));
    // Those that need nobody would find the same in the same brief.
    let mut again: Vec<PlannerChoice> =
        planners.into_iter().filter(|planner| !planner.needs_nobody()).collect();
    if again.is_empty() {
        again.push(PlannerChoice::Agent);
    }
    let what = format!(
        "Has the planners try again that ask somebody. Instead of `planners`, `tasks` are the plan itself: \
         `{{\"tasks\": [{{\"ref\": \"a\", \"title\": \"...\"}}]}}`. What each planner said: \
         `GET /v1/goals/{goal_id}/planning`. If the goal is no longer wanted, \
         `POST /v1/goals/{goal_id}/cancel`."
    );
    AttentionItem {
        title: format!("Planning failed: {title}"),
        detail: format!("No planner of the goal made a plan.{last}{finding}"),
        goal_id: Some(goal_id),
        action: post(format!("/v1/goals/{goal_id}/plan"), json!({"planners": again}), what),
        ..blank(AttentionKind::UnplannedGoal, goal_id.0, since, stalled_risk(deadline, now))
    }
}

/// The item of a lesson that is kept away from agents.
pub(in crate::app) fn quarantined_lesson(row: QuarantinedLesson) -> AttentionItem {
    let QuarantinedLesson { lesson_id, reason, agent_id, since } = row;
    let reason = reason.unwrap_or_else(|| "no reason was recorded".to_owned());
    let what = format!(
        "Puts the lesson away. Read it first: `GET /v1/lessons/{lesson_id}`. If it is harmless, \
         `POST /v1/lessons/{lesson_id}/restore` gives it back to agents."
    );
    AttentionItem {
        title: "A lesson is quarantined".to_owned(),
        detail: format!("No agent gets it: {reason}."),
        agent_id,
        action: post(format!("/v1/lessons/{lesson_id}/archive"), json!({}), what),
        ..blank(AttentionKind::QuarantinedLesson, lesson_id.0, since, QUARANTINE_RISK)
    }
}

/// The item of a goal without changes.
pub(in crate::app) fn stalled(row: RestingGoal, now: DateTime<Utc>) -> AttentionItem {
    let RestingGoal { goal_id, title, priority, deadline, version, since, open, ready, running } =
        row;
    let hours = (now - since).num_hours();
    let first = ready > 0 && priority < settings::PRIORITY_MAX;
    let action = if first {
        let body = json!({"priority": settings::PRIORITY_MAX});
        let what = "Puts its tasks before others, and clears this item for a day: agents that can do \
                    them are available, but have not claimed them. If it is no longer wanted, \
                    cancel it.";
        patch(format!("/v1/goals/{goal_id}"), version, body, what)
    } else {
        let body = json!({"reason": format!("nothing has changed for {hours} hours")});
        let what = "Cancels the goal. Any progress in it, and any edit of it, clears this too.";
        post(format!("/v1/goals/{goal_id}/cancel"), body, what)
    };
    AttentionItem {
        title: format!("Nothing changes in: {title}"),
        detail: format!(
            "Nothing has changed for {hours} hours: of {} {ready} are ready and {running} running.",
            many(open, "open task"),
        ),
        waiting_tasks: open.min(COUNTED),
        goal_id: Some(goal_id),
        action,
        ..blank(AttentionKind::StalledGoal, goal_id.0, since, stalled_risk(deadline, now))
    }
}
