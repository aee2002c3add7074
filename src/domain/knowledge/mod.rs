//! Knowledge: what finished work teaches, and its use in the next task.
//!
//! A **lesson** is one entry of the knowledge repository. A *digest* is the lesson that the service writes itself about
//! every ended task, from what it knows; agents hand in others with the end of an attempt, people write them, and
//! files are imported. This folder holds the rules, as pure functions:
//!
//! | file | rule |
//! |---|---|
//! | [`bounds`] | lengths and counts of what may be written |
//! | [`gate`] with [`secrets`] and [`orders`] | what may be written at all |
//! | [`digest`] | the text about an ended task |
//! | [`identifiers`], [`spelling`] | the words of a text, and those that a misspelt word resembles |
//! | [`near`] | duplicates and contradictions |
//! | [`alike`] | finished tasks that may answer another one |
//! | [`standing`] | state and trust of a lesson by its sources and verdicts |
//! | [`shelf`] | which lessons a search ranks |
//! | [`bm25`], [`rank`], [`vectors`], [`embedding`] | their order |
//! | [`pack`] | those that fit in a budget of tokens |
//! | [`uplift`] | what they change |
//!
//! Nothing here asks a model. Nothing is hidden by its age.

pub mod alike;
pub mod bm25;
pub mod bounds;
pub mod digest;
pub mod embedding;
pub mod gate;
pub mod identifiers;
pub mod near;
pub mod orders;
pub mod pack;
pub mod rank;
pub mod secrets;
pub mod shelf;
pub mod spelling;
pub mod standing;
pub mod uplift;
pub mod vectors;

use super::words::words;

words! {
    /// Kind of a lesson.
    pub enum LessonKind {
        /// The record of an ended task, written by the service.
        Digest => "digest",
        /// What worked.
        Approach => "approach",
        /// What to avoid.
        Pitfall => "pitfall",
        /// What was decided, and why.
        Decision => "decision",
        /// How something is done.
        Howto => "howto",
        /// What something costs or how long it takes.
        Estimate => "estimate",
    }
}

words! {
    /// State of a lesson.
    pub enum LessonState {
        /// Its source is verified, or a person confirmed it.
        Active => "active",
        /// Its source is not verified.
        Candidate => "candidate",
        /// Kept away from agents until a person decides: it holds orders, or agents found it harmful.
        Quarantined => "quarantined",
        /// A person put it away.
        Archived => "archived",
        /// Another lesson replaced it.
        Superseded => "superseded",
    }
}

words! {
    /// Who wrote the first version of a lesson.
    pub enum Origin {
        /// The service, about an ended task.
        Capture => "capture",
        /// An agent, with the end of an attempt.
        Agent => "agent",
        /// A person or script with a key.
        Person => "person",
        /// An import.
        Import => "import",
    }
}

words! {
    /// How far the sources of a lesson are verified: the least of all of them.
    pub enum Trust {
        /// Its agent says so.
        Unverified => "unverified",
        /// A machine checked the evidence of its source.
        Checked => "checked",
        /// Another agent reviewed its source.
        Reviewed => "reviewed",
        /// A person wrote, accepted or confirmed it.
        Person => "person",
    }
}

words! {
    /// How the source task of a lesson ended.
    pub enum Outcome {
        /// Its result was accepted.
        Done => "done",
        /// It failed for good.
        Failed => "failed",
        /// It was cancelled.
        Cancelled => "cancelled",
    }
}

words! {
    /// What an agent says of a lesson that it was given.
    pub enum LessonVerdict {
        /// It helped.
        Helpful => "helpful",
        /// It misled.
        Harmful => "harmful",
        /// It is about something else.
        Irrelevant => "irrelevant",
        /// It was not needed.
        Unused => "unused",
    }
}
