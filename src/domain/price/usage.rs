//! Token usage of one model call, as reported and as charged.
//!
//! Providers count differently: OpenAI and OpenTelemetry include cached tokens in the input tokens,
//! Anthropic does not. An agent sends the usage object unchanged and names its convention; here it
//! becomes [`Tokens`], whose parts never overlap. A missing, malformed or impossible count is
//! refused with its place. Unknown keys are ignored, since providers add keys; an omitted cache or
//! reasoning count is zero.
//!
//! Sources of the names:
//! - OpenTelemetry: <https://github.com/open-telemetry/semantic-conventions-genai>, attributes
//!   `gen_ai.usage.*`. The conventions are still in development: cache writes are `cache_creation`
//!   in some versions and `cache_write` in others, and input and output were once `prompt_tokens`
//!   and `completion_tokens`. Either name is read.
//! - OpenAI: `usage` of Chat Completions and of Responses.
//! - Anthropic: `usage` of Messages.

use chrono::{DateTime, Datelike as _, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::{
    check::{Checks, pointer},
    refusal::Refusal,
    settings,
    words::words,
};

/// Most keys of a usage object.
const KEYS: usize = 100;
/// Largest usage object, as text, in bytes.
const BYTES: usize = 8 * 1024;

words! {
    /// Counting convention of a usage object.
    pub enum Convention {
        /// OpenTelemetry attribute names, `gen_ai.usage.input_tokens` and so on. Input includes
        /// cache reads and writes, output includes reasoning.
        Otel => "otel",
        /// OpenAI's `usage`, of Chat Completions or of Responses. Input includes cache reads and
        /// writes, output includes reasoning.
        Openai => "openai",
        /// Anthropic's `usage`. Input excludes cache reads and writes.
        Anthropic => "anthropic",
    }
}

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
    /// Time of the call, which selects the price. Default: time of the report.
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
        let mut reader = Reader { checks: &mut checks, map: &self.tokens, at: &place };
        let tokens = match self.convention {
            Convention::Otel => otel(&mut reader),
            Convention::Openai => openai(&mut reader),
            Convention::Anthropic => anthropic(&mut reader),
        };
        let most = settings::AMOUNT_MAX;
        let good = tokens.input_total() <= most && tokens.output_total() <= most;
        checks.ensure(good, &place, format!("counts more than {most} tokens together"));
        checks.finish()?;
        Ok(tokens)
    }
}

/// Reads the counts of one object and reports faults.
struct Reader<'a> {
    checks: &'a mut Checks,
    map: &'a Map<String, Value>,
    at: &'a str,
}

impl Reader<'_> {
    /// A count; `None` if omitted or null.
    fn count(&mut self, key: &str) -> Option<i64> {
        let value = self.map.get(key).filter(|value| !value.is_null())?;
        let count = value.as_i64().filter(|count| (0..=settings::AMOUNT_MAX).contains(count));
        if count.is_none() {
            let most = settings::AMOUNT_MAX;
            self.note(key, format!("must be a whole number from 0 to {most}"));
        }
        // The fault is reported; reading on with zero finds further faults.
        Some(count.unwrap_or(0))
    }

    /// A count under either of two names.
    fn either(&mut self, key: &str, other: &str) -> Option<i64> {
        match (self.count(key), self.count(other)) {
            (Some(one), Some(two)) if one != two => {
                self.note(other, format!("is {two}, but its synonym `{key}` is {one}"));
                Some(one)
            }
            (one, two) => one.or(two),
        }
    }

    /// The object under a key; `None` if omitted or null.
    fn inside<T>(&mut self, key: &str, read: impl FnOnce(&mut Reader<'_>) -> T) -> Option<T> {
        match self.map.get(key)? {
            Value::Null => None,
            Value::Object(map) => {
                let at = pointer(self.at, key);
                Some(read(&mut Reader { checks: &mut *self.checks, map, at: &at }))
            }
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                self.note(key, "must be an object");
                None
            }
        }
    }

    /// `whole - parts`, never below zero; reports parts that exceed the whole.
    fn rest(&mut self, whole: i64, parts: i64, names: &str) -> i64 {
        if parts > whole {
            let detail = format!("{names}: the parts are {parts}, and the whole is {whole}");
            self.checks.add(self.at, detail);
        }
        (whole - parts).max(0)
    }

    fn required(&mut self, count: Option<i64>, key: &str) -> i64 {
        if count.is_none() {
            self.note(key, "is missing");
        }
        count.unwrap_or(0)
    }

    fn note(&mut self, key: &str, detail: impl Into<String>) {
        self.checks.add(pointer(self.at, key), detail);
    }
}

fn otel(reader: &mut Reader<'_>) -> Tokens {
    const INPUT: &str = "gen_ai.usage.input_tokens";
    const OUTPUT: &str = "gen_ai.usage.output_tokens";
    const READ: &str = "gen_ai.usage.cache_read.input_tokens";
    const WRITE: &str = "gen_ai.usage.cache_write.input_tokens";
    const CREATION: &str = "gen_ai.usage.cache_creation.input_tokens";
    const REASONING: &str = "gen_ai.usage.reasoning.output_tokens";
    let input = reader.either(INPUT, "gen_ai.usage.prompt_tokens");
    let input = reader.required(input, INPUT);
    let output = reader.either(OUTPUT, "gen_ai.usage.completion_tokens");
    let output = reader.required(output, OUTPUT);
    let cache_read = reader.count(READ).unwrap_or(0);
    let cache_write = reader.either(WRITE, CREATION).unwrap_or(0);
    let reasoning = reader.count(REASONING).unwrap_or(0);
    parts(reader, Tokens { input, cache_read, cache_write, output, reasoning, ..Tokens::default() })
}

/// Splits totals of input and output that include cache use and reasoning.
fn parts(reader: &mut Reader<'_>, totals: Tokens) -> Tokens {
    let cached = totals.cache_read + totals.cache_write;
    let input = reader.rest(totals.input, cached, "cached and all input tokens");
    let output = reader.rest(totals.output, totals.reasoning, "reasoning and all output tokens");
    Tokens { input, output, ..totals }
}

fn openai(reader: &mut Reader<'_>) -> Tokens {
    let input = reader.either("prompt_tokens", "input_tokens");
    let input = reader.required(input, "prompt_tokens");
    let total = reader.count("total_tokens");
    // Embeddings have no output and omit its key; the total shows it.
    let output = reader.either("completion_tokens", "output_tokens");
    let output = output.or(total.map(|total| (total - input).max(0)));
    let output = reader.required(output, "completion_tokens");
    let cached = |details: &mut Reader<'_>| {
        let read = details.count("cached_tokens").unwrap_or(0);
        (read, details.count("cache_write_tokens").unwrap_or(0))
    };
    let chat = reader.inside("prompt_tokens_details", cached);
    let responses = reader.inside("input_tokens_details", cached);
    let (cache_read, cache_write) = chat.or(responses).unwrap_or((0, 0));
    let reasoned = |details: &mut Reader<'_>| details.count("reasoning_tokens").unwrap_or(0);
    let chat = reader.inside("completion_tokens_details", reasoned);
    let responses = reader.inside("output_tokens_details", reasoned);
    let reasoning = chat.or(responses).unwrap_or(0);
    if total.is_some_and(|total| total < input + output) {
        reader.note("total_tokens", "is less than input and output together");
    }
    // Some providers with this convention exclude reasoning from the output; their total shows it.
    let excluded = reasoning > 0 && total == Some(input + output + reasoning);
    let output = if excluded { output + reasoning } else { output };
    parts(reader, Tokens { input, cache_read, cache_write, output, reasoning, ..Tokens::default() })
}

fn anthropic(reader: &mut Reader<'_>) -> Tokens {
    let input = reader.count("input_tokens");
    let input = reader.required(input, "input_tokens");
    let output = reader.count("output_tokens");
    let output = reader.required(output, "output_tokens");
    let split = reader.inside("cache_creation", |split| {
        let short = split.count("ephemeral_5m_input_tokens").unwrap_or(0);
        (short, split.count("ephemeral_1h_input_tokens").unwrap_or(0))
    });
    let (short, long) = split.unwrap_or((0, 0));
    let written = reader.count("cache_creation_input_tokens").unwrap_or(short + long);
    let untold = reader.rest(written, short + long, "`cache_creation` and all tokens written");
    Tokens {
        input,
        cache_read: reader.count("cache_read_input_tokens").unwrap_or(0),
        cache_write: short + untold,
        cache_write_1h: long,
        output,
        reasoning: 0,
    }
}
