//! Concurrency keys and resources that other attempts hold, as far as the caller sees these.
//!
//! A concurrency key is one of the workspace: attempts of every project hold it. Those in projects that the caller does
//! not see count, and nothing of them is named.

use super::cause::{TaskCause, TaskCauseKind, cause};
use crate::domain::{
    access::scope::Scope,
    explain::{
        answer::{Actor, ActorKind, CauseFacts, GateHolder, NAMED, Remedy},
        request,
    },
    ids::ProjectId,
};

/// What a gate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateKind {
    /// A concurrency key, all of whose grants are held.
    Key {
        /// Most grants.
        most: i32,
    },
    /// A resource.
    Resource,
}

/// A gate without room, and one attempt that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldGate {
    /// What it is.
    pub kind: GateKind,
    /// Number of all attempts that hold it.
    pub count: i64,
    /// The project of the attempt.
    pub project_id: Option<ProjectId>,
    /// The attempt.
    pub holder: GateHolder,
}

/// A gate without room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// What it is.
    pub kind: GateKind,
    /// The concurrency key, or the resource that is wanted.
    pub subject: String,
    /// Number of attempts that hold it.
    pub count: i64,
    /// Those of them that the caller sees, the longest first.
    pub holders: Vec<GateHolder>,
    /// Who holds it the longest, if the caller does not see that attempt.
    pub out_of_sight: Option<ActorKind>,
}

/// The gates, each with its holders within a scope. `held`: by gate, the longest first.
#[must_use]
pub fn within(scope: &Scope, held: Vec<HeldGate>) -> Vec<Gate> {
    let mut gates: Vec<Gate> = Vec::new();
    for HeldGate { kind, count, project_id, holder } in held {
        let sees = scope.sees(project_id);
        let same =
            gates.last().is_some_and(|last| last.kind == kind && last.subject == holder.subject);
        if !same {
            let by = if holder.agent_id.is_some() { ActorKind::Agent } else { ActorKind::Person };
            let out_of_sight = (!sees).then_some(by);
            let subject = holder.subject.clone();
            gates.push(Gate { kind, subject, count, holders: Vec::new(), out_of_sight });
        }
        if let (true, Some(gate)) = (sees, gates.last_mut()) {
            gate.holders.push(holder);
        }
    }
    gates
}

pub(super) fn gate(gate: &Gate) -> TaskCause {
    let Gate { kind, subject, count, holders, out_of_sight } = gate;
    let (kind, what) = match kind {
        GateKind::Key { most } => {
            let what = format!("all {most} grants of the concurrency key `{subject}` are held");
            (TaskCauseKind::ConcurrencyKey, what)
        }
        GateKind::Resource => {
            (TaskCauseKind::Resource, format!("what it touches, `{subject}`, is held"))
        }
    };
    let facts = CauseFacts {
        holders: holders.iter().take(NAMED).cloned().collect(),
        holders_count: Some(*count),
        ..CauseFacts::default()
    };
    let Some(first) = holders.first() else {
        let detail = format!("{what}, by attempts in projects that you do not see");
        let acts = out_of_sight.map_or_else(Actor::nobody, Actor::of);
        return cause(kind, detail, Remedy { acts, ..Remedy::nothing() }, facts);
    };
    let by = match &first.agent_name {
        Some(name) => format!("the agent `{name}`"),
        None => "a person".to_owned(),
    };
    let longest = match out_of_sight {
        None => "the longest by",
        Some(_) => "the longest in the projects that you see by",
    };
    let detail = format!("{what}, {longest} {by}");
    let acts = Actor::holder(first.agent_id, first.agent_name.as_deref(), first.held_by_key);
    cause(kind, detail, Remedy::by(acts, request::complete(first.attempt_id)), facts)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{
        access::scope::Access,
        ids::{AgentId, AttemptId, TaskId},
    };

    fn project(number: u128) -> ProjectId {
        ProjectId(Uuid::from_u128(number))
    }

    /// Grants of one key, each held by an agent in one of the projects.
    fn held(projects: &[u128]) -> Vec<HeldGate> {
        let one = |number: &u128| HeldGate {
            kind: GateKind::Key { most: 2 },
            count: 2,
            project_id: Some(project(*number)),
            holder: GateHolder {
                subject: "deploy".into(),
                attempt_id: AttemptId(Uuid::from_u128(10 + number)),
                task_id: TaskId(Uuid::from_u128(20 + number)),
                agent_id: Some(AgentId(Uuid::from_u128(30 + number))),
                agent_name: Some(format!("of {number}")),
                held_by_key: None,
                since: DateTime::UNIX_EPOCH,
            },
        };
        projects.iter().map(one).collect()
    }

    fn explained(scope: &Scope, projects: &[u128]) -> TaskCause {
        let gates = within(scope, held(projects));
        assert_eq!(gates.len(), 1);
        gate(&gates[0])
    }

    fn only(number: u128) -> Scope {
        Scope { access: Access::All, projects: Some(vec![project(number)]) }
    }

    #[test]
    fn holders_out_of_sight_count_and_are_not_named() {
        let found = explained(&only(1), &[2, 3]);
        assert_eq!((found.facts.holders.len(), found.facts.holders_count), (0, Some(2)));
        let Remedy { acts, request, .. } = &found.remedy;
        assert_eq!((acts.kind, acts.id, &acts.name), (ActorKind::Agent, None, &None));
        assert_eq!(*request, None);
        assert!(!found.detail.contains("of 2"), "{}", found.detail);
    }

    #[test]
    fn a_holder_in_sight_acts_though_others_hold_it_longer() {
        let found = explained(&only(1), &[2, 1]);
        assert_eq!(found.facts.holders.len(), 1);
        assert_eq!(found.remedy.acts.name.as_deref(), Some("of 1"));
        assert!(found.detail.ends_with("in the projects that you see by the agent `of 1`"));
    }

    #[test]
    fn a_key_of_the_whole_workspace_sees_all_holders() {
        let found = explained(&Scope::default(), &[2, 1]);
        assert_eq!(found.facts.holders.len(), 2);
        assert!(found.detail.ends_with("the longest by the agent `of 2`"), "{}", found.detail);
    }
}
