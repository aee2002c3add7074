//! Goals: posting, previewing plans, cancelling, and bringing work of them back.
//!
//! A goal, its plan and all its tasks are written in one transaction, so no goal ever has half a
//! plan. With `approval.plan` only the plan is stored; its tasks are created when the approval is
//! decided. A goal whose planner needs somebody is written without a plan, and [`planning`] makes it.

pub mod additions;
mod again;
mod anew;
mod archive;
pub mod criteria;
mod dedup;
mod delete;
pub(in crate::app) mod discovered;
pub mod edit;
pub mod ground;
mod moving;
pub mod planning;
pub mod plans;
pub mod playbooks;
pub mod progress;
pub mod reopen;
pub mod replan;
pub mod retry;
mod somebody;
pub mod split;
pub mod thought;
pub mod views;

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    App, Result, Unit,
    approvals::ask,
    budgets::{allocations, create},
    caller::{
        Caller as _, Principal, ProjectOperatorCaller, ProjectSubmitterCaller, SubmitterCaller,
    },
    caps,
    knowledge::answers::SolvedTasks,
    playbooks::shelf,
    projects,
    tasks::{
        Acknowledgement, Cancellation, cascade,
        create::{InsertPoint, create_tasks},
        posted,
    },
    unit::{
        idempotency::{Outcome, Request},
        locks::lock_goal,
    },
};
use crate::{
    domain::{
        access::scope::Scope,
        budget::BudgetNode,
        cap::workspace::Holding,
        ids::{GoalId, KeyId, PlanId, ProjectId, TaskId},
        journal::{Kind, NewRow},
        outline::{OutlineNote, controls},
        plan::{
            CriterionSpec, TaskSpec,
            discovered::DiscoveredPolicy,
            finding::Finding,
            new_goal::{Draft, NewGoal, Opening, PlanSource, PlannerChoice, draft, open},
            numbers::PlanNumbers,
            playbook::PlaybookUse,
            validate::shown,
        },
        planning::{RunState, Target},
        refusal::{Code, Refusal},
        routing::turns,
        settings,
        states::{ApprovalKind, GoalState, PlanState, Planner},
    },
    store::{self, Hold, Tx, approvals::NewApproval, goals::GoalFacts},
};
use ground::Judgement;
use views::{Goal, PostedGoal};

/// The plan that a goal would get, without storing anything.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct PlanPreview {
    /// Producer of the plan, as for a goal.
    pub planner: Planner,
    /// Number of tasks, containers included.
    pub task_count: usize,
    /// Number of tasks ticked in the document or given as done. A ticked container with open
    /// children opens again when the plan is applied; `notes` names it.
    pub done_count: usize,
    /// Number of dependencies between tasks.
    pub dependency_count: usize,
    /// The tasks, in the order of the document.
    pub tasks: Vec<TaskSpec>,
    /// Conditions of success of the goal as a whole: boxes of the document below a label of criteria
    /// that belongs to no task, then those of the request. The goal is verified by them.
    pub criteria: Vec<CriterionSpec>,
    /// Remarks of the planner, each with the line that it is about: duplicate ids, ignored
    /// dependencies, what looks like a task and is none.
    pub notes: Vec<OutlineNote>,
    /// The playbook that it is made of, with the version that was used; `null` for other planners.
    pub playbook: Option<PlaybookUse>,
    /// What is wrong or doubtful in the plan by the present fleet, budgets and deadline, errors first. None of
    /// it refuses the goal.
    pub findings: Vec<Finding>,
    /// What the plan is expected to use, how long it takes and what holds it up.
    pub numbers: PlanNumbers,
    /// Tasks that finished ones may have answered already: by their titles.
    pub solved: SolvedTasks,
}

impl PlanPreview {
    fn of(draft: Draft, judgement: Judgement) -> Self {
        let Draft { planner, tasks, criteria, notes, playbook } = draft;
        let Judgement { findings, numbers } = judgement;
        Self {
            planner,
            task_count: tasks.len(),
            done_count: tasks.iter().filter(|task| task.done).count(),
            dependency_count: tasks.iter().map(|task| task.needs.len()).sum(),
            tasks,
            criteria,
            notes,
            playbook,
            findings,
            numbers,
            solved: SolvedTasks::default(),
        }
    }
}

/// The source of a plan with the playbooks that it needs.
pub(in crate::app) async fn shelved(tx: &mut Tx, source: PlanSource) -> Result<PlanSource> {
    let Some(used) = &source.playbook else { return Ok(source) };
    let shelf = shelf::of(tx, &[(used.name.clone(), used.version)]).await?;
    Ok(PlanSource { shelf, ..source })
}

impl App {
    /// Previews the plan of a goal. Writes nothing.
    ///
    /// # Errors
    /// As [`App::create_goal`], but a title is not needed, and no budget is asked.
    pub async fn preview_plan(
        &self,
        caller: &SubmitterCaller,
        new: &NewGoal,
    ) -> Result<PlanPreview> {
        new.check_preview()?;
        let principal = caller.principal();
        let mut tx = self.reader(principal.workspace).await?;
        let draft = draft(&shelved(&mut tx, new.source()).await?)?;
        let ground = ground::of_new(&mut tx, &principal.scope, new, &draft).await?;
        drop(tx);
        let judgement = ground::judge(&draft.tasks, &ground);
        Ok(self.with_solved(principal, PlanPreview::of(draft, judgement)).await)
    }

    /// A preview with the finished tasks that may have answered those of the plan.
    async fn with_solved(&self, principal: &Principal, preview: PlanPreview) -> PlanPreview {
        let solved = self.solved_tasks(principal, &preview.tasks).await;
        PlanPreview { solved, ..preview }
    }

    /// Posts a goal and plans it. If its planner needs somebody, the goal is `planning`, and the answer waits up to
    /// `wait` until planning has ended or needs a person.
    ///
    /// # Errors
    /// `invalid`, `no_tasks_found`, `plan_invalid`; `budget_exhausted` if its budget is allocated
    /// and there is too little room above it; `already_exists` if a deleted goal holds its dedup key. Nothing is
    /// written then.
    pub async fn create_goal(
        &self,
        caller: &ProjectSubmitterCaller,
        new: &NewGoal,
        request: Option<&Request>,
        wait: Duration,
    ) -> Result<Outcome<PostedGoal>> {
        let workspace = caller.principal().workspace;
        self.admit_planners(workspace, "/planner", new.planner.as_slice()).await?;
        self.admit_planners(workspace, "/planners", &new.planners).await?;
        let Principal { key, scope, .. } = caller.principal();
        let poster = Poster { key: *key, scope };
        let posted = self
            .create(caller.principal(), request, Hold::Share, async |unit| {
                post(unit, poster, new).await
            })
            .await?;
        let posted = match posted.value.goal.state == GoalState::Planning && !wait.is_zero() {
            false => posted,
            true => {
                let goal = posted.value.goal.id;
                let planned = self.wait_planned(caller.principal(), goal, wait).await?;
                posted.map(|posted| PostedGoal { deduplicated: posted.deduplicated, ..planned })
            }
        };
        if posted.replayed || posted.value.deduplicated {
            return Ok(posted);
        }
        // After the commit: nobody waits for a search.
        let solved = self.solved_in_goal(caller.principal(), posted.value.goal.id).await;
        Ok(posted.map(|posted| PostedGoal { solved, ..posted }))
    }

    /// Waits until the planning of a goal has ended or needs a person; reads the goal as it is then.
    async fn wait_planned(
        &self,
        principal: &Principal,
        goal: GoalId,
        wait: Duration,
    ) -> Result<PostedGoal> {
        let workspace = principal.workspace;
        let waiting = self.wait_until(principal.waiting(), wait, || async {
            let mut tx = self.reader(workspace).await?;
            let is_on = store::planning::is_on(&mut tx, goal).await?;
            Ok(!is_on.ok_or_else(|| Refusal::not_found("goal"))?)
        });
        let _turn = waiting.await?;
        posted_before(&mut self.reader(workspace).await?, goal).await
    }

    /// Acknowledges the failure of a goal, which removes it from `GET /v1/attention`. Repeating it
    /// changes nothing.
    ///
    /// # Errors
    /// `not_found`, `invalid`; `wrong_state` if the goal has not failed.
    pub async fn acknowledge_goal(
        &self,
        caller: &ProjectOperatorCaller,
        goal: GoalId,
        said: &Acknowledgement,
    ) -> Result<Goal> {
        said.check()?;
        let principal = caller.principal();
        self.see_goal(principal, goal).await?;
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let facts = lock_goal(&mut unit, goal).await?;
        if facts.state != GoalState::Failed {
            let detail = format!("the goal is {} and has not failed", facts.state);
            return Err(Refusal::new(Code::WrongState, detail).into());
        }
        if store::goals::acknowledge(unit.tx(), goal).await? {
            let event = NewRow::new(Kind::GoalAcknowledged).goal(goal);
            unit.record(event.data(json!({"reason": said.reason})));
        }
        let goal = views::read(unit.tx(), goal).await?;
        self.commit(unit).await?;
        Ok(goal)
    }

    /// Cancels a goal. Waiting tasks are cancelled at once; running attempts get the directive
    /// `stop`, and a result that arrives first still counts. Cancelling a cancelled goal changes
    /// nothing.
    ///
    /// # Errors
    /// `not_found`; `goal_ended` if it has completed or failed; `forbidden` for a submitter who did
    /// not post it.
    pub async fn cancel_goal(
        &self,
        caller: &ProjectSubmitterCaller,
        goal: GoalId,
        cancellation: &Cancellation,
    ) -> Result<Goal> {
        let reason = cancellation.checked()?;
        let principal = caller.principal();
        self.see_goal(principal, goal).await?;
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let facts = lock_goal(&mut unit, goal).await?;
        posted::check(&mut unit, principal, goal, "cancels only").await?;
        if facts.state != GoalState::Cancelled {
            refuse_ended(&facts)?;
            cancel_locked(&mut unit, goal, reason).await?;
        }
        let goal = views::read(unit.tx(), goal).await?;
        self.commit(unit).await?;
        Ok(goal)
    }
}

/// A goal as it is now, with what is said about its latest plan.
async fn posted_before(tx: &mut Tx, goal: GoalId) -> Result<PostedGoal> {
    let latest = store::goals::plans::list(tx, goal, None, 1).await?.pop();
    let said = latest.map_or_else(PlanSaid::default, |plan| PlanSaid {
        notes: plan.notes.0,
        findings: plan.findings.0,
        numbers: plan.numbers.map(|numbers| numbers.0),
    });
    Ok(said.about(views::read(tx, goal).await?))
}

fn refuse_ended(goal: &GoalFacts) -> Result<()> {
    if !goal.state.is_terminal() {
        return Ok(());
    }
    let back = match goal.state {
        GoalState::Failed => "`POST /v1/goals/{goal_id}/retry` makes it active again",
        GoalState::Completed => {
            "`POST /v1/tasks/{task_id}/reopen` of a task of it makes it active again"
        }
        GoalState::Cancelled
        | GoalState::Planning
        | GoalState::Proposed
        | GoalState::Active
        | GoalState::Verifying => "post another goal",
    };
    let detail = format!("the goal is {} and is not changed now; {back}", goal.state);
    Err(Refusal::new(Code::GoalEnded, detail).into())
}

/// Who posts a goal.
#[derive(Debug, Clone, Copy)]
pub(in crate::app) struct Poster<'a> {
    /// The key.
    pub key: KeyId,
    /// What the key may do below its role.
    pub scope: &'a Scope,
}

/// Checks a goal, plans it and writes it.
///
/// # Errors
/// As [`App::create_goal`].
pub(in crate::app) async fn post(
    unit: &mut Unit,
    poster: Poster<'_>,
    new: &NewGoal,
) -> Result<PostedGoal> {
    new.check()?;
    let opening = open(&shelved(unit.tx(), new.source()).await?)?;
    let id: GoalId = unit.id();
    if let Some(dedup) = &new.dedup {
        let own = poster.scope.projects.as_deref();
        let project = project_named(unit, new.project.as_deref(), own).await?;
        if let Some(holder) = dedup::holder(unit, project, dedup, id).await? {
            let posted = posted_before(unit.tx(), holder).await?;
            return Ok(PostedGoal { deduplicated: true, ..posted });
        }
    }
    caps::admit(unit, Holding::StoredBytes, 0).await?;
    let mut said = PlanSaid::default();
    let mut judgement = None;
    if let Some(draft) = &opening.draft {
        let ground = ground::of_new(unit.tx(), poster.scope, new, draft).await?;
        let judged = ground::judge(&draft.tasks, &ground);
        said = PlanSaid::of(draft.notes.clone(), &judged);
        judgement = Some(judged);
    }
    let goal = write_goal(unit, poster, id, new, opening, judgement.as_ref()).await?;
    Ok(said.about(goal))
}

/// Checks a goal that is posted later, as far as that can be done before: its values, and its plan.
///
/// # Errors
/// `invalid`, `no_tasks_found`, `plan_invalid`, `not_found`.
pub(in crate::app) async fn check_ahead(tx: &mut Tx, new: &NewGoal) -> Result<()> {
    new.check()?;
    open(&shelved(tx, new.source()).await?)?;
    Ok(())
}

async fn write_goal(
    unit: &mut Unit,
    poster: Poster<'_>,
    goal: GoalId,
    new: &NewGoal,
    mut opening: Opening,
    judgement: Option<&Judgement>,
) -> Result<Goal> {
    let draft = opening.draft.take();
    let own = poster.scope.projects.as_deref();
    let project = project_named(unit, new.project.as_deref(), own).await?;
    let priority = new.priority.unwrap_or(settings::PRIORITY);
    let state = match (&draft, new.approval.plan) {
        (None, _) => GoalState::Planning,
        (Some(_), true) => GoalState::Proposed,
        (Some(_), false) => GoalState::Active,
    };
    let next = opening.rest.first().map_or(Planner::Outline, |planner| planner.planner());
    let planner = draft.as_ref().map_or(next, |draft| draft.planner);
    // Those of the request are the last ones of the draft.
    let all = draft.as_ref().map_or(&new.criteria, |draft| &draft.criteria);
    let (of_plan, given) = all.split_at(all.len().saturating_sub(new.criteria.len()));
    let metadata = Value::Object(new.metadata.clone().into_iter().collect());
    let task_defaults = json!(new.task_defaults);
    let row = store::goals::NewGoal {
        goal_id: goal,
        project_id: project,
        title: &new.title,
        state,
        planner,
        priority,
        weight: new.weight.unwrap_or(turns::DEFAULT_WEIGHT),
        plan_approval: new.approval.plan,
        deadline: new.deadline,
        created_by: poster.key,
        on_behalf_of: &new.on_behalf_of,
        brief: &controls::drop(&new.brief).0,
        metadata: &metadata,
        task_defaults: &task_defaults,
        max_rework: new.max_rework.unwrap_or(settings::GOAL_MAX_REWORK),
        discovered: new.discovered.unwrap_or(DiscoveredPolicy::Ask),
    };
    store::goals::insert(unit.tx(), &row).await?;
    if new.start_at.is_some() {
        store::tasks::starts::set_of_goal(unit.tx(), goal, new.start_at).await?;
    }
    store::goals::criteria::insert(unit.tx(), goal, of_plan, true).await?;
    store::goals::criteria::insert(unit.tx(), goal, given, false).await?;
    somebody::check(unit, goal, new, draft.as_ref()).await?;
    let title: String = new.title.chars().take(100).collect();
    unit.record(
        NewRow::new(Kind::GoalCreated)
            .goal(goal)
            .after(new)
            .data(json!({"title": title, "planner": planner})),
    );
    if let Some(budget) = &new.budget {
        create::make(unit, &[(BudgetNode::Goal, goal.0, budget)]).await?;
    }
    let mut made = None;
    match (&draft, judgement) {
        (Some(draft), Some(judgement)) => {
            let plan = PlanFor {
                goal,
                priority,
                position: 0,
                needs_approval: new.approval.plan,
                title: &new.title,
                brief: &new.brief,
            };
            let plan = write_plan(unit, &plan, draft, judgement).await?;
            made = Some((Some(plan), PlannerChoice::of(draft.planner)));
        }
        // Its planning spends from it.
        (None, _) | (_, None) => allocations::open(unit, goal).await?,
    }
    let source = new.source();
    let chain =
        planning::Chain { source: &source, target: Target::Plan, parts_of: None, anew: None };
    planning::store_chain(unit, goal, &chain, &opening, made).await?;
    views::read(unit.tx(), goal).await
}

/// The project that a goal names, made if it does not exist. `own`: the projects in the scope of the
/// key; then it is one of these.
async fn project_named(
    unit: &mut Unit,
    name: Option<&str>,
    own: Option<&[ProjectId]>,
) -> Result<Option<ProjectId>> {
    let project = match (name, own) {
        (name, Some(own)) => project_in_scope(unit, name, own).await?,
        (Some(name), None) => projects::ensure_by_name(unit, name).await?,
        (None, None) => return Ok(None),
    };
    projects::refuse_archived(unit, project).await?;
    Ok(Some(project))
}

/// The project of a goal of a key with projects in its scope: one of them, which exists.
async fn project_in_scope(
    unit: &mut Unit,
    name: Option<&str>,
    own: &[ProjectId],
) -> Result<ProjectId> {
    let found = match name {
        Some(name) => store::projects::find_by_name(unit.tx(), name).await?,
        None => None,
    };
    let found = found.filter(|project| own.contains(project));
    let detail = "this key has goals only in its own projects: name one of GET /v1/projects";
    Ok(found.ok_or_else(|| Refusal::invalid_at("/project", detail))?)
}

/// What is said about the plan of a posted goal.
#[derive(Debug, Default)]
struct PlanSaid {
    notes: Vec<OutlineNote>,
    findings: Vec<Finding>,
    numbers: Option<PlanNumbers>,
}

impl PlanSaid {
    fn of(notes: Vec<OutlineNote>, judgement: &Judgement) -> Self {
        let Judgement { findings, numbers } = judgement.clone();
        Self { notes, findings, numbers: Some(numbers) }
    }

    fn about(self, goal: Goal) -> PostedGoal {
        let Self { notes, findings, numbers } = self;
        PostedGoal {
            goal,
            notes,
            findings,
            numbers,
            deduplicated: false,
            solved: SolvedTasks::default(),
        }
    }
}

/// Where a plan belongs.
#[derive(Debug, Clone, Copy)]
struct PlanFor<'a> {
    goal: GoalId,
    /// Priority of the goal.
    priority: i16,
    /// Position of its first task.
    position: i32,
    /// Whether a person must approve it.
    needs_approval: bool,
    /// Title of the goal.
    title: &'a str,
    /// Brief of the goal.
    brief: &'a str,
}

/// Stores a checked plan: applied, with all of its tasks, or proposed, with its approval. Returns its id.
async fn write_plan(
    unit: &mut Unit,
    of: &PlanFor<'_>,
    draft: &Draft,
    judgement: &Judgement,
) -> Result<PlanId> {
    let PlanFor { goal, priority, position, needs_approval, title, brief } = *of;
    let plan: PlanId = unit.id();
    let (document, notes) = (json!(draft.tasks), json!(draft.notes));
    let remarks = judged(judgement) + &remarks(&draft.notes) + &conditions(&draft.criteria);
    let state = if needs_approval { PlanState::Proposed } else { PlanState::Applied };
    store::goals::insert_plan(unit.tx(), goal, plan, draft.planner, state, &document, &notes)
        .await?;
    if let Some(used) = &draft.playbook {
        store::goals::plans::set_playbook(unit.tx(), plan, used).await?;
    }
    let Judgement { findings, numbers } = judgement;
    store::goals::plans::judge(unit.tx(), plan, findings, numbers).await?;
    let count = draft.tasks.len();
    if !needs_approval {
        let at = InsertPoint { goal, priority, position, parent: None, risk: None };
        apply(unit, at, plan, &draft.tasks).await?;
        return Ok(plan);
    }
    unit.record(
        NewRow::new(Kind::PlanProposed)
            .goal(goal)
            .after(&draft.tasks)
            .data(json!({"plan_id": plan, "tasks": count})),
    );
    let question = NewApproval {
        plan_id: Some(plan),
        title: format!("Apply the plan for \"{title}\"?"),
        body: format!("{remarks}{}", controls::drop(brief).0),
        payload: Some(document),
        asked_by: unit.actor(),
        ..NewApproval::new(unit.id(), ApprovalKind::Plan, goal)
    };
    ask::ask(unit, vec![question]).await?;
    Ok(plan)
}

/// Most notes, and most criteria, that a plan's approval shows above the brief.
const SHOWN_NOTES: usize = 50;
/// Most units of a plan's cost, and most tasks of its longest chain, that its approval shows.
const SHOWN_UNITS: usize = 10;
const SHOWN_REFS: usize = 10;

/// The numbers of a plan and its findings as Markdown, for the approvers of the plan.
pub(super) fn judged(judgement: &Judgement) -> String {
    let Judgement { findings, numbers } = judgement;
    let mut lines = vec![format!("- {} tasks in {} waves", numbers.tasks, numbers.waves.len())];
    let cost = numbers.cost.iter().take(SHOWN_UNITS).map(|band| {
        format!(
            "- `{}`: {}, most likely between {} and {}",
            band.unit, band.p50, band.p10, band.p90
        )
    });
    lines.extend(cost);
    let expected = match numbers.expected.ms {
        Some(ms) => format!("about {} with the agents that are online", shown(ms)),
        None => "unknown: no online agent can do one of its tasks".to_owned(),
    };
    lines.push(format!("- Duration: {expected}"));
    let path = &numbers.critical_path;
    let refs: Vec<String> = path
        .refs
        .iter()
        .take(SHOWN_REFS)
        .map(|name| format!("`{}`", name.replace('`', "'")))
        .collect();
    let more = if path.refs.len() > SHOWN_REFS { ", …" } else { "" };
    lines.push(format!("- Longest chain: {} ({}{more})", shown(path.ms), refs.join(", ")));
    lines.extend(findings.iter().take(SHOWN_NOTES).map(|finding| {
        let about: Vec<&str> = finding.refs.iter().take(3).map(String::as_str).collect();
        let about =
            if about.is_empty() { String::new() } else { format!(" ({})", about.join(", ")) };
        let detail = finding.detail.replace(['\n', '\r'], " ");
        format!("- {} `{}`: {detail}{about}", finding.severity, finding.code)
    }));
    if findings.len() > SHOWN_NOTES {
        lines.push(format!("- and {} more, in the plan", findings.len() - SHOWN_NOTES));
    }
    format!("**What the plan takes**\n\n{}\n\n---\n\n", lines.join("\n"))
}

/// The notes of the planner as Markdown, for the approvers of the plan; each with its line of the brief.
fn remarks(notes: &[OutlineNote]) -> String {
    if notes.is_empty() {
        return String::new();
    }
    let line = |note: &OutlineNote| {
        let at = if note.line == 0 { String::new() } else { format!("line {}: ", note.line) };
        let quoted = note.text.replace('`', "'");
        let text = if quoted.is_empty() { quoted } else { format!(" (`{quoted}`)") };
        format!("- {at}{}{text}\n", note.message)
    };
    let shown: String = notes.iter().take(SHOWN_NOTES).map(line).collect();
    let more = match notes.len().saturating_sub(SHOWN_NOTES) {
        0 => String::new(),
        more => format!("- and {more} more, in the plan\n"),
    };
    format!("**What the planner says about the brief**\n\n{shown}{more}\n---\n\n")
}

/// The criteria of the goal as Markdown, for the approvers of its plan.
fn conditions(criteria: &[CriterionSpec]) -> String {
    if criteria.is_empty() {
        return String::new();
    }
    let line = |criterion: &CriterionSpec| {
        let tick = if criterion.satisfied { 'x' } else { ' ' };
        let text = criterion.text.replace('\n', " ");
        format!("- [{tick}] {text}\n")
    };
    let shown: String = criteria.iter().take(SHOWN_NOTES).map(line).collect();
    let more = match criteria.len().saturating_sub(SHOWN_NOTES) {
        0 => String::new(),
        more => format!("- and {more} more, in the goal\n"),
    };
    format!("**Criteria of the goal**\n\n{shown}{more}\n---\n\n")
}

/// Creates the tasks of a plan and activates the goal.
pub(super) async fn apply(
    unit: &mut Unit,
    at: InsertPoint,
    plan: PlanId,
    tasks: &[TaskSpec],
) -> Result<()> {
    unit.record(
        NewRow::new(Kind::PlanApplied)
            .goal(at.goal)
            .data(json!({"plan_id": plan, "tasks": tasks.len()})),
    );
    unit.record(NewRow::new(Kind::GoalActive).goal(at.goal));
    let made = create_tasks(unit, at, tasks, None).await?;
    let ids: Vec<TaskId> = made.iter().map(|made| made.task_id).collect();
    create::of_tasks(unit, &ids, tasks).await?;
    finish_if_over(unit, at.goal).await?;
    allocations::open(unit, at.goal).await
}

/// Ends or verifies a goal whose tasks have all ended. Locks the goal if the caller has not.
pub(super) async fn finish_if_over(unit: &mut Unit, goal: GoalId) -> Result<()> {
    let facts = lock_goal(unit, goal).await?;
    cascade::finish_goal(unit, goal, facts.state, facts.counts).await
}

/// Cancels a goal. The caller holds its lock.
pub(in crate::app) async fn cancel_locked(
    unit: &mut Unit,
    goal: GoalId,
    reason: &str,
) -> Result<()> {
    // The goal first: the cascade of its last task must find it ended.
    let state = GoalState::Cancelled;
    store::goals::set_state(unit.tx(), goal, state, Some(reason)).await?;
    store::goals::drop_proposed_plans(unit.tx(), goal).await?;
    store::planning::close(unit.tx(), goal, RunState::Cancelled).await?;
    let open = store::tasks::open_of_goal(unit.tx(), goal).await?;
    let changes = cascade::cancel(unit, &open, reason).await?;
    cascade::apply(unit, changes).await?;
    let gone = store::approvals::cancel_plan_approvals(unit.tx(), goal, reason).await?;
    for approval in gone {
        unit.record(ask::withdrawn(approval, goal));
    }
    let reason: String = reason.chars().take(300).collect();
    unit.record(NewRow::new(Kind::GoalCancelled).goal(goal).data(json!({"reason": reason})));
    Ok(())
}
