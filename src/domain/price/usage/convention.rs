//! The counting conventions: where each one has its counts, and which counts include which.
//!
//! Sources of the names:
//! - OpenTelemetry: <https://github.com/open-telemetry/semantic-conventions-genai>, attributes
//!   `gen_ai.usage.*`. The conventions are still in development: cache writes are `cache_creation`
//!   in some versions and `cache_write` in others, and input and output were once `prompt_tokens`
//!   and `completion_tokens`. Either name is read, and so are the names that instrumentations use
//!   instead: `cache_read_input_tokens`, `cache_creation_input_tokens`, `reasoning_tokens`.
//! - OpenAI: `usage` of Chat Completions and of Responses, with the keys that compatible providers
//!   and adapters add: LiteLLM (`cache_creation_tokens` and Anthropic's keys beside OpenAI's),
//!   DeepSeek (`prompt_cache_hit_tokens`), Moonshot and Together (`cached_tokens` at the top).
//! - Anthropic: `usage` of Messages.
//! - Gemini: `usageMetadata` of `generateContent`, in camel case or in the snake case of its SDKs.
//! - Bedrock: `usage` of Converse.

use serde_json::Value;

use super::{
    Tokens,
    reader::{Names, Reader},
};
use crate::domain::words::words;

words! {
    /// Counting convention of a usage object.
    pub enum Convention {
        /// OpenTelemetry attribute names, `gen_ai.usage.input_tokens` and so on. Input includes
        /// cache reads and writes, output includes reasoning.
        Otel => "otel",
        /// OpenAI's `usage`, of Chat Completions or of Responses, also as LiteLLM and compatible
        /// providers send it. Input includes cache reads and writes, output includes reasoning.
        Openai => "openai",
        /// Anthropic's `usage`. Input excludes cache reads and writes.
        Anthropic => "anthropic",
        /// Gemini's `usageMetadata`. Input includes cache reads, output excludes thoughts.
        Gemini => "gemini",
        /// `usage` of Bedrock's Converse, in camel case. Input excludes cache reads and writes.
        Bedrock => "bedrock",
    }
}

impl Convention {
    /// Reads the counts; faults go to the reader.
    pub(super) fn tokens(self, reader: &mut Reader<'_>) -> Tokens {
        match self {
            Self::Otel => otel(reader),
            Self::Openai => openai(reader),
            Self::Anthropic => anthropic(reader),
            Self::Gemini => gemini(reader),
            Self::Bedrock => bedrock(reader),
        }
    }
}

/// Splits totals of input and output that include cache use and reasoning.
fn parts(reader: &mut Reader<'_>, totals: Tokens) -> Tokens {
    let cached = totals.cache_read + totals.cache_write + totals.cache_write_1h;
    let input = reader.rest(totals.input, cached, "cached and all input tokens");
    let output = reader.rest(totals.output, totals.reasoning, "reasoning and all output tokens");
    Tokens { input, output, ..totals }
}

/// Tokens written to a cache: those for five minutes or an unknown time, and those for an hour.
fn written(reader: &mut Reader<'_>, total: Names, short: Names, long: Names) -> (i64, i64) {
    let (short, long) = (reader.count(short).unwrap_or(0), reader.count(long).unwrap_or(0));
    let total = reader.count(total).unwrap_or(short + long);
    let untold = reader.rest(total, short + long, "tokens written by duration and in all");
    (short + untold, long)
}

fn otel(reader: &mut Reader<'_>) -> Tokens {
    const INPUT: Names = &["/gen_ai.usage.input_tokens", "/gen_ai.usage.prompt_tokens"];
    const OUTPUT: Names = &["/gen_ai.usage.output_tokens", "/gen_ai.usage.completion_tokens"];
    const READ: Names =
        &["/gen_ai.usage.cache_read.input_tokens", "/gen_ai.usage.cache_read_input_tokens"];
    const WRITE: Names = &[
        "/gen_ai.usage.cache_write.input_tokens",
        "/gen_ai.usage.cache_creation.input_tokens",
        "/gen_ai.usage.cache_creation_input_tokens",
        "/gen_ai.usage.cache_write_input_tokens",
    ];
    const REASONING: Names =
        &["/gen_ai.usage.reasoning.output_tokens", "/gen_ai.usage.reasoning_tokens"];
    let totals = Tokens {
        input: reader.required(INPUT),
        output: reader.required(OUTPUT),
        cache_read: reader.count(READ).unwrap_or(0),
        cache_write: reader.count(WRITE).unwrap_or(0),
        cache_write_1h: 0,
        reasoning: reader.count(REASONING).unwrap_or(0),
    };
    parts(reader, totals)
}

fn openai(reader: &mut Reader<'_>) -> Tokens {
    const INPUT: Names = &["/prompt_tokens", "/input_tokens"];
    const OUTPUT: Names = &["/completion_tokens", "/output_tokens"];
    const TOTAL: Names = &["/total_tokens"];
    const READ: Names = &[
        "/prompt_tokens_details/cached_tokens",
        "/input_tokens_details/cached_tokens",
        "/cached_tokens",
        "/num_cached_tokens",
        "/prompt_cache_hit_tokens",
        "/cache_read_input_tokens",
    ];
    const MISSED: Names = &["/prompt_cache_miss_tokens"];
    const WRITE: Names = &[
        "/prompt_tokens_details/cache_write_tokens",
        "/prompt_tokens_details/cache_creation_tokens",
        "/input_tokens_details/cache_write_tokens",
        "/input_tokens_details/cache_creation_tokens",
        "/cache_creation_input_tokens",
    ];
    const SHORT: Names = &[
        "/prompt_tokens_details/cache_creation_token_details/ephemeral_5m_input_tokens",
        "/cache_creation/ephemeral_5m_input_tokens",
    ];
    const LONG: Names = &[
        "/prompt_tokens_details/cache_creation_token_details/ephemeral_1h_input_tokens",
        "/cache_creation/ephemeral_1h_input_tokens",
    ];
    const REASONING: Names =
        &["/completion_tokens_details/reasoning_tokens", "/output_tokens_details/reasoning_tokens"];
    const PARTS: Names = &[
        "/prompt_tokens_details/text_tokens",
        "/input_tokens_details/text_tokens",
        "/completion_tokens_details/text_tokens",
        "/output_tokens_details/text_tokens",
        "/completion_tokens_details/accepted_prediction_tokens",
        "/completion_tokens_details/rejected_prediction_tokens",
    ];
    reader.known(PARTS);
    let input = reader.required(INPUT);
    let total = reader.count(TOTAL);
    // Embeddings have no output and omit its key; the total shows it.
    let output = reader.count(OUTPUT).or(total.map(|total| (total - input).max(0)));
    let output = reader.present(output, OUTPUT);
    let missed = reader.count(MISSED);
    let cache_read = reader.count(READ);
    // DeepSeek splits the prompt in hits and misses; either tells the other. Zero hits yield to misses,
    // as to a synonym.
    let told = missed.filter(|missed| *missed > 0 || cache_read.is_none());
    let told = told.map(|missed| (input - missed).max(0));
    let cache_read = cache_read.filter(|hits| *hits > 0).or(told).unwrap_or(0);
    if let Some(missed) = missed {
        reader.rest(
            input,
            cache_read + missed,
            "hits and misses of the cache and all input tokens",
        );
    }
    let (cache_write, cache_write_1h) = written(reader, WRITE, SHORT, LONG);
    let reasoning = reader.count(REASONING).unwrap_or(0);
    if total.is_some_and(|total| total < input + output) {
        reader.fault("/total_tokens", "is less than input and output together");
    }
    // Some providers with this convention exclude reasoning from the output; their total shows it.
    let excluded = reasoning > 0 && total == Some(input + output + reasoning);
    let output = if excluded { output + reasoning } else { output };
    parts(reader, Tokens { input, cache_read, cache_write, cache_write_1h, output, reasoning })
}

fn anthropic(reader: &mut Reader<'_>) -> Tokens {
    const INPUT: Names = &["/input_tokens"];
    const OUTPUT: Names = &["/output_tokens"];
    const READ: Names = &["/cache_read_input_tokens"];
    const WRITE: Names = &["/cache_creation_input_tokens"];
    const SHORT: Names = &["/cache_creation/ephemeral_5m_input_tokens"];
    const LONG: Names = &["/cache_creation/ephemeral_1h_input_tokens"];
    let (input, output) = (reader.required(INPUT), reader.required(OUTPUT));
    let (cache_write, cache_write_1h) = written(reader, WRITE, SHORT, LONG);
    let cache_read = reader.count(READ).unwrap_or(0);
    Tokens { input, cache_read, cache_write, cache_write_1h, output, reasoning: 0 }
}

fn gemini(reader: &mut Reader<'_>) -> Tokens {
    const INPUT: Names = &["/promptTokenCount", "/prompt_token_count"];
    const TOOLS: Names = &["/toolUsePromptTokenCount", "/tool_use_prompt_token_count"];
    const READ: Names = &["/cachedContentTokenCount", "/cached_content_token_count"];
    const OUTPUT: Names = &[
        "/candidatesTokenCount",
        "/candidates_token_count",
        "/responseTokenCount",
        "/response_token_count",
    ];
    const THOUGHTS: Names = &["/thoughtsTokenCount", "/thoughts_token_count"];
    const TOTAL: Names = &["/totalTokenCount", "/total_token_count"];
    let prompt = reader.required(INPUT);
    let tools = reader.count(TOOLS).unwrap_or(0);
    let cache_read = reader.count(READ).unwrap_or(0);
    let reasoning = reader.count(THOUGHTS).unwrap_or(0);
    let total = reader.count(TOTAL);
    let input = prompt + tools;
    // An answer without candidates omits their count; the total shows it.
    let output = reader.count(OUTPUT).or(total.map(|all| (all - input - reasoning).max(0)));
    let output = reader.present(output, OUTPUT);
    // Some models include thoughts in the candidates; the total shows it.
    let included = output >= reasoning && total == Some(input + output);
    let output = if included { output - reasoning } else { output };
    if total.is_some_and(|total| total < input + output + reasoning) {
        reader.fault(TOTAL[0], "is less than prompt, candidates and thoughts together");
    }
    know_text(reader);
    let fresh = reader.rest(prompt, cache_read, "cached and all prompt tokens");
    Tokens { input: fresh + tools, cache_read, output, reasoning, ..Tokens::default() }
}

/// Marks the lists by modality as known where they tell text; other modalities are charged as text,
/// which the reporter should hear.
fn know_text(reader: &mut Reader<'_>) {
    const LISTS: Names = &[
        "/promptTokensDetails",
        "/prompt_tokens_details",
        "/cacheTokensDetails",
        "/cache_tokens_details",
        "/candidatesTokensDetails",
        "/candidates_tokens_details",
        "/responseTokensDetails",
        "/response_tokens_details",
        "/toolUsePromptTokensDetails",
        "/tool_use_prompt_tokens_details",
    ];
    let items: Vec<_> = LISTS.iter().flat_map(|list| reader.items(list)).collect();
    for (name, item) in items {
        if item.get("modality").and_then(Value::as_str) == Some("TEXT") {
            reader.know(format!("{name}/tokenCount"));
            reader.know(format!("{name}/token_count"));
        }
    }
}

fn bedrock(reader: &mut Reader<'_>) -> Tokens {
    const INPUT: Names = &["/inputTokens"];
    const OUTPUT: Names = &["/outputTokens"];
    const TOTAL: Names = &["/totalTokens"];
    const READ: Names = &["/cacheReadInputTokens", "/cacheReadInputTokenCount"];
    const WRITE: Names = &["/cacheWriteInputTokens", "/cacheWriteInputTokenCount"];
    let (input, output) = (reader.required(INPUT), reader.required(OUTPUT));
    if reader.count(TOTAL).is_some_and(|total| total < input + output) {
        reader.fault(TOTAL[0], "is less than input and output together");
    }
    let (mut short, mut long) = (0, 0);
    for (name, item) in reader.items("/cacheDetails") {
        let count = reader.value(&format!("{name}/inputTokens"), item.get("inputTokens"));
        match item.get("ttl").and_then(Value::as_str) {
            Some("1h") => long += count.unwrap_or(0),
            Some(_) | None => short += count.unwrap_or(0),
        }
    }
    let all = reader.count(WRITE).unwrap_or(short + long);
    let untold = reader.rest(all, short + long, "`cacheDetails` and all tokens written");
    Tokens {
        input,
        cache_read: reader.count(READ).unwrap_or(0),
        cache_write: short + untold,
        cache_write_1h: long,
        output,
        reasoning: 0,
    }
}
