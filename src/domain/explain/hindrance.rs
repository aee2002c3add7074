//! What keeps an agent from a task, in one word.

use crate::domain::words::words;

words! {
    /// What keeps an agent from a task, from what passes soonest to what takes most. `full`: it runs as many attempts
    /// as it may. `rate_limited`: its provider limits its rate. `quota`: a quota window of its account is nearly used
    /// up, or has too little left. `budget`: its own budget has too little left. `frozen`: a freeze covers it.
    /// `draining` and `paused`: an operator set it so. `offline`: it was not heard of for ten minutes. `no_key`: all
    /// its keys are revoked or expired. `kept`: the task is kept for another agent. `barred`: the task was taken from
    /// it. `lacks_capability`: the task requires a capability that it lacks.
    pub enum AgentHindrance {
        /// It runs as many attempts as it may.
        Full => "full",
        /// Its provider limits its rate.
        RateLimited => "rate_limited",
        /// A quota window of its account has too little left.
        Quota => "quota",
        /// Its own budget has too little left.
        Budget => "budget",
        /// A freeze covers it.
        Frozen => "frozen",
        /// It is draining.
        Draining => "draining",
        /// It is paused.
        Paused => "paused",
        /// It was not heard of for ten minutes.
        Offline => "offline",
        /// All its keys are revoked or expired.
        NoKey => "no_key",
        /// The task is kept for another agent.
        Kept => "kept",
        /// The task was taken from it.
        Barred => "barred",
        /// It lacks a capability.
        LacksCapability => "lacks_capability",
    }
}
