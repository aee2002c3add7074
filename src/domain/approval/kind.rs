//! The table of approval kinds: everything that depends on the kind and on nothing else.
//!
//! A new kind is one word in [`ApprovalKind`], one row here, and one word in the database's CHECK.
//! Code elsewhere asks the row, or matches on its [`Subject`]; no query spells a kind.

use super::Verdict;
use crate::domain::{states::ApprovalKind, words::Words as _};

/// What waits for the decision, and so what the decision changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A proposed plan. Approved, it is applied; rejected, its goal is cancelled.
    Plan,
    /// A task before its first attempt. Approved, it is ready; rejected, it is cancelled.
    Start,
    /// A submitted result. Approved, it is accepted; rejected, the task is sent back.
    Result,
    /// A question of an agent or a rule. Decided either way, the task continues.
    Question,
    /// An exhausted limit. Approved, it is raised; rejected, the tasks that wait for a lifetime limit
    /// are cancelled.
    Limit,
}

impl Subject {
    /// Whether the payload, which can be edited, holds the cost and capabilities that policies match.
    #[must_use]
    pub const fn is_matched_by_payload(self) -> bool {
        match self {
            Self::Plan | Self::Limit => true,
            Self::Start | Self::Result | Self::Question => false,
        }
    }
}

/// How a decider may edit the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// Not at all: the payload describes a task or a result that exists.
    Fixed,
    /// As any JSON.
    Json,
    /// As a plan, checked like the original.
    Plan,
    /// The `proposed` amount only, which must stay above the limit.
    Raise,
}

/// A decision that the attention list offers ready-made: one that harms nothing unread.
#[derive(Debug, Clone, Copy)]
pub struct Offer {
    /// Its verdict.
    pub verdict: Verdict,
    /// Its effect, for the reader of the list.
    pub effect: &'static str,
}

const APPROVE: Offer = Offer {
    verdict: Verdict::Approve,
    effect: "Approves exactly the `payload` with this hash, so read it first; `reject` needs a \
             `reason`. If a policy asks several people, it is one vote.",
};
/// An invented answer would be believed.
const DECLINE: Offer = Offer {
    verdict: Verdict::Decline,
    effect: "Lets the task continue without an answer. To answer, send the decision `answer` with \
             `answer`.",
};

/// What the kind of an approval decides.
#[derive(Debug, Clone, Copy)]
pub struct Traits {
    /// What waits for the decision.
    pub subject: Subject,
    /// The verdicts it takes, in the order in which a form shows them.
    pub verdicts: &'static [Verdict],
    /// The ready-made decision.
    pub offer: Offer,
    /// How a decider may edit the payload.
    pub edit: Edit,
    /// The question to the decider, for a heading.
    pub asks: &'static str,
    /// Why somebody waits for the decision, in one sentence for the attention list.
    pub waits: &'static str,
}

const YES_OR_NO: &[Verdict] = &[Verdict::Approve, Verdict::Reject];

impl ApprovalKind {
    /// The row of this kind.
    #[must_use]
    pub const fn traits(self) -> Traits {
        match self {
            Self::Plan => Traits {
                subject: Subject::Plan,
                verdicts: YES_OR_NO,
                offer: APPROVE,
                edit: Edit::Plan,
                asks: "May this plan be applied?",
                waits: "The plan of the goal, or its change, is not applied until this is approved.",
            },
            Self::Start => Traits {
                subject: Subject::Start,
                verdicts: YES_OR_NO,
                offer: APPROVE,
                edit: Edit::Fixed,
                asks: "May this task start?",
                waits: "The task does not start until this is approved.",
            },
            Self::Result => Traits {
                subject: Subject::Result,
                verdicts: YES_OR_NO,
                offer: APPROVE,
                edit: Edit::Fixed,
                asks: "Is this result accepted?",
                waits: "A submitted result is not yet accepted.",
            },
            Self::Action => Traits {
                subject: Subject::Question,
                verdicts: YES_OR_NO,
                offer: APPROVE,
                edit: Edit::Json,
                asks: "An agent asks: may I do this?",
                waits: "An agent asks for permission to act; its task is parked.",
            },
            Self::Budget => Traits {
                subject: Subject::Limit,
                verdicts: YES_OR_NO,
                offer: APPROVE,
                edit: Edit::Raise,
                asks: "May this limit be raised?",
                waits: "Tasks wait for an exhausted limit.",
            },
            Self::Input => Traits {
                subject: Subject::Question,
                verdicts: &[Verdict::Answer, Verdict::Decline, Verdict::Reject],
                offer: DECLINE,
                edit: Edit::Json,
                asks: "An agent has a question.",
                waits: "A question is not yet answered.",
            },
        }
    }

    /// Whether it is a question of an agent, which ends when another holder takes the task.
    #[must_use]
    pub fn is_question(self) -> bool {
        self.subject() == Subject::Question
    }

    /// What waits for the decision.
    #[must_use]
    pub const fn subject(self) -> Subject {
        self.traits().subject
    }

    /// Whether the kind takes a verdict.
    #[must_use]
    pub fn takes(self, verdict: Verdict) -> bool {
        self.traits().verdicts.contains(&verdict)
    }

    /// The kinds with a subject, as the database spells them.
    #[must_use]
    pub fn with(subject: Subject) -> Vec<String> {
        let kinds = Self::ALL.iter().filter(|kind| kind.subject() == subject);
        kinds.map(|kind| kind.to_string()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_offers_a_verdict_it_takes_and_can_be_rejected() {
        for kind in ApprovalKind::ALL {
            let offered = kind.traits().offer.verdict;
            assert!(kind.takes(offered) && kind.takes(Verdict::Reject), "{kind}");
            assert_ne!(kind.takes(Verdict::Approve), kind.takes(Verdict::Answer), "{kind}");
        }
    }
}
