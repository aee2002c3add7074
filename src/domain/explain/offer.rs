//! For whom a task is kept, in a sentence.

use super::answer::OfferedTo;

/// The rest of a sentence about a task: `it ...`, `which ...`.
#[must_use]
pub fn sentence(to: &OfferedTo) -> String {
    let OfferedTo { agent_id, agent_name, capability, except_agent_id, until } = to;
    let agent = || match (agent_name, agent_id) {
        (Some(name), _) => Some(format!("the agent `{name}`")),
        (None, Some(id)) => Some(format!("the agent {id}")),
        (None, None) => None,
    };
    let whom = agent().or_else(|| Some(format!("agents with `{}`", capability.as_ref()?)));
    match (whom, until, except_agent_id) {
        (Some(whom), Some(until), _) => format!(
            "was handed over to {whom}, for whom it is kept until {}; then every able agent may claim it",
            until.to_rfc3339()
        ),
        (Some(whom), None, _) => format!("is kept for {whom}"),
        (None, _, Some(_)) => "was taken from one agent, for all others".to_owned(),
        (None, _, None) => "is kept for nobody".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;
    use crate::domain::ids::AgentId;

    #[test]
    fn the_addressee_and_the_time_are_named() {
        let agent = AgentId(Uuid::nil());
        let mut to = OfferedTo { agent_id: Some(agent), ..OfferedTo::default() };
        assert!(sentence(&to).starts_with("is kept for the agent 0000"));
        to.agent_name = Some("one".to_owned());
        assert_eq!(sentence(&to), "is kept for the agent `one`");
        to.until = Some(DateTime::UNIX_EPOCH);
        let said = sentence(&to);
        assert!(said.contains("handed over to the agent `one`") && said.contains("1970"), "{said}");
        let capability = Some("review".to_owned());
        let to = OfferedTo { capability, until: to.until, ..OfferedTo::default() };
        assert!(sentence(&to).contains("agents with `review`"));
        let except_agent_id = Some(agent);
        let to = OfferedTo { except_agent_id, ..OfferedTo::default() };
        assert!(sentence(&to).contains("taken from one agent"));
    }
}
