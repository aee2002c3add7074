//! Checks are done by others: nobody checks what they made.
//!
//! Barred from a check are the agents that worked on the checked task and, if the criterion demands another owner,
//! those that share an owner with one of them or have none. A claim passes them over. So a check that is directed to
//! one of them would wait for ever: this is refused when it is directed, and once more when it is completed.

use crate::domain::refusal::{Code, Refusal};

/// How an agent stands to a task that is directed to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Relation {
    /// Whether the task is a check that the agent may not do.
    pub barred: bool,
    /// Whether the agent worked on what the task checks; otherwise only an owner is shared, or unknown.
    pub author: bool,
}

/// Refuses to direct a check to an agent that may not do it. `at`: pointer to the agent in the request.
///
/// # Errors
/// `invalid` at `at`.
pub fn admit_agent(relation: Relation, at: &str) -> Result<(), Refusal> {
    if !relation.barred {
        return Ok(());
    }
    let why = if relation.author {
        "the agent worked on what the task checks"
    } else {
        "the check demands another owner, and the agent shares one with the authors of what it checks, or has none"
    };
    let detail = format!("{why}; name another agent, or leave the choice to the service");
    Err(Refusal::invalid_at(at, detail))
}

/// Refuses a holder that may not do the check it holds or wants to hold.
///
/// # Errors
/// `separation_of_duties`.
pub fn admit_holder(barred: bool) -> Result<(), Refusal> {
    if !barred {
        return Ok(());
    }
    let detail = "who worked on a task, or shares an owner with them if that is excluded, does not check its result; \
                  leave it to somebody else";
    Err(Refusal::new(Code::SeparationOfDuties, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_barred_agent_is_refused_with_the_reason() {
        assert_eq!(admit_agent(Relation::default(), "/agent_id"), Ok(()));
        for (author, word) in [(true, "worked on"), (false, "owner")] {
            let refused =
                admit_agent(Relation { barred: true, author }, "/to/agent_id").unwrap_err();
            assert_eq!(refused.code, Code::Invalid);
            let [error] = refused.errors.as_slice() else { panic!("{refused:?}") };
            assert_eq!(error.pointer, "/to/agent_id");
            assert!(error.detail.contains(word), "{}", error.detail);
        }
    }

    #[test]
    fn a_barred_holder_is_refused() {
        assert_eq!(admit_holder(false), Ok(()));
        assert_eq!(admit_holder(true).unwrap_err().code, Code::SeparationOfDuties);
    }
}
