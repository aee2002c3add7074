//! The report of the demo: two tables, and whether the planned incidents happened.
//!
//! All of it is read from muster: the demo's own memory proves nothing, the stored data does.

use std::collections::HashMap;

use super::{
    client::{Client, Result},
    operator::dollars,
    script,
};
use crate::{
    app::{
        agents::views::Agent,
        approvals::views::Approval,
        goals::views::Goal,
        tasks::{attempts::Attempt, list::Task},
    },
    cli::{failure::Failure, print},
    domain::{
        ids::AgentId,
        spend::Amounts,
        states::{ApprovalKind, ApprovalState, AttemptState, FailureClass, GoalState, TaskState},
    },
};

/// Shown characters of a title.
const TITLE: usize = 48;

/// The stored data of the goal.
#[derive(Debug)]
pub(super) struct Report {
    goal: Goal,
    /// Each with its attempts, oldest first.
    tasks: Vec<(Task, Vec<Attempt>)>,
    approvals: Vec<Approval>,
    agents: Vec<Agent>,
}

impl Report {
    /// Reads the data.
    pub(super) async fn read(client: &Client, goal: Goal, agents: &[AgentId]) -> Result<Self> {
        let mut tasks = Vec::new();
        let list = format!("/v1/tasks?goal_id={}&limit=200", goal.id);
        for task in client.list::<Task>(&list).await? {
            let list = format!("/v1/tasks/{}/attempts?limit=200", task.id);
            let mut attempts: Vec<Attempt> = client.list(&list).await?;
            attempts.reverse();
            tasks.push((task, attempts));
        }
        let approvals = format!("/v1/approvals?goal_id={}&limit=200", goal.id);
        let approvals = client.list(&approvals).await?;
        let mut known = Vec::new();
        for agent in agents {
            known.push(client.get(&format!("/v1/agents/{agent}")).await?);
        }
        Ok(Self { goal, tasks, approvals, agents: known })
    }

    /// The totals, in a line.
    pub(super) fn summary(&self) -> String {
        let attempts: usize = self.tasks.iter().map(|(_, attempts)| attempts.len()).sum();
        let ended = self.goal.ended_at.unwrap_or(self.goal.updated_at);
        format!(
            "{} tasks, {attempts} attempts, {}, {:.1} seconds from the post to the end",
            self.tasks.len(),
            dollars(&self.goal.spend),
            (ended - self.goal.created_at).as_seconds_f64(),
        )
    }

    /// The expected results, each with whether it happened.
    pub(super) fn findings(&self) -> [(bool, String); 4] {
        let (state, tasks) = (self.goal.state, self.tasks.len());
        let open = self.tasks.iter().filter(|(task, _)| task.state != TaskState::Done).count();
        let (death, failure, review) = (script::DEATH, script::FAILURE, script::REVIEW);
        [
            (
                state == GoalState::Completed && open == 0,
                format!("the goal is {state}, {open} of {tasks} tasks open"),
            ),
            (self.taken_over(), format!("an agent died during {death}, and another took over")),
            (
                self.tried_again(),
                format!("{failure} failed ({}), and was tried again", script::FAILURE_CLASS),
            ),
            (
                self.reviewed(),
                format!("the result of {review} waited for a person, who accepted it"),
            ),
        ]
    }

    fn taken_over(&self) -> bool {
        let attempts = self.attempts(script::DEATH);
        let lost = ended(attempts, AttemptState::Expired, Some(FailureClass::Lost));
        let accepted = ended(attempts, AttemptState::Accepted, None);
        lost.zip(accepted).is_some_and(|(lost, accepted)| lost.agent_id != accepted.agent_id)
    }

    fn tried_again(&self) -> bool {
        let attempts = self.attempts(script::FAILURE);
        ended(attempts, AttemptState::Failed, Some(script::FAILURE_CLASS)).is_some()
            && attempts.last().is_some_and(|last| last.state == AttemptState::Accepted)
    }

    fn reviewed(&self) -> bool {
        let task = self.tasks.iter().find(|(task, _)| task.r#ref == script::REVIEW);
        task.is_some_and(|(task, _)| {
            self.approvals.iter().any(|approval| {
                approval.task_id == Some(task.id)
                    && approval.kind == ApprovalKind::Result
                    && approval.state == ApprovalState::Approved
                    && approval.decided_by.is_some()
            })
        })
    }

    fn attempts(&self, name: &str) -> &[Attempt] {
        let task = self.tasks.iter().find(|(task, _)| task.r#ref == name);
        task.map(|(_, attempts)| attempts.as_slice()).unwrap_or_default()
    }

    /// Prints a line per task.
    pub(super) fn print_tasks(&self) -> std::result::Result<(), Failure> {
        let names: HashMap<AgentId, &str> =
            self.agents.iter().map(|agent| (agent.id, agent.name.as_str())).collect();
        let row = |(task, attempts): &(Task, Vec<Attempt>)| {
            let name = |attempt: &Attempt| names.get(&attempt.agent_id?).copied();
            let by: Vec<&str> =
                attempts.iter().map(|attempt| name(attempt).unwrap_or("?")).collect();
            let if_tried = |text| if attempts.is_empty() { String::new() } else { text };
            [
                task.r#ref.clone(),
                shortened(&task.title),
                task.state.to_string(),
                if_tried(attempts.len().to_string()),
                by.join(", "),
                if_tried(dollars(&task.spend)),
                seconds(attempts).map(|took| format!("{took:.1}")).unwrap_or_default(),
            ]
        };
        let header = ["TASK", "", "STATE", "ATTEMPTS", "BY", "SPEND", "SECONDS"];
        print::table(header, self.tasks.iter().map(row), &[3, 5, 6])
    }

    /// Prints a line per agent, and one for all of them.
    pub(super) fn print_agents(&self) -> std::result::Result<(), Failure> {
        let row = |name: &str, can: String, agent: Option<AgentId>, spend: &Amounts| {
            let attempts = self.tasks.iter().flat_map(|(_, attempts)| attempts);
            let own: Vec<&Attempt> =
                attempts.filter(|of| agent.is_none() || of.agent_id == agent).collect();
            let accepted = own.iter().filter(|of| of.state == AttemptState::Accepted).count();
            let of = |unit: &str| spend.get(unit).copied().unwrap_or_default();
            [
                name.to_owned(),
                can,
                accepted.to_string(),
                own.len().to_string(),
                format!("{}/{}", of("input_tokens"), of("output_tokens")),
                dollars(spend),
            ]
        };
        let agents = self.agents.iter().map(|agent| {
            row(&agent.name, agent.capabilities.join(", "), Some(agent.id), &agent.spend)
        });
        let all = row("all", String::new(), None, &self.goal.spend);
        let header = ["AGENT", "CAN", "ACCEPTED", "ATTEMPTS", "TOKENS IN/OUT", "SPEND"];
        print::table(header, agents.chain([all]), &[2, 3, 4, 5])
    }
}

/// The first attempt that ended so.
fn ended(
    attempts: &[Attempt],
    state: AttemptState,
    class: Option<FailureClass>,
) -> Option<&Attempt> {
    attempts.iter().find(|attempt| attempt.state == state && attempt.failure_class == class)
}

/// From the first claim to the last end.
fn seconds(attempts: &[Attempt]) -> Option<f64> {
    let began = attempts.first()?.started_at;
    let ended = attempts.iter().filter_map(|attempt| attempt.ended_at).max()?;
    Some((ended - began).as_seconds_f64())
}

fn shortened(title: &str) -> String {
    if title.chars().count() <= TITLE {
        return title.to_owned();
    }
    let start: String = title.chars().take(TITLE - 1).collect();
    format!("{}\u{2026}", start.trim_end())
}
