//! The catalogue of tables: what pruning does with each, and why.
//!
//! Pruning executes this list, so it cannot differ from what is done, and a test compares it with the
//! catalogue of a migrated database: a new table does not pass before it has its line. A table comes before
//! those that its foreign keys name. Rows are therefore deleted in the order of the list, and can be
//! inserted in the reverse order.

use uuid::Uuid;

/// A table of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// What pruning does with its rows.
    pub pruning: TablePruning,
    /// Why so.
    pub why: &'static str,
}

/// What pruning does with the rows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TablePruning {
    /// Rows go with an ended goal: those whose `key` is an id of `of`.
    WithGoal {
        /// What of the goal the rows belong to.
        of: Owner,
        /// SQL before `= any(ids)`: the column, where needed after a condition. The table is `t`.
        key: &'static str,
    },
    /// Rows go when they are older than their own retention.
    ByAge,
    /// Rows stay.
    Never,
}

/// What of an ended goal the rows of a table belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The goal.
    Goal,
    /// One of its tasks.
    Task,
    /// One of their attempts.
    Attempt,
    /// One of its approvals.
    Approval,
    /// The goal or one of its tasks, as a node of a budget.
    Node,
    /// A budget of one of these nodes.
    Budget,
    /// A limit of one of these budgets.
    Limit,
}

/// The ids of what ended goals own.
#[derive(Debug, Clone, Default)]
pub struct Owned {
    /// The goals.
    pub goals: Vec<Uuid>,
    /// Their tasks.
    pub tasks: Vec<Uuid>,
    /// The attempts of these.
    pub attempts: Vec<Uuid>,
    /// The approvals of the goals.
    pub approvals: Vec<Uuid>,
    /// The budgets of goals and tasks.
    pub budgets: Vec<Uuid>,
    /// The limits of these.
    pub limits: Vec<Uuid>,
}

impl Owned {
    /// The ids of one kind of owner.
    #[must_use]
    pub fn ids(&self, of: Owner) -> Vec<Uuid> {
        match of {
            Owner::Goal => self.goals.clone(),
            Owner::Task => self.tasks.clone(),
            Owner::Attempt => self.attempts.clone(),
            Owner::Approval => self.approvals.clone(),
            Owner::Node => [self.goals.as_slice(), &self.tasks].concat(),
            Owner::Budget => self.budgets.clone(),
            Owner::Limit => self.limits.clone(),
        }
    }
}

const fn goes(name: &'static str, of: Owner, key: &'static str) -> Table {
    let why = "it says nothing without its goal";
    Table { name, pruning: TablePruning::WithGoal { of, key }, why }
}

const fn folded(name: &'static str, of: Owner, key: &'static str, why: &'static str) -> Table {
    Table { name, pruning: TablePruning::WithGoal { of, key }, why }
}

const fn ages(name: &'static str, why: &'static str) -> Table {
    Table { name, pruning: TablePruning::ByAge, why }
}

const fn stays(name: &'static str, why: &'static str) -> Table {
    Table { name, pruning: TablePruning::Never, why }
}

/// All tables.
pub const TABLES: &[Table] = &[
    folded(
        "dedup_keys",
        Owner::Goal,
        // The key of a task is unique in its goal, and that of a goal in the project that it is in.
        "(t.held_until is null or t.within is distinct from (
              select coalesce(g.project_id, '00000000-0000-0000-0000-000000000000') from goals g
              where g.workspace_id = t.workspace_id and g.goal_id = t.goal_id)) and t.goal_id",
        "it says nothing without its goal; a key of a goal that is held for a time goes when that is over",
    ),
    goes("accepted_answers", Owner::Task, "t.task_id"),
    goes("exposures", Owner::Attempt, "t.attempt_id"),
    goes("handed_lessons", Owner::Attempt, "t.attempt_id"),
    goes("assignments", Owner::Attempt, "t.attempt_id"),
    goes("comments_to_spread", Owner::Goal, "t.goal_id"),
    goes("comment_deliveries", Owner::Goal, "t.goal_id"),
    goes("comments", Owner::Goal, "t.goal_id"),
    goes("hand_offs", Owner::Task, "t.task_id"),
    goes("goal_progress", Owner::Goal, "t.goal_id"),
    goes("goal_turns", Owner::Goal, "t.goal_id"),
    goes("resource_grants", Owner::Attempt, "t.attempt_id"),
    goes("concurrency_grants", Owner::Attempt, "t.attempt_id"),
    goes("task_touches", Owner::Task, "t.task_id"),
    goes("task_concurrency_keys", Owner::Task, "t.task_id"),
    goes("task_key_names", Owner::Task, "t.task_id"),
    goes("price_waits", Owner::Task, "t.task_id"),
    goes("nudges", Owner::Task, "t.task_id"),
    goes("interventions", Owner::Goal, "t.goal_id"),
    goes("attempt_loops", Owner::Task, "t.task_id"),
    goes("freeze_stops", Owner::Attempt, "t.attempt_id"),
    goes("waivers", Owner::Attempt, "t.attempt_id"),
    goes("approval_links", Owner::Approval, "t.approval_id"),
    goes("approval_votes", Owner::Approval, "t.approval_id"),
    goes("approval_revisions", Owner::Approval, "t.approval_id"),
    goes("approvals", Owner::Goal, "t.goal_id"),
    goes("evidence", Owner::Attempt, "t.attempt_id"),
    goes("artifact_refs", Owner::Attempt, "t.attempt_id"),
    goes("goal_criteria", Owner::Goal, "t.goal_id"),
    goes("planning_runs", Owner::Goal, "t.goal_id"),
    goes("plans", Owner::Goal, "t.goal_id"),
    goes("attempt_results", Owner::Attempt, "t.attempt_id"),
    goes("attempt_progress", Owner::Attempt, "t.attempt_id"),
    goes("model_calls", Owner::Attempt, "t.attempt_id"),
    folded("spend_entries", Owner::Attempt, "t.attempt_id", "folded_spend keeps its daily totals"),
    folded("attempt_spend", Owner::Attempt, "t.attempt_id", "it sums the entries of an attempt"),
    folded("planning_spend", Owner::Goal, "t.goal_id", "folded_spend keeps its daily totals"),
    goes("reservations", Owner::Attempt, "t.attempt_id"),
    goes("authorizations", Owner::Attempt, "t.attempt_id"),
    folded("attempts", Owner::Attempt, "t.attempt_id", "folded_attempts keeps their number"),
    goes("allocations", Owner::Goal, "t.goal_id"),
    stays("folded_windows", "settled of a window includes it"),
    goes("budget_windows", Owner::Limit, "t.limit_id"),
    goes("budget_limits", Owner::Budget, "t.budget_id"),
    goes("budgets", Owner::Node, "t.node in ('goal', 'task') and t.node_id"),
    folded(
        "spend_totals",
        Owner::Goal,
        "t.node = 'goal' and t.node_id",
        "the totals of agents and projects stay, and include what was pruned",
    ),
    goes("criteria", Owner::Task, "t.task_id"),
    goes("dependencies", Owner::Task, "t.task_id"),
    goes("task_texts", Owner::Task, "t.task_id"),
    goes("tasks", Owner::Goal, "t.goal_id"),
    goes("goal_texts", Owner::Goal, "t.goal_id"),
    folded(
        "schedule_fires",
        Owner::Goal,
        "t.goal_id",
        "it says nothing without its goal; those without one go by age, with the fires of their schedule",
    ),
    goes("goals", Owner::Goal, "t.goal_id"),
    stays("schedules", "settings of the workspace, and goals name them"),
    stays("folded_spend", "daily totals, which reports and budgets need"),
    stays("folded_attempts", "groups of the daily totals"),
    stays("usual_spend", "what was learnt outlives what it was learnt from"),
    stays("progress_cursors", "one row"),
    stays("route_cursors", "one row"),
    stays("rank_cursors", "one row, until the ready tasks are ranked again"),
    ages("agent_records", "former versions are forgotten after 90 days without an attempt"),
    stays("measured_use", "what was learnt outlives what it was learnt from"),
    stays("capability_outcomes", "what was learnt outlives what it was learnt from"),
    stays("capability_sets", "there are few"),
    stays("planner_settings", "settings of the workspace"),
    ages("postings", "part of the index of lessons"),
    ages("docs", "part of the index of lessons"),
    ages("word_grams", "part of the index of lessons"),
    ages("terms", "part of the index of lessons"),
    ages("lesson_bands", "part of a lesson"),
    ages("lesson_links", "part of a lesson"),
    ages("lesson_versions", "part of a lesson"),
    ages(
        "lessons",
        "they outlive their tasks; archived and superseded ones have a retention of their own",
    ),
    ages("lesson_trials", "what lessons change is reported for a year"),
    stays("shelves", "one row per project"),
    stays("knowledge_cursors", "one row"),
    stays("word_vectors", "one row, until an operator removes it"),
    stays("rules", "settings of the workspace"),
    stays("freezes", "a freeze may cover more than goals, and there are few"),
    stays("approval_policies", "settings of the workspace"),
    stays("playbook_versions", "plans name them, and goals are posted again with them"),
    stays("playbooks", "settings of the workspace"),
    stays("risk_floors", "settings of the workspace"),
    stays("rates", "settings of the workspace"),
    stays("quota_windows", "settings of the workspace"),
    stays(
        "concurrency_keys",
        "settings of the workspace; those that only tasks made go when no open task names them",
    ),
    stays("projects", "their totals stay"),
    stays("prices", "a price is never changed"),
    ages("journal", "its retention is its own; it outlives its subjects"),
    stays("journal_seals", "what is left of the journal is verified by the whole chain"),
    stays("journal_chains", "one row"),
    stays("journal_heads", "one row"),
    ages("artifacts", "the retention of artifacts; an open goal keeps those it refers to"),
    ages("artifact_uploads", "bytes that no artifact has are swept within hours"),
    stays("artifact_totals", "one row"),
    ages("replays", "an answer is kept for 24 hours"),
    stays("supervisor_duties", "one row per duty"),
    stays("sessions", "the record of sign-ins"),
    stays("identities", "people"),
    stays("secrets", "operators delete them"),
    stays("keys", "the journal names its actors by them"),
    stays("agent_owners", "part of an agent"),
    stays("agent_presence", "part of an agent"),
    stays("agents", "their totals stay"),
    stays("workspaces", "the tenant itself"),
];
