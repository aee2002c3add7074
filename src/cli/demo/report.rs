//! What came of it: the tables at the end, and whether everything happened that should have.
//!
//! All of it is read back from muster. The demo's own memory proves nothing; what is stored does.

use std::collections::HashMap;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

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
    domain::{
        ids::AgentId,
        states::{ApprovalKind, ApprovalState, AttemptState, FailureClass, GoalState, TaskState},
    },
};

/// How many characters of a title are shown.
const TITLE: usize = 48;

/// Everything that is stored of the goal.
#[derive(Debug)]
pub(super) struct Report {
    goal: Goal,
    /// Each with its attempts, the first one first.
    tasks: Vec<(Task, Vec<Attempt>)>,
    approvals: Vec<Approval>,
    agents: Vec<Agent>,
}

/// Something that should have happened, and whether it did.
#[derive(Debug)]
pub(super) struct Finding {
    /// What.
    pub(super) what: String,
    /// Whether it did.
    pub(super) found: bool,
}

impl Report {
    /// Reads everything.
    ///
    /// # Errors
    /// When muster does not answer.
    pub(super) async fn read(client: &Client, goal: Goal, agents: &[AgentId]) -> Result<Self> {
        let mut tasks = Vec::new();
        for task in client.tasks(goal.id).await? {
            let mut attempts = client.attempts(task.id).await?;
            attempts.reverse();
            tasks.push((task, attempts));
        }
        let approvals = client.approvals(goal.id).await?;
        let mut known = Vec::new();
        for agent in agents {
            known.push(client.agent(*agent).await?);
        }
        Ok(Self { goal, tasks, approvals, agents: known })
    }

    /// All of it in a line.
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

    /// What should have happened.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let finding = |what: String, found| Finding { what, found };
        let open = self.tasks.iter().filter(|(task, _)| task.state != TaskState::Done).count();
        vec![
            finding(
                format!(
                    "the goal is {}, {open} of {} tasks open",
                    self.goal.state,
                    self.tasks.len()
                ),
                self.goal.state == GoalState::Completed && open == 0,
            ),
            finding(
                format!("an agent died during {}, and another took over", script::DEATH),
                self.taken_over(),
            ),
            finding(
                format!(
                    "{} failed ({}), and was tried again",
                    script::FAILURE,
                    script::FAILURE_CLASS
                ),
                self.tried_again(),
            ),
            finding(
                format!("the result of {} waited for a person, who accepted it", script::REVIEW),
                self.reviewed(),
            ),
        ]
    }

    fn taken_over(&self) -> bool {
        let lost = |attempt: &&Attempt| {
            attempt.state == AttemptState::Expired
                && attempt.failure_class == Some(FailureClass::Lost)
        };
        let attempts = self.attempts(script::DEATH);
        let accepted = attempts.iter().find(|attempt| attempt.state == AttemptState::Accepted);
        attempts
            .iter()
            .find(lost)
            .is_some_and(|lost| accepted.is_some_and(|taken| taken.agent_id != lost.agent_id))
    }

    fn tried_again(&self) -> bool {
        let attempts = self.attempts(script::FAILURE);
        let failed = attempts.iter().any(|attempt| {
            attempt.state == AttemptState::Failed
                && attempt.failure_class == Some(script::FAILURE_CLASS)
        });
        failed && attempts.last().is_some_and(|last| last.state == AttemptState::Accepted)
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

    /// A line per task.
    pub(super) fn tasks_table(&self) -> Table {
        let names: HashMap<AgentId, &str> =
            self.agents.iter().map(|agent| (agent.id, agent.name.as_str())).collect();
        let header = ["TASK", "", "STATE", "ATTEMPTS", "BY", "SPEND", "SECONDS"];
        let mut table = table(&header);
        for (task, attempts) in &self.tasks {
            let by = attempts.iter().map(|attempt| {
                attempt.agent_id.and_then(|agent| names.get(&agent)).unwrap_or(&"?")
            });
            table.add_row([
                task.r#ref.clone(),
                shortened(&task.title),
                task.state.to_string(),
                if attempts.is_empty() { String::new() } else { attempts.len().to_string() },
                by.copied().collect::<Vec<_>>().join(", "),
                if attempts.is_empty() { String::new() } else { dollars(&task.spend) },
                seconds(attempts).map(|took| format!("{took:.1}")).unwrap_or_default(),
            ]);
        }
        right(&mut table, &[3, 5, 6]);
        table
    }

    /// A line per agent, and one for all of them.
    pub(super) fn agents_table(&self) -> Table {
        let header = ["AGENT", "CAN", "ACCEPTED", "ATTEMPTS", "TOKENS IN/OUT", "SPEND"];
        let mut table = table(&header);
        let attempts: Vec<&Attempt> =
            self.tasks.iter().flat_map(|(_, attempts)| attempts).collect();
        let accepted = |attempt: &&&Attempt| attempt.state == AttemptState::Accepted;
        let tokens = |spend: &crate::domain::spend::Amounts| {
            let of = |unit: &str| spend.get(unit).copied().unwrap_or_default();
            format!("{}/{}", of("input_tokens"), of("output_tokens"))
        };
        for agent in &self.agents {
            let own: Vec<&Attempt> =
                attempts.iter().filter(|a| a.agent_id == Some(agent.id)).copied().collect();
            table.add_row([
                agent.name.clone(),
                agent.capabilities.join(", "),
                own.iter().filter(accepted).count().to_string(),
                own.len().to_string(),
                tokens(&agent.spend),
                dollars(&agent.spend),
            ]);
        }
        table.add_row([
            "all".to_owned(),
            String::new(),
            attempts.iter().filter(accepted).count().to_string(),
            attempts.len().to_string(),
            tokens(&self.goal.spend),
            dollars(&self.goal.spend),
        ]);
        right(&mut table, &[2, 3, 4, 5]);
        table
    }
}

/// From the first claim to the last word.
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

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header.iter().copied());
    table
}

fn right(table: &mut Table, columns: &[usize]) {
    for index in columns {
        if let Some(column) = table.column_mut(*index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}
