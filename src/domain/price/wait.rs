//! A task's wait for the price of a model.
//!
//! A budget may refuse models without a price. Their tokens are counted all the same, but they would
//! cost nothing and so pass every limit of money. Therefore a task that used such a model goes on only
//! when a price holds, and what it used before is rated then.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A model whose price a task waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PriceWait {
    /// The called provider, as the agent reported it; `null`: it stated none.
    #[schema(example = "openai")]
    pub provider: Option<String>,
    /// Name of the model, as the agent reported it.
    #[schema(example = "gpt-6-preview")]
    pub model: String,
    /// When its tokens were first reported.
    pub since: DateTime<Utc>,
}

/// A model that [`choose`](super::choose) finds no price for, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// The called provider; `None`: none was stated.
    pub provider: Option<String>,
    /// Name of the model.
    pub model: String,
    /// The providers whose prices differ; empty: none has one.
    pub disagreeing: Vec<String>,
}

/// Most providers that a sentence names.
const NAMED: usize = 3;

impl Lack {
    /// The providers that disagree, for people: `a, b, c and 4 others`; `None` if there are none.
    #[must_use]
    pub fn sellers(&self) -> Option<String> {
        let named = self.disagreeing.get(..NAMED).unwrap_or(&self.disagreeing).join(", ");
        match self.disagreeing.len().saturating_sub(NAMED) {
            _ if named.is_empty() => None,
            0 => Some(named),
            1 => Some(format!("{named} and 1 other")),
            more => Some(format!("{named} and {more} others")),
        }
    }
}

/// Why the task of an attempt waits, for its holder.
#[must_use]
pub fn reason(lacks: &[Lack]) -> String {
    let unpriced = lacks.iter().filter(|lack| lack.disagreeing.is_empty());
    let unpriced: Vec<_> =
        unpriced.map(|lack| named(lack.provider.as_deref(), &lack.model)).collect();
    let none = match unpriced.len() {
        0 => None,
        1 => Some(format!("{} has none", unpriced.join(", "))),
        _ => Some(format!("{} have none", unpriced.join(", "))),
    };
    let differ = lacks.iter().filter_map(|lack| {
        let (model, sellers) = (&lack.model, lack.sellers()?);
        Some(format!("no provider was stated for {model}, whose prices differ ({sellers})"))
    });
    let causes: Vec<String> = none.into_iter().chain(differ).collect();
    format!(
        "the budget refuses models without a price, and {}: send a checkpoint and release. The task \
         waits until an operator adds the price.",
        causes.join(", and ")
    )
}

/// A model for people: `openai/gpt-6-preview`, or its name alone if no provider was stated.
#[must_use]
pub fn named(provider: Option<&str>, model: &str) -> String {
    provider.map_or_else(|| model.to_owned(), |provider| format!("{provider}/{model}"))
}
