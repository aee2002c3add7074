//! The nodes above an attempt: everything that its spend is charged to.

use uuid::Uuid;

use super::BudgetNode;
use crate::domain::{
    ids::{AgentId, GoalId, ProjectId, TaskId, WorkspaceId},
    states::SpendNode,
};

/// The nodes above an attempt, by id.
#[derive(Debug, Clone, Copy)]
pub struct Lineage {
    /// Its task.
    pub task: TaskId,
    /// Its goal.
    pub goal: GoalId,
    /// Its agent; `None` for an attempt of a person.
    pub agent: Option<AgentId>,
    /// The project of its goal, if it has one.
    pub project: Option<ProjectId>,
    /// The workspace.
    pub workspace: WorkspaceId,
}

impl Lineage {
    /// The nodes whose budgets limit the attempt.
    pub fn budget_nodes(self) -> impl Iterator<Item = (BudgetNode, Uuid)> {
        [
            Some((BudgetNode::Task, self.task.0)),
            Some((BudgetNode::Goal, self.goal.0)),
            self.agent.map(|id| (BudgetNode::Agent, id.0)),
            self.project.map(|id| (BudgetNode::Project, id.0)),
            Some((BudgetNode::Workspace, self.workspace.0)),
        ]
        .into_iter()
        .flatten()
    }

    /// The nodes with a stored total of what their attempts used.
    pub fn spend_nodes(self) -> impl Iterator<Item = (SpendNode, Uuid)> {
        [
            Some((SpendNode::Goal, self.goal.0)),
            self.agent.map(|id| (SpendNode::Agent, id.0)),
            self.project.map(|id| (SpendNode::Project, id.0)),
        ]
        .into_iter()
        .flatten()
    }
}
