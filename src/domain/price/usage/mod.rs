//! Token usage of one model call, as reported and as charged.
//!
//! Providers count differently: OpenAI and OpenTelemetry include cached tokens in the input tokens,
//! Anthropic does not. An agent sends the usage object unchanged and names its convention
//! ([`Convention`]); here it becomes [`Tokens`], whose parts never overlap.
//!
//! Guarantees: a missing, malformed or impossible count is refused with its place. An omitted cache or
//! reasoning count is zero. Providers add keys, so an unknown key is no fault, but a number under it may
//! be money: [`Usage::unread`] lists every number that no count was made from.

mod convention;
mod reader;

use chrono::{DateTime, Datelike as _, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::{
    check::{Checks, pointer},
    refusal::Refusal,
    settings,
};
use reader::Reader;

pub use convention::Convention;

/// Most keys of a usage object.
const KEYS: usize = 100;
/// Largest usage object, as text, in bytes.
const BYTES: usize = 8 * 1024;
/// Most that a caller's clock may be ahead of the database's.
const AHEAD: TimeDelta = TimeDelta::seconds(60);

/// Token usage of one model call, as its provider counted it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "provider": "openai", "model": "gpt-4o-2024-08-06", "convention": "openai",
    "tokens": {
        "prompt_tokens": 4100, "completion_tokens": 320, "total_tokens": 4420,
        "prompt_tokens_details": {"cached_tokens": 3072}
    }
}))]
pub struct Usage {
    /// Provider that was called and sends the bill: OpenTelemetry's `gen_ai.provider.name`.
    /// Default: derived from the model name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "openai", min_length = 1, max_length = 100)]
    pub provider: Option<String>,
    /// Model that answered: OpenTelemetry's `gen_ai.response.model`.
    #[schema(example = "gpt-4o-2024-08-06", min_length = 1, max_length = 200)]
    pub model: String,
    /// Counting convention of `tokens`: whose usage object it is.
    pub convention: Convention,
    /// The provider's usage object, unchanged.
    #[schema(value_type = Object)]
    pub tokens: Map<String, Value>,
    /// Time of the call, which selects the price; not in the future, apart from a minute by which
    /// clocks may differ. Default: time of the report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<DateTime<Utc>>,
}

/// Tokens of one call in parts that do not overlap, each at least zero.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
pub struct Tokens {
    /// Input without cache reads and writes.
    pub input: i64,
    /// Input tokens read from a cache.
    pub cache_read: i64,
    /// Input tokens written to a cache for five minutes or an unknown time.
    pub cache_write: i64,
    /// Input tokens written to a cache for an hour.
    pub cache_write_1h: i64,
    /// Output tokens without reasoning.
    pub output: i64,
    /// Reasoning tokens, where reported separately.
    pub reasoning: i64,
}

impl Tokens {
    /// All input, cached or not.
    #[must_use]
    pub fn input_total(&self) -> i64 {
        self.input
            .saturating_add(self.cache_read)
            .saturating_add(self.cache_write)
            .saturating_add(self.cache_write_1h)
    }

    /// All output, reasoning included.
    #[must_use]
    pub fn output_total(&self) -> i64 {
        self.output.saturating_add(self.reasoning)
    }

    /// Size of the prompt, which selects the tier of a price: all input.
    #[must_use]
    pub fn prompt(&self) -> i64 {
        self.input_total()
    }
}

impl Usage {
    /// The tokens, when the usage is the whole request body.
    ///
    /// # Errors
    /// `invalid`, with every fault.
    pub fn tokens(&self) -> Result<Tokens, Refusal> {
        self.tokens_at("")
    }

    /// The tokens; on faults reports all of them to `checks` and returns `None`.
    pub fn read(&self, checks: &mut Checks, at: &str) -> Option<Tokens> {
        match self.tokens_at(at) {
            Ok(tokens) => Some(tokens),
            Err(refusal) => {
                for error in refusal.errors {
                    checks.add(error.pointer, error.detail);
                }
                None
            }
        }
    }

    /// JSON Pointers, within the usage, of the numbers other than zero that no count was made from:
    /// they cost nothing here, and may cost something at the provider.
    #[must_use]
    pub fn unread(&self) -> Vec<String> {
        let mut checks = Checks::new();
        let mut reader = Reader::new(&mut checks, &self.tokens, "/tokens");
        self.convention.tokens(&mut reader);
        reader.unread()
    }

    /// Reports a time of the call that lies in the future: it would select a price that does not
    /// hold yet.
    pub fn check_time(&self, checks: &mut Checks, at: &str, now: DateTime<Utc>) {
        let Some(called) = self.at else { return };
        let detail = format!("is in the future; the service's clock says {}", now.to_rfc3339());
        checks.ensure(called <= now + AHEAD, &pointer(at, "at"), detail);
    }

    fn tokens_at(&self, at: &str) -> Result<Tokens, Refusal> {
        let mut checks = Checks::new();
        if let Some(provider) = &self.provider {
            checks.line(&pointer(at, "provider"), provider, 100);
        }
        checks.line(&pointer(at, "model"), &self.model, 200);
        if let Some(instant) = self.at {
            checks.range(&pointer(at, "at"), instant.year(), 2000..=2999);
        }
        let place = pointer(at, "tokens");
        checks.count(&place, self.tokens.len(), KEYS);
        let text = serde_json::to_string(&self.tokens).unwrap_or_default();
        checks.bytes(&place, &text, BYTES);
        let tokens = self.convention.tokens(&mut Reader::new(&mut checks, &self.tokens, &place));
        let most = settings::AMOUNT_MAX;
        let good = tokens.input_total() <= most && tokens.output_total() <= most;
        checks.ensure(good, &place, format!("counts more than {most} tokens together"));
        checks.finish()?;
        Ok(tokens)
    }
}
