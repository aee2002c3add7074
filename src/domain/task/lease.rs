//! The lease of a new attempt.

use std::time::Duration;

use crate::domain::settings;

/// Where the duration of a lease comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeaseTerms {
    /// What the claim asked for.
    pub asked: Option<Duration>,
    /// What the task says.
    pub of_task: Option<Duration>,
    /// The longest lease of the workspace.
    pub longest: Option<Duration>,
}

impl LeaseTerms {
    /// The duration: of the claim, else of the task, else the default; never more than the longest. Longer ones are
    /// cut and not refused, so a workspace can set the cap while agents run; the claim tells them what they got.
    #[must_use]
    pub fn duration(self) -> Duration {
        let wanted = self.asked.or(self.of_task).unwrap_or(settings::LEASE);
        self.longest.map_or(wanted, |longest| wanted.min(longest))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spans() -> impl Strategy<Value = Option<Duration>> {
        proptest::option::of((1..100_000u64).prop_map(Duration::from_secs))
    }

    proptest! {
        #[test]
        fn no_lease_is_longer_than_the_workspace_allows(
            asked in spans(), of_task in spans(), longest in spans(),
        ) {
            let lease = LeaseTerms { asked, of_task, longest }.duration();
            let free = LeaseTerms { asked, of_task, longest: None }.duration();
            prop_assert_eq!(free, asked.or(of_task).unwrap_or(settings::LEASE));
            prop_assert_eq!(lease, longest.map_or(free, |longest| longest.min(free)));
        }
    }
}
