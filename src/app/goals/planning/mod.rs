//! Planning of goals by chains of planners.
//!
//! Planners at the front of a chain that need nobody plan in the request that posts the goal. When one that needs
//! somebody has its turn, the goal is `planning`, and the chain is stored as runs
//! ([`domain::planning`](crate::domain::planning)). The duty `plan` continues it:
//!
//! 1. It takes the run under the lock of the goal, and commits. `agent` gets its task in the same transaction
//!    ([`task`]), and nothing is held until that task has a result.
//! 2. The planner plans. No connection is held meanwhile. What waits for a model waits in a task of its own, so the
//!    supervisor goes on.
//! 3. The result is stored under the lock of the goal, if the run is still held by the same taking: the plan with all
//!    of its tasks (or its approval), or the failure and the turn of the next planner.
//!
//! A new version of a plan, and the parts of a task that is too large, are made in the same way while the goal is worked
//! on (`goals::anew`, [`parts`]). What the planner gets and how its plan is judged is its [`matter`]; what
//! becomes of the plan is decided when it is stored.
//!
//! Each step is one transaction. A server that is killed in between leaves a run that is taken again, never half a
//! plan; a result that comes too late is dropped.
//!
//! Decisions:
//! - When the last planner failed, the goal stays `planning`, and people see it in the attention list with what was
//!   said. They give it another chain or its tasks ([`person`]), or cancel it.
//! - A plan that cannot be applied (the workspace is full, its budget cannot be set aside) fails its run like a plan
//!   with errors: the next planner or a person continues. Trying it again and again was rejected, because nobody
//!   would see why the goal rests.
//! - Under a freeze no model is asked; planning agents are held as for any task.
//! - The allocated budget of a goal is set aside when its planning begins: the attempts of its planning task spend
//!   from it.
//! - When the planners of a new version failed, the goal goes on as it is, and nobody is alarmed: whoever asked for it
//!   reads the runs. When those of parts failed, the task is in the attention list again.
//! - The plan of a goal that is worked on is applied before its planning task ends: that may be the last open one.
//! - Runs that outlive what they plan for are ended by the duty. Ending them in every transaction that ends a goal was
//!   rejected, because almost no goal has one.
//! - Criteria of the goal in the brief count when `outline` makes the plan, behind those of the request.

pub mod llm;
mod matter;
pub mod model;
pub mod parts;
pub mod person;
mod task;
pub mod views;

use std::{collections::HashSet, sync::Arc, time::Duration};

use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    GoalFacts, PlanFor,
    ground::{self, Judgement},
    replan, write_plan,
};
use crate::{
    app::{App, Error, Result, Unit, caller::Actor, tasks::cascade, unit::locks::lock_goal},
    domain::{
        check::pointer,
        ids::{GoalId, PlanId, PlanningRunId, TaskId, WorkspaceId},
        journal::{Kind, NewRow},
        plan::{
            TaskSpec,
            finding::Finding,
            ground::Ground,
            new_goal::{Draft, Opening, PlanSource, PlannerChoice, draft_by},
        },
        planning::{
            self, Anew, PlannerInput, RunFacts, RunState, Said, Step, Target, judge, matter::Matter,
        },
        refusal::{Code, Refusal},
        settings,
        states::{GoalState, Planner},
    },
    store::{
        self, Tx,
        planning::{Ending, NewRun},
    },
};
use matter::source;
use model::{Asked, Made, ModelPlanner, Thought};

/// Models that a process asks at a time.
const AT_ONCE: usize = 8;
/// Times that a result is stored before it is given up: then the run is taken again.
const STORED_AT_MOST: u32 = 5;
/// Time between two of these.
const STORED_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The places of a process for planners that wait for a model.
#[derive(Debug, Clone)]
pub(in crate::app) struct Thinkers(Arc<Semaphore>);

impl Default for Thinkers {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Thinkers {
    fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_owned().ok()
    }
}

/// A run that this process took.
#[derive(Debug, Clone)]
struct Taken {
    workspace: WorkspaceId,
    goal: GoalId,
    run: PlanningRunId,
    planner: PlannerChoice,
    /// The number of the taking.
    attempt: i32,
}

/// What a chain of planners plans, and from what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chain<'a> {
    pub source: &'a PlanSource,
    pub target: Target,
    /// The task that is divided.
    pub parts_of: Option<TaskId>,
    /// What is asked for with a new version.
    pub anew: Option<&'a Anew>,
}

/// The runs of a chain as it was opened. `made`: the planner that made a plan, and that plan if it was stored.
fn runs_of(
    unit: &Unit,
    chain: &Chain<'_>,
    opening: &Opening,
    made: Option<(Option<PlanId>, PlannerChoice)>,
) -> Vec<NewRun> {
    let input = |planner| PlannerInput {
        anew: chain.anew.cloned(),
        ..PlannerInput::of(chain.source, planner)
    };
    let run = |planner: PlannerChoice, state, said: Said| NewRun {
        run_id: unit.id(),
        planner,
        state,
        input: json!(input(planner)),
        said: json!(said),
        plan_id: None,
    };
    let tried = opening.tried.iter();
    let mut runs: Vec<NewRun> =
        tried.map(|one| run(one.planner, RunState::Failed, said_of(&one.refusal))).collect();
    if let Some((plan_id, planner)) = made {
        runs.push(NewRun { plan_id, ..run(planner, RunState::Planned, Said::default()) });
    }
    for (place, planner) in opening.rest.iter().enumerate() {
        let state = match (made, place) {
            (Some(_), _) => RunState::Skipped,
            (None, 0) => RunState::Waiting,
            (None, _) => RunState::Queued,
        };
        runs.push(run(*planner, state, Said::default()));
    }
    runs
}

/// Stores the runs of a chain, and tells that planning begins if no plan was made. A plan by the only planner of a
/// chain needs no run: the plan names its planner.
pub(super) async fn store_chain(
    unit: &mut Unit,
    goal: GoalId,
    chain: &Chain<'_>,
    opening: &Opening,
    made: Option<(Option<PlanId>, PlannerChoice)>,
) -> Result<()> {
    if made.is_some() && opening.tried.is_empty() && opening.rest.is_empty() {
        return Ok(());
    }
    let runs = runs_of(unit, chain, opening, made);
    store::planning::insert(unit.tx(), goal, chain.target, chain.parts_of, &runs).await?;
    if made.is_none() {
        let planners: Vec<PlannerChoice> = opening.rest.clone();
        let row = NewRow::new(Kind::GoalPlanning).goal(goal);
        unit.record(row.data(json!({"planners": planners, "target": chain.target})));
    }
    Ok(())
}

/// The ground that the plan of a goal is judged by. The open tasks of a goal that is planned anew are those of its plan.
async fn ground_for(tx: &mut Tx, goal: GoalId, target: Target) -> Result<Ground> {
    let mut ground = ground::of_goal(tx, goal).await?;
    if target == Target::Replan {
        ground.open_tasks.retain(|task| !task.same_goal);
    }
    Ok(ground)
}

/// Judges a plan that no person made, beside the tasks that the goal has and by the fleet, the budgets and the
/// deadline. Returns the findings for the planner.
///
/// # Errors
/// `not_found`.
async fn judge_plan(
    tx: &mut Tx,
    goal: GoalId,
    matter: &Matter,
    planner: Planner,
    tasks: Vec<TaskSpec>,
) -> Result<std::result::Result<Draft, Vec<Finding>>> {
    let refs: Vec<String> = tasks.iter().map(|task| task.r#ref.clone()).collect();
    let draft = match matter.judge(planner, tasks) {
        Ok(draft) => draft,
        Err(findings) => return Ok(Err(findings)),
    };
    if matter.target != Target::Replan {
        let taken = judge::taken(&refs, &store::tasks::room(tx, goal, &refs).await?.taken);
        if !taken.is_empty() {
            return Ok(Err(taken));
        }
    }
    let ground = ground_for(tx, goal, matter.target).await?;
    let mut findings = ground::judge(&draft.tasks, &ground).findings;
    if findings.iter().any(Finding::is_error) {
        findings.truncate(settings::FINDINGS);
        return Ok(Err(findings));
    }
    Ok(Ok(draft))
}

/// What a planner said whose plan was refused.
fn said_of(refusal: &Refusal) -> Said {
    Said::wrong(refusal.detail.clone(), judge::errors_of(refusal))
}

/// Refuses tasks whose refs the goal has: its planning tasks have refs too.
///
/// # Errors
/// `plan_invalid` at `at`.
pub(in crate::app) async fn refuse_taken(
    unit: &mut Unit,
    goal: GoalId,
    tasks: &[TaskSpec],
    at: &str,
) -> Result<()> {
    let refs: Vec<String> = tasks.iter().map(|task| task.r#ref.clone()).collect();
    let taken = store::tasks::room(unit.tx(), goal, &refs).await?.taken;
    let Some(index) = refs.iter().position(|name| taken.contains(name)) else { return Ok(()) };
    let detail = format!("the goal already has a task `{}`", refs[index]);
    let refusal = Refusal::invalid_at(pointer(&pointer(at, index), "ref"), detail);
    Err(Refusal { code: Code::PlanInvalid, ..refusal }.into())
}

/// Refuses to bring a planning task back: its goal has a plan.
///
/// # Errors
/// `wrong_state`.
pub(super) async fn refuse_planning_task(unit: &mut Unit, task: TaskId) -> Result<()> {
    if !store::planning::is_planning_task(unit.tx(), task).await? {
        return Ok(());
    }
    let detail =
        "the task was made to plan the goal, and the goal has a plan; add or edit tasks instead";
    Err(Refusal::new(Code::WrongState, detail).into())
}

/// Stores the plan of a locked planning goal: applied, or proposed if a person must approve it.
///
/// # Errors
/// `plan_invalid` for a ref that is taken; `workspace_full`; `budget_exhausted`.
async fn adopt(unit: &mut Unit, goal: &GoalFacts, draft: &Draft) -> Result<(PlanId, Judgement)> {
    let id = goal.goal_id;
    let about = store::planning::goal(unit.tx(), id).await?;
    let about = about.ok_or_else(|| Refusal::not_found("goal"))?;
    refuse_taken(unit, id, &draft.tasks, "/tasks").await?;
    // The criteria that the goal has are the last ones of the draft.
    let has = store::planning::criteria(unit.tx(), id).await?.len();
    let new = draft.criteria.len().saturating_sub(has);
    store::goals::criteria::insert(unit.tx(), id, &draft.criteria[..new], true).await?;
    let state = if goal.plan_approval { GoalState::Proposed } else { GoalState::Active };
    store::planning::set_planner(unit.tx(), id, draft.planner).await?;
    store::goals::set_state(unit.tx(), id, state, None).await?;
    let position = store::tasks::room(unit.tx(), id, &[]).await?.next_position;
    let plan = PlanFor {
        goal: id,
        priority: goal.priority,
        position,
        needs_approval: goal.plan_approval,
        title: &about.title,
        brief: &about.brief,
    };
    let ground = ground::of_goal(unit.tx(), id).await?;
    let judgement = ground::judge(&draft.tasks, &ground);
    let plan = write_plan(unit, &plan, draft, &judgement).await?;
    Ok((plan, judgement))
}

/// Ends a run with its plan, and does with the plan what it was made for.
async fn planned(
    unit: &mut Unit,
    goal: &GoalFacts,
    run: &RunFacts,
    draft: &Draft,
    thought: &Thought,
) -> Result<()> {
    let id = goal.goal_id;
    let plan_id = match (run.target, run.parts_of) {
        (Target::Plan, _) => Some(adopt(unit, goal, draft).await?.0),
        (Target::Replan, _) => adopt_anew(unit, goal, run, draft).await?,
        (Target::Parts, Some(task)) => {
            parts::divide(unit, goal, task, &draft.tasks).await.map(|()| None)?
        }
        (Target::Parts, None) => {
            return Err(Error::Corrupt("a planning run for the parts of no task".into()));
        }
    };
    let Thought { made: _, said, prompt, model, spend } = thought;
    let (prompt, model) = (prompt.as_deref(), model.as_deref());
    let ending = Ending { state: RunState::Planned, said, plan_id, prompt, model, spend };
    store::planning::end(unit.tx(), run, &ending).await?;
    store::planning::close_chain(unit.tx(), id, run.parts_of, RunState::Skipped).await?;
    Ok(())
}

/// Applies or proposes a plan as a new version of that of its goal.
async fn adopt_anew(
    unit: &mut Unit,
    goal: &GoalFacts,
    run: &RunFacts,
    draft: &Draft,
) -> Result<Option<PlanId>> {
    let (matter, anew) = matter::read(unit, goal.goal_id, run).await?;
    let wanted = replan::tasks_of(&matter.source, draft.planner, draft.tasks.clone());
    let given = if run.planner.needs_nobody() { HashSet::new() } else { matter.given() };
    replan::adopt(unit, goal, &anew, wanted, &given, draft.clone()).await
}

/// Ends a run without a plan. The next planner has its turn, or a person has to decide.
async fn fail(
    unit: &mut Unit,
    goal: &GoalFacts,
    runs: &[RunFacts],
    run: &RunFacts,
    thought: &Thought,
) -> Result<()> {
    let Thought { made: _, said, prompt, model, spend } = thought;
    let (prompt, model) = (prompt.as_deref(), model.as_deref());
    let ending = Ending { state: RunState::Failed, said, plan_id: None, prompt, model, spend };
    store::planning::end(unit.tx(), run, &ending).await?;
    let next = planning::after(runs, run);
    if let Some(next) = next {
        store::planning::advance(unit.tx(), next.run_id).await?;
        if run.target == Target::Plan {
            store::planning::set_planner(unit.tx(), goal.goal_id, next.planner.planner()).await?;
        }
    }
    let error: Option<String> = said.error.as_ref().map(|error| error.chars().take(300).collect());
    let data = json!({"run_id": run.run_id, "planner": run.planner, "target": run.target, "error": error,
                      "next": next.map(|next| next.planner)});
    unit.record(
        NewRow::new(Kind::GoalPlannerFailed).goal(goal.goal_id).task(run.task_id).data(data),
    );
    if let Some(task) = run.task_id {
        cascade::apply_cancel(unit, &[task], "its planner made no plan").await?;
    }
    Ok(())
}

impl App {
    /// Refuses the planner `llm` where no model is configured. The one place that asks. `at`: the place of the planner
    /// or of the list of them.
    ///
    /// # Errors
    /// `invalid` at `at`, or at the planner in the list.
    pub(in crate::app) async fn admit_planners(
        &self,
        workspace: WorkspaceId,
        at: &str,
        planners: &[PlannerChoice],
    ) -> Result<()> {
        let Some(place) = planners.iter().position(|planner| *planner == PlannerChoice::Llm) else {
            return Ok(());
        };
        let Some(lack) = self.model.lack(self, workspace).await? else { return Ok(()) };
        let at = if at.ends_with("/planner") { at.to_owned() } else { pointer(at, place) };
        Err(Refusal::invalid_at(at, format!("the planner `llm` cannot be used here: {lack}"))
            .into())
    }

    /// Planning runs that are to be continued.
    pub(in crate::app) async fn runs_to_continue(
        &self,
        workspace: WorkspaceId,
    ) -> Result<Vec<(GoalId, PlanningRunId)>> {
        Ok(store::planning::due(&mut self.reader(workspace).await?).await?)
    }

    /// Continues a planning run of a goal by one step; returns whether it did something.
    ///
    /// # Errors
    /// If the database fails.
    pub(in crate::app) async fn continue_planning(
        &self,
        workspace: WorkspaceId,
        goal: GoalId,
        run: PlanningRunId,
    ) -> Result<bool> {
        let mut unit = self.begin(workspace, Actor::SERVICE).await?;
        let facts = lock_goal(&mut unit, goal).await?;
        let runs = store::planning::open(unit.tx(), goal).await?;
        let now = unit.now();
        let Some(run) = runs.iter().find(|one| one.run_id == run) else {
            return self.undo(unit).await.map(|()| false);
        };
        match planning::step(facts.state, run, now) {
            Step::Nothing => self.undo(unit).await.map(|()| false),
            Step::Close => {
                let (of, state) = (run.parts_of, RunState::Cancelled);
                let tasks = store::planning::close_chain(unit.tx(), goal, of, state).await?;
                cascade::apply_cancel(&mut unit, &tasks, "its goal no longer needs the plan")
                    .await?;
                self.commit(unit).await.map(|()| true)
            }
            Step::GiveUp => {
                let error = format!(
                    "the servers that planned ended before they had a plan, {} times",
                    settings::PLANNING_TAKES
                );
                fail(&mut unit, &facts, &runs, run, &Thought::nothing(Said::failed(error))).await?;
                self.commit(unit).await.map(|()| true)
            }
            Step::Look(task) => self.look_at_task(unit, &facts, &runs, run, task).await,
            Step::Take => match run.planner {
                PlannerChoice::Agent => {
                    let (matter, _) = matter::read(&mut unit, goal, run).await?;
                    match matter.too_large() {
                        Some(error) => {
                            let said = Said::failed(error);
                            fail(&mut unit, &facts, &runs, run, &Thought::nothing(said)).await?;
                        }
                        None => task::make(&mut unit, &facts, &runs, run, &matter).await?,
                    }
                    self.commit(unit).await.map(|()| true)
                }
                PlannerChoice::Outline | PlannerChoice::Playbook | PlannerChoice::Tasks => {
                    self.plan_here(unit, &facts, run).await
                }
                PlannerChoice::Llm => self.begin_asking(unit, &facts, run).await,
            },
        }
    }

    /// Plans without calling anybody.
    async fn plan_here(&self, mut unit: Unit, goal: &GoalFacts, run: &RunFacts) -> Result<bool> {
        let (matter, _) = matter::read(&mut unit, goal.goal_id, run).await?;
        let taken = take(&mut unit, goal, run).await?;
        self.commit(unit).await?;
        let thought = match draft_by(&matter.source, taken.planner) {
            Ok(draft) => Thought::made(Made::Draft(draft)),
            Err(refusal) => Thought::nothing(said_of(&refusal)),
        };
        self.settle_run(&taken, thought).await
    }

    /// Has a model asked in the background, if this process has a place for it.
    async fn begin_asking(&self, mut unit: Unit, goal: &GoalFacts, run: &RunFacts) -> Result<bool> {
        let place = self.thinkers.place();
        let asking = store::planning::asking(unit.tx()).await?;
        let may = asking < settings::PLANNING_AT_ONCE
            && !store::planning::is_frozen(unit.tx(), goal.goal_id).await?;
        let (Some(place), true) = (place, may) else {
            return self.undo(unit).await.map(|()| false);
        };
        let about = store::planning::goal(unit.tx(), goal.goal_id).await?;
        let about = about.ok_or_else(|| Refusal::not_found("goal"))?;
        let (matter, _) = matter::read(&mut unit, goal.goal_id, run).await?;
        let taken = take(&mut unit, goal, run).await?;
        self.commit(unit).await?;
        if let Some(error) = matter.too_large() {
            return self.settle_run(&taken, Thought::nothing(Said::failed(error))).await;
        }
        let asked = Asked {
            workspace: taken.workspace,
            goal: taken.goal,
            run: taken.run,
            attempt: taken.attempt,
            title: matter.source.title.clone(),
            brief: matter.source.brief.clone(),
            deadline: about.deadline,
            matter,
        };
        tokio::spawn(self.clone().wait_for_model(taken, Arc::clone(&self.model), asked, place));
        Ok(true)
    }

    /// Waits for a model, and stores what it says. Holds the run meanwhile, and no connection.
    async fn wait_for_model(
        self,
        taken: Taken,
        model: Arc<dyn ModelPlanner>,
        asked: Asked,
        _place: OwnedSemaphorePermit,
    ) {
        let thinking = tokio::time::timeout(settings::PLANNING_LONGEST, model.plan(&self, &asked));
        tokio::pin!(thinking);
        let thought = loop {
            tokio::select! {
                thought = &mut thinking => break thought,
                () = tokio::time::sleep(settings::PLANNING_LEASE / 3) => {}
            }
            match self.hold_run(&taken).await {
                Ok(true) => {}
                // The goal was cancelled, or another server plans it.
                Ok(false) => return,
                Err(error) => tracing::warn!(%error, "a planning run could not be renewed"),
            }
        };
        let thought = thought.unwrap_or_else(|_| {
            let minutes = settings::PLANNING_LONGEST.as_secs() / 60;
            Thought::nothing(Said::failed(format!("the model made no plan in {minutes} minutes")))
        });
        for _ in 0..STORED_AT_MOST {
            match self.settle_run(&taken, thought.clone()).await {
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(%error, goal = %taken.goal, "a plan could not be stored")
                }
            }
            tokio::time::sleep(STORED_AGAIN_AFTER).await;
        }
    }

    async fn hold_run(&self, taken: &Taken) -> Result<bool> {
        let mut tx = self.reader(taken.workspace).await?;
        let hold = settings::PLANNING_LEASE;
        Ok(store::planning::renew(&mut tx, taken.run, taken.attempt, hold).await?)
    }

    /// Stores what a planner made, if its taking still counts; returns whether it did. A plan that is refused fails
    /// the run.
    async fn settle_run(&self, taken: &Taken, thought: Thought) -> Result<bool> {
        match self.settle_run_once(taken, &thought).await {
            Err(Error::Refused(refusal)) => {
                let refused = Thought { made: Made::Nothing, said: said_of(&refusal), ..thought };
                self.settle_run_once(taken, &refused).await
            }
            settled => settled,
        }
    }

    async fn settle_run_once(&self, taken: &Taken, thought: &Thought) -> Result<bool> {
        let mut unit = self.begin(taken.workspace, Actor::SERVICE).await?;
        let facts = lock_goal(&mut unit, taken.goal).await?;
        let runs = store::planning::open(unit.tx(), taken.goal).await?;
        let run = runs.iter().find(|run| run.run_id == taken.run);
        let Some(run) = run.filter(|run| planning::counts(facts.state, run, taken.attempt)) else {
            return self.undo(unit).await.map(|()| false);
        };
        match store_thought(&mut unit, &facts, &runs, run, thought).await {
            Ok(()) => self.commit(unit).await.map(|()| true),
            Err(error) => {
                let _ = self.undo(unit).await;
                Err(error)
            }
        }
    }
}

/// Takes a run for this process.
async fn take(unit: &mut Unit, goal: &GoalFacts, run: &RunFacts) -> Result<Taken> {
    let hold = Some(settings::PLANNING_LEASE);
    let attempt = store::planning::take(unit.tx(), run, hold).await?;
    let (workspace, goal) = (unit.workspace(), goal.goal_id);
    Ok(Taken { workspace, goal, run: run.run_id, planner: run.planner, attempt })
}

async fn store_thought(
    unit: &mut Unit,
    goal: &GoalFacts,
    runs: &[RunFacts],
    run: &RunFacts,
    thought: &Thought,
) -> Result<()> {
    let draft = match &thought.made {
        Made::Nothing => return fail(unit, goal, runs, run, thought).await,
        Made::Draft(draft) => draft.clone(),
        Made::Tasks(tasks) => {
            let planner = run.planner.planner();
            let (matter, _) = matter::read(unit, goal.goal_id, run).await?;
            match judge_plan(unit.tx(), goal.goal_id, &matter, planner, tasks.clone()).await? {
                Ok(draft) => draft,
                Err(findings) => {
                    let said = Said::wrong("its plan has errors", findings);
                    let refused = Thought { said, ..thought.clone() };
                    return fail(unit, goal, runs, run, &refused).await;
                }
            }
        }
    };
    planned(unit, goal, run, &draft, thought).await
}
