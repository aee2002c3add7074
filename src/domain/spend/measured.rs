//! What finished tasks used: the one measure that plans, progress and prompts go by.
//!
//! It is learnt behind the commits from the latest done tasks. A task counts with all of its attempts.

use serde::{Deserialize, Serialize};

use crate::domain::words::words;

/// The fewest tasks that say what the next one will use. The durations of a set of capabilities are learnt from
/// one task on: a forecast of what is left of a goal, which is computed anew all the time, takes the first it gets.
pub const ENOUGH_TASKS: i32 = 3;

words! {
    /// The tasks whose use is measured: all of the `workspace`, those that require exactly a `set` of
    /// capabilities, or those that require one `capability`.
    pub enum MeasuredOf {
        /// All tasks.
        Workspace => "workspace",
        /// Those that require exactly these capabilities.
        Set => "set",
        /// Those that require this one, alone or with others.
        Capability => "capability",
    }
}

/// The spread of what finished tasks used of one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Quantiles {
    /// One task in ten used at most this.
    pub p10: i64,
    /// Half of the tasks used at most this.
    pub p50: i64,
    /// Nine tasks in ten used at most this.
    pub p90: i64,
    /// Number of tasks in the computation.
    pub tasks: i64,
}
