//! Planning a goal anew while it is worked on.
//!
//! The rules of the comparison are in [`crate::domain::plan::diff`]. Here a version of the plan is made on the one in
//! force, under the lock of the goal: it is applied in the same transaction, or proposed to a person.
//!
//! Decisions:
//! - The base is the number of the applied plan, not the version of the goal: that rises with every change of state,
//!   so nobody could plan a goal that is worked on.
//! - The comparison is made again when a proposal is approved, because the work went on. What people approved is the
//!   plan; the diff that was applied is stored with it. If another plan is in force by then, the proposal is
//!   superseded, compared with that one, and asked about again.
//! - A goal has at most one proposal: a newer one supersedes it.
//! - A planner that needs somebody is called by [`super::planning`], and its plan comes here ([`adopt`]): it is compared
//!   with the goal as it is by then, whichever plan is in force. Whoever asked for it is who proposes it.
//! - The criteria of the goal follow planners that say which there are: `outline` and `playbook`. The others plan tasks.
//! - A rejected version leaves the goal as it is. A rejected first plan cancels it.
//! - Whoever may post tasks to a goal may plan it anew. If its plan needs an approval, that is asked for, so nobody is
//!   refused for what they could not approve.

mod apply;
mod criteria;
mod present;

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    GoalFacts,
    ground::{self, Judgement},
    plans::{self, Plan},
    refuse_ended, shelved, views,
};
use crate::{
    app::{
        Error, Result, Unit,
        approvals::{ask, proposed},
    },
    domain::{
        check::Checks,
        ids::{GoalId, KeyId, PlanId},
        journal::{Kind, NewRow},
        outline::{Ordering, OutlineNote, controls},
        plan::{
            TaskSpec,
            diff::{
                DiffEntry, Naming, PlanDiff, Replanned, Wanted, criteria::CriterionEntry, replan,
                wanted, written_refs,
            },
            new_goal::{Draft, PlanSource, PlannerChoice},
            playbook::PlaybookUse,
        },
        planning::{Anew, matter::Standing},
        refusal::{Code, Refusal},
        settings,
        states::{ApprovalKind, GoalState, PlanState, Planner},
        words::words,
    },
    store::{
        self,
        approvals::NewApproval,
        goals::plans::{NewVersion, ProposedVersion},
    },
};
use present::Found;

/// A new plan of a goal.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReplanRequest {
    /// The new brief, at most 256 KiB. It becomes the brief of the goal. Without `tasks` and `playbook` the plan is read from
    /// it, as for a posted goal. Default: the brief of the goal.
    #[schema(
        example = "## Tasks\n- [x] T001 Write the schema\n- [ ] T002 Write the streaming endpoints"
    )]
    pub brief: Option<String>,
    /// The tasks of the new plan, all of them, at most 5,000. Their refs say which tasks they are. Default: none, and
    /// the plan is that of the `playbook`, or is read from the brief.
    #[schema(example = json!([{"ref": "api", "title": "Write the REST endpoints"}]))]
    pub tasks: Vec<TaskSpec>,
    /// The planners of the new plan, to be tried in this order, as for a posted goal. When `llm` or `agent` has its
    /// turn, the answer is `planning`, and the plan follows while the work goes on. Default: `playbook` or `tasks` if one
    /// of these is given, else `outline`.
    #[schema(example = json!(["agent"]), max_items = 5)]
    pub planners: Vec<PlannerChoice>,
    /// The playbook of the new plan, with values for its variables, instead of `tasks`.
    pub playbook: Option<PlaybookUse>,
    /// How list items of the brief are ordered, as for a posted goal: give what the goal was posted with.
    pub ordering: Ordering,
    /// Number of the applied plan that the caller read. If the goal has another one by now, nothing is changed and the
    /// refusal is `plan_changed`. Default: whichever there is.
    #[schema(minimum = 1, example = 1)]
    pub base_version: Option<i32>,
    /// Whether only the difference is answered and nothing is written. Default false.
    pub dry_run: bool,
    /// Why the plan changes, for people, the journal and the cancelled tasks; at most 16 KiB.
    #[schema(example = "the customer streams the files")]
    pub reason: Option<String>,
}

impl ReplanRequest {
    pub(super) fn check(&self) -> Result<()> {
        let mut checks = Checks::new();
        if let Some(brief) = &self.brief {
            checks.bytes("/brief", brief, settings::BRIEF_BYTES);
        }
        if let Some(reason) = &self.reason {
            checks.message("/reason", reason);
        }
        Ok(checks.finish()?)
    }

    /// What is asked for. `asked_by`: by whom.
    pub(super) fn anew(&self, asked_by: Option<KeyId>) -> Anew {
        Anew { brief: self.brief.clone(), reason: self.reason.clone(), asked_by }
    }
}

words! {
    /// What became of a new plan.
    pub enum ReplanOutcome {
        /// It was applied.
        Applied => "applied",
        /// It waits for a person.
        Proposed => "proposed",
        /// It changes nothing, and was not stored.
        Unchanged => "unchanged",
        /// It was only compared: `dry_run`.
        Compared => "compared",
        /// A planner plans: what comes of it is in the planning runs of the goal, and in its plans.
        Planning => "planning",
        /// The planners that it was waited for made no plan. The goal goes on with the plan that it has.
        Unplanned => "unplanned",
    }
}

impl ReplanOutcome {
    /// Whether tasks were changed.
    #[must_use]
    pub const fn is_applied(self) -> bool {
        match self {
            Self::Applied => true,
            Self::Proposed
            | Self::Unchanged
            | Self::Compared
            | Self::Planning
            | Self::Unplanned => false,
        }
    }
}

/// A goal that was planned anew.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ReplannedGoal {
    /// Id of the goal.
    pub goal_id: GoalId,
    /// What became of the new plan.
    pub outcome: ReplanOutcome,
    /// Number of the plan that it was compared with: the `base_version` of a further request that changes nothing
    /// unseen.
    #[schema(minimum = 1)]
    pub base: i32,
    /// The new version of the plan; `null` if none was stored.
    pub plan: Option<Plan>,
    /// What it changes.
    pub diff: PlanDiff,
    /// Remarks of the planner about the brief.
    pub notes: Vec<OutlineNote>,
}

/// A compared plan, before it is written.
pub(super) struct Compared {
    found: Found,
    new: Replanned,
    planner: Planner,
    notes: Vec<OutlineNote>,
    playbook: Option<PlaybookUse>,
}

fn may_replan(goal: &GoalFacts) -> Result<()> {
    refuse_ended(goal)?;
    match goal.state {
        GoalState::Active
        | GoalState::Verifying
        | GoalState::Completed
        | GoalState::Failed
        | GoalState::Cancelled => Ok(()),
        state @ (GoalState::Planning | GoalState::Proposed) => {
            let detail = format!(
                "the goal is {state}: its first plan is not applied yet; edit a proposed one with its approval, and give \
                 a planning goal its plan with `POST /v1/goals/{{goal_id}}/plan`"
            );
            Err(Refusal::new(Code::WrongState, detail).into())
        }
    }
}

/// What a request plans a locked goal from.
///
/// # Errors
/// `goal_ended`; `wrong_state` while its first plan is not applied; `not_found` for an unknown playbook.
pub(super) async fn source_of(
    unit: &mut Unit,
    goal: &GoalFacts,
    request: &ReplanRequest,
) -> Result<PlanSource> {
    may_replan(goal)?;
    let stored = views::read(unit.tx(), goal.goal_id).await?;
    let brief = request.brief.clone().or(stored.brief).unwrap_or_default();
    // The defaults of the goal hold for tasks that are added; what exists keeps its settings.
    let source = PlanSource {
        title: stored.title,
        brief,
        playbook: request.playbook.clone(),
        planners: request.planners.clone(),
        tasks: request.tasks.clone(),
        ordering: request.ordering,
        ..PlanSource::default()
    };
    shelved(unit.tx(), source).await
}

/// What the tasks of a draft that a planner needed nobody for are in a goal.
pub(super) fn tasks_of(source: &PlanSource, planner: Planner, tasks: Vec<TaskSpec>) -> Vec<Wanted> {
    let written = match planner {
        Planner::Outline => written_refs(&source.brief, source.ordering),
        Planner::Playbook | Planner::Llm | Planner::Agent | Planner::Tasks => HashSet::new(),
    };
    wanted(planner, tasks, &written)
}

/// Refuses a base that is not the applied plan of a locked goal; returns the number of that.
///
/// # Errors
/// `plan_changed`.
pub(super) async fn base_of(unit: &mut Unit, goal: GoalId, request: &ReplanRequest) -> Result<i32> {
    let applied = store::goals::plans::applied(unit.tx(), goal).await?;
    let applied = applied.ok_or_else(|| Error::Corrupt("an active goal without a plan".into()))?;
    check_base(request, applied.number)?;
    Ok(applied.number)
}

fn check_base(request: &ReplanRequest, base: i32) -> Result<()> {
    if request.base_version.is_some_and(|version| version != base) {
        let detail =
            format!("the applied plan of the goal is number {base}; read it, and plan on it");
        return Err(Refusal::new(Code::PlanChanged, detail).into());
    }
    Ok(())
}

/// Compares the plan of a request with a locked goal.
pub(super) async fn compare(
    unit: &mut Unit,
    goal: &GoalFacts,
    request: &ReplanRequest,
    source: &PlanSource,
    draft: Draft,
) -> Result<Compared> {
    let found = Found::read(unit, goal.goal_id, !request.dry_run).await?;
    check_base(request, found.applied.number)?;
    let Draft { planner, tasks, criteria, notes, playbook } = draft;
    let wanted = tasks_of(source, planner, tasks);
    let mut new = replan(&found.tasks, &wanted, goal.priority)?;
    let criteria = criteria::of_planner(planner, criteria);
    criteria::compare(unit, goal.goal_id, criteria, &mut new).await?;
    Ok(Compared { found, new, planner, notes, playbook })
}

impl Compared {
    /// The answer to a request that only compares.
    pub(super) fn shown(self, goal: GoalId) -> ReplannedGoal {
        let Self { found, new, notes, .. } = self;
        let (base, diff) = (found.applied.number, new.diff);
        ReplannedGoal {
            goal_id: goal,
            outcome: ReplanOutcome::Compared,
            base,
            plan: None,
            diff,
            notes,
        }
    }
}

/// The tasks that a goal has for a planner of a new version.
pub(super) async fn standing(unit: &mut Unit, goal: GoalId) -> Result<Standing> {
    Ok(Found::read(unit, goal, false).await?.standing())
}

/// Applies or proposes the plan of a planner that was called for a locked goal, compared with the goal as it is now;
/// returns its id, `None` if it changes nothing. `given`: refs that are names of tasks of the goal.
///
/// # Errors
/// `plan_invalid`, if what happened meanwhile makes it impossible; `workspace_full`.
pub(super) async fn adopt(
    unit: &mut Unit,
    goal: &GoalFacts,
    anew: &Anew,
    mut wanted: Vec<Wanted>,
    given: &HashSet<String>,
    draft: Draft,
) -> Result<Option<PlanId>> {
    for task in wanted.iter_mut().filter(|task| given.contains(&task.spec.r#ref)) {
        task.naming = Naming::Given;
    }
    let Draft { planner, tasks: _, criteria, notes, playbook } = draft;
    let found = Found::read(unit, goal.goal_id, true).await?;
    let mut new = replan(&found.tasks, &wanted, goal.priority)?;
    let criteria = criteria::of_planner(planner, criteria);
    criteria::compare(unit, goal.goal_id, criteria, &mut new).await?;
    let compared = Compared { found, new, planner, notes, playbook };
    Ok(write(unit, goal, anew, compared).await?.plan.map(|plan| plan.id))
}

/// Applies or proposes a compared plan.
pub(super) async fn write(
    unit: &mut Unit,
    goal: &GoalFacts,
    anew: &Anew,
    compared: Compared,
) -> Result<ReplannedGoal> {
    let Compared { found, new, planner, notes, playbook } = compared;
    let id = goal.goal_id;
    let brief = anew.brief.as_deref().map(|brief| controls::drop(brief).0.into_owned());
    let base = found.applied.number;
    let answer = |outcome, plan, diff| ReplannedGoal {
        goal_id: id,
        outcome,
        base,
        plan,
        diff,
        notes: notes.clone(),
    };
    if new.diff.is_empty() {
        set_brief(unit, id, brief.as_deref()).await?;
        return Ok(answer(ReplanOutcome::Unchanged, None, new.diff));
    }
    let version = Version {
        planner,
        base,
        notes: &notes,
        playbook: playbook.as_ref(),
        brief: brief.as_deref(),
        reason: anew.reason.as_deref(),
        asked_by: anew.asked_by,
    };
    proposed::supersede(unit, id, "a newer version of the plan was made").await?;
    if goal.plan_approval {
        let plan = propose(unit, goal, &version, &new).await?;
        let plan = plans::view(store::goals::plans::read(unit.tx(), plan).await?);
        return Ok(answer(ReplanOutcome::Proposed, Some(plan), new.diff));
    }
    let plan = store_applied(unit, goal, &version, &new).await?;
    let why = anew.reason.as_deref().unwrap_or("the plan of the goal no longer has it");
    set_brief(unit, id, brief.as_deref()).await?;
    apply::apply(unit, goal, &found, &new, why).await?;
    let plan = plans::view(store::goals::plans::read(unit.tx(), plan).await?);
    Ok(answer(ReplanOutcome::Applied, Some(plan), new.diff))
}

/// What a version of a plan is stored with, beside the comparison.
struct Version<'a> {
    planner: Planner,
    base: i32,
    notes: &'a [OutlineNote],
    playbook: Option<&'a PlaybookUse>,
    brief: Option<&'a str>,
    reason: Option<&'a str>,
    asked_by: Option<KeyId>,
}

async fn store_applied(
    unit: &mut Unit,
    goal: &GoalFacts,
    version: &Version<'_>,
    new: &Replanned,
) -> Result<PlanId> {
    store::goals::plans::supersede_applied(unit.tx(), goal.goal_id).await?;
    let version = Version { brief: None, ..*version };
    let (plan, number) = insert(unit, goal, &version, new, PlanState::Applied).await?;
    record_applied(unit, goal, plan, number, version.base, new, version.reason);
    Ok(plan)
}

fn record_applied(
    unit: &mut Unit,
    goal: &GoalFacts,
    plan: PlanId,
    number: i32,
    base: i32,
    new: &Replanned,
    reason: Option<&str>,
) {
    let row = NewRow::new(Kind::PlanApplied).goal(goal.goal_id);
    unit.record(row.data(told(plan, number, base, new, reason)));
}

fn told(
    plan: PlanId,
    number: i32,
    base: i32,
    new: &Replanned,
    reason: Option<&str>,
) -> serde_json::Value {
    let reason: Option<String> = reason.map(|reason| reason.chars().take(300).collect());
    json!({"plan_id": plan, "tasks": new.document.len(), "number": number, "base": base,
           "counts": new.diff.counts, "criteria": criteria::counts(&new.diff), "reason": reason})
}

async fn insert(
    unit: &mut Unit,
    goal: &GoalFacts,
    version: &Version<'_>,
    new: &Replanned,
    state: PlanState,
) -> Result<(PlanId, i32)> {
    let plan_id: PlanId = unit.id();
    let row = NewVersion {
        plan_id,
        goal_id: goal.goal_id,
        planner: version.planner,
        state,
        base: version.base,
        document: &json!(new.document),
        notes: &json!(version.notes),
        diff: &json!(new.diff),
        sources: &json!(new.sources),
        held: &json!(new.held),
        brief: version.brief,
        reason: version.reason,
    };
    let number = store::goals::plans::insert_version(unit.tx(), &row).await?;
    if let Some(used) = version.playbook {
        store::goals::plans::set_playbook(unit.tx(), plan_id, used).await?;
    }
    let mut ground = ground::of_goal(unit.tx(), goal.goal_id).await?;
    // The tasks of the goal are those of the plan.
    ground.open_tasks.retain(|task| !task.same_goal);
    let Judgement { findings, numbers } = ground::judge(&new.document, &ground);
    store::goals::plans::judge(unit.tx(), plan_id, &findings, &numbers).await?;
    Ok((plan_id, number))
}

/// Stores a version and asks for its approval.
async fn propose(
    unit: &mut Unit,
    goal: &GoalFacts,
    version: &Version<'_>,
    new: &Replanned,
) -> Result<PlanId> {
    let id = goal.goal_id;
    let (plan, number) = insert(unit, goal, version, new, PlanState::Proposed).await?;
    let row = NewRow::new(Kind::PlanProposed).goal(id).after(&new.document);
    unit.record(row.data(told(plan, number, version.base, new, version.reason)));
    let title = views::read(unit.tx(), id).await?.title;
    let question = NewApproval {
        plan_id: Some(plan),
        title: format!("Apply version {number} of the plan for \"{title}\"?"),
        body: body(version, &new.diff),
        payload: Some(json!(new.document)),
        asked_by: version.asked_by,
        ..NewApproval::new(unit.id(), ApprovalKind::Plan, id)
    };
    ask::ask(unit, vec![question]).await?;
    Ok(plan)
}

/// Most tasks of each part of a diff that an approval shows.
const SHOWN: usize = 50;

/// A diff in Markdown, for the approvers of the plan.
fn body(version: &Version<'_>, diff: &PlanDiff) -> String {
    let mut text = format!("**What version {} of the plan becomes**\n\n", version.base);
    let title = |text: &str| text.replace(['\n', '`'], " ");
    for (what, entries) in [("Add", &diff.add), ("Change", &diff.change), ("Cancel", &diff.cancel)]
    {
        if entries.is_empty() {
            continue;
        }
        let _ = write!(text, "{what} {}:\n\n", entries.len());
        for entry in entries.iter().take(SHOWN) {
            let DiffEntry { r#ref, title: name, changes, .. } = entry;
            let fields = changes.iter().map(|change| change.field.as_str()).collect::<Vec<_>>();
            let fields =
                if fields.is_empty() { String::new() } else { format!(" ({})", fields.join(", ")) };
            let _ = writeln!(text, "- `{}` {}{fields}", title(r#ref), title(name));
        }
        if let Some(more) = entries.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            let _ = writeln!(text, "- and {more} more, in the diff of the plan");
        }
        text.push('\n');
    }
    text.push_str(&conditions(diff));
    let _ = writeln!(text, "Kept: {}.\n", diff.counts.kept);
    if let Some(reason) = version.reason {
        let _ = writeln!(text, "---\n\n{reason}");
    }
    text
}

/// What a diff changes of the criteria of the goal, in Markdown.
fn conditions(diff: &PlanDiff) -> String {
    let mut text = String::new();
    let changes = || diff.criteria.iter().filter(|entry| entry.changes());
    let count = changes().count();
    if count == 0 {
        return text;
    }
    let line = |text: &str| text.replace(['\n', '`'], " ");
    let _ = write!(text, "Criteria of the goal, {count}:\n\n");
    for entry in changes().take(SHOWN) {
        let CriterionEntry { action, reason, text: words, before, state, why, .. } = entry;
        let _ = write!(text, "- {action} ({reason}): {}", line(words));
        if let Some(before) = before {
            let _ = write!(text, ", before: {}", line(before));
        }
        let why = if why.is_empty() { String::new() } else { format!("; {why}") };
        let _ = writeln!(text, " ({state}{why})");
    }
    if let Some(more) = count.checked_sub(SHOWN).filter(|more| *more > 0) {
        let _ = writeln!(text, "- and {more} more, in the diff of the plan");
    }
    text.push('\n');
    text
}

/// Stores a brief that differs from that of the goal.
async fn set_brief(unit: &mut Unit, goal: GoalId, brief: Option<&str>) -> Result<()> {
    let Some(brief) = brief else { return Ok(()) };
    let before = views::read(unit.tx(), goal).await?;
    if before.brief.as_deref().unwrap_or_default() == brief {
        return Ok(());
    }
    store::goals::plans::set_brief(unit.tx(), goal, brief).await?;
    let after = views::read(unit.tx(), goal).await?;
    unit.record(NewRow::new(Kind::GoalUpdated).goal(goal).before(&before).after(&after));
    Ok(())
}

/// Applies a proposed version that was approved, or proposes it anew if another plan is in force by now.
///
/// # Errors
/// `plan_invalid`, if what happened meanwhile makes it impossible.
pub(in crate::app) async fn approved(
    unit: &mut Unit,
    goal: &GoalFacts,
    plan: PlanId,
) -> Result<()> {
    let id = goal.goal_id;
    let version = store::goals::plans::proposed(unit.tx(), plan).await?;
    if goal.state.is_terminal() {
        return supersede(unit, goal, plan, version.number, "the goal has ended").await;
    }
    let found = Found::read(unit, id, true).await?;
    let base = found.applied.number;
    let wanted = version.document.iter().cloned();
    let wanted: Vec<Wanted> = wanted.map(|spec| Wanted { spec, naming: Naming::Goal }).collect();
    let mut new = replan(&found.tasks, &wanted, goal.priority)?;
    // The names are those of the goal, unless they were given to others meanwhile.
    let criteria = criteria::of_diff(version.diff.as_ref());
    criteria::compare(unit, id, criteria, &mut new).await?;
    new.sources = sources(&version, &new.sources);
    if version.base != Some(base) {
        let reason = format!(
            "plan {base} is in force by now; it is compared with that, and asked about again"
        );
        supersede(unit, goal, plan, version.number, &reason).await?;
        if new.diff.is_empty() {
            return set_brief(unit, id, version.brief.as_deref()).await;
        }
        let again = Version {
            planner: version.planner,
            base,
            notes: &version.notes,
            playbook: version.playbook.as_ref(),
            brief: version.brief.as_deref(),
            reason: version.reason.as_deref(),
            asked_by: unit.actor(),
        };
        return propose(unit, goal, &again, &new).await.map(drop);
    }
    store::goals::plans::supersede_applied(unit.tx(), id).await?;
    let (document, diff) = (json!(new.document), json!(new.diff));
    let (sources, held) = (json!(new.sources), json!(new.held));
    store::goals::plans::apply_version(unit.tx(), plan, &document, &diff, &sources, &held).await?;
    let reason = version.reason.as_deref();
    record_applied(unit, goal, plan, version.number, base, &new, reason);
    set_brief(unit, id, version.brief.as_deref()).await?;
    let why = reason.unwrap_or("the plan of the goal no longer has it");
    apply::apply(unit, goal, &found, &new, why).await
}

/// Refs of the document by the names of the goal, after names were given twice: when it was proposed and now.
fn sources(
    version: &ProposedVersion,
    renamed: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut sources = version.sources.clone();
    for (name, proposed) in renamed {
        let source = sources.remove(proposed).unwrap_or_else(|| proposed.clone());
        sources.insert(name.clone(), source);
    }
    sources
}

async fn supersede(
    unit: &mut Unit,
    goal: &GoalFacts,
    plan: PlanId,
    number: i32,
    reason: &str,
) -> Result<()> {
    store::goals::plans::supersede_proposed(unit.tx(), goal.goal_id, reason).await?;
    let data = json!({"plan_id": plan, "number": number, "reason": reason});
    unit.record(NewRow::new(Kind::PlanSuperseded).goal(goal.goal_id).data(data));
    Ok(())
}

/// Rejects a proposed version. The goal goes on with the plan that it has.
pub(in crate::app) async fn rejected(
    unit: &mut Unit,
    goal: &GoalFacts,
    plan: PlanId,
    reason: &str,
) -> Result<()> {
    store::goals::set_plan_state(unit.tx(), plan, PlanState::Rejected).await?;
    let reason: String = reason.chars().take(300).collect();
    let data = json!({"plan_id": plan, "reason": reason});
    unit.record(NewRow::new(Kind::PlanRejected).goal(goal.goal_id).data(data));
    Ok(())
}
