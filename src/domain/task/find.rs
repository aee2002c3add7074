//! Finding tasks: the order of a list, the place in it, and the search in their texts.

use serde::{Deserialize, Serialize};

use crate::domain::{ids::TaskId, words::words};

words! {
    /// Order of a list of tasks. A minus: the largest first. Tasks that are equal are in the order of their
    /// creation, with a minus newest first.
    pub enum TaskSort {
        /// Oldest first.
        CreatedAt => "created_at",
        /// Newest first.
        NewestFirst => "-created_at",
        /// Lowest priority first.
        Priority => "priority",
        /// Highest priority first.
        HighestFirst => "-priority",
        /// In the order of the plan; only of one goal.
        Position => "position",
        /// Longest without a change of state first; only of one goal.
        UpdatedAt => "updated_at",
        /// Latest change of state first; only of one goal.
        LatestFirst => "-updated_at",
    }
}

impl TaskSort {
    /// The order of a list that names none.
    #[must_use]
    pub const fn usual(of_one_goal: bool) -> Self {
        if of_one_goal { Self::Position } else { Self::NewestFirst }
    }

    /// Whether the largest come first.
    #[must_use]
    pub const fn descends(self) -> bool {
        match self {
            Self::NewestFirst | Self::HighestFirst | Self::LatestFirst => true,
            Self::CreatedAt | Self::Priority | Self::Position | Self::UpdatedAt => false,
        }
    }

    /// Whether it exists only within a goal: no index has all tasks of a workspace in this order.
    #[must_use]
    pub const fn needs_goal(self) -> bool {
        match self {
            Self::Position | Self::UpdatedAt | Self::LatestFirst => true,
            Self::CreatedAt | Self::NewestFirst | Self::Priority | Self::HighestFirst => false,
        }
    }
}

/// A place in a list of tasks. It belongs to one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskPlace {
    /// The order.
    pub sort: TaskSort,
    /// What the task is sorted by before its id: a priority, a position or microseconds; 0 if by the id alone.
    pub key: i64,
    /// The task.
    pub id: TaskId,
}

/// A text to search for, without regard to case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needle(String);

impl Needle {
    /// The text between its outer spaces; `None` if there is nothing else.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(text.to_lowercase()))
    }

    /// Whether the title or the description has the text.
    #[must_use]
    pub fn is_in(&self, title: &str, description: &str) -> bool {
        [title, description].iter().any(|text| text.to_lowercase().contains(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::words::Words as _;

    #[test]
    fn an_order_and_its_reverse_are_of_the_same_lists() {
        for sort in TaskSort::ALL {
            assert_eq!(sort.descends(), sort.as_str().starts_with('-'));
            let name = |sort: &TaskSort| sort.as_str().trim_start_matches('-');
            for other in TaskSort::ALL.iter().filter(|other| name(other) == name(sort)) {
                assert_eq!(sort.needs_goal(), other.needs_goal());
            }
        }
        assert!(!TaskSort::usual(false).needs_goal());
    }

    proptest! {
        #[test]
        fn a_part_of_a_text_is_found_in_any_case(
            before in "[a-zäöé ]{0,9}", part in "[a-zäöé]{1,9}", after in "[a-zäöé ]{0,9}",
        ) {
            let text = format!("{before}{part}{after}");
            for spelling in [part.clone(), part.to_uppercase(), format!(" {part}\t")] {
                let needle = Needle::of(&spelling).unwrap();
                prop_assert!(needle.is_in(&text, "") && needle.is_in("", &text.to_uppercase()));
                prop_assert!(!needle.is_in("0", "1"));
            }
        }
    }

    #[test]
    fn nothing_is_no_text() {
        assert_eq!(Needle::of(" \t"), None);
    }
}
