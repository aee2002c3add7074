//! Models: their settings, what they are asked and what they answer.

use std::{fmt, time::Duration};

use secrecy::SecretString;
use serde_json::Value;

use super::address::{self, Reach, URL_CHARS};
use crate::domain::{
    check::Checks,
    price::{Convention, Usage},
    words::words,
};

/// Longest name of a model, in characters.
pub const MODEL_CHARS: usize = 200;
/// Longest key, in bytes.
pub const KEY_BYTES: usize = 4096;
/// Most output tokens of one answer that can be set.
pub const OUTPUT_TOKENS_MOST: i32 = 1_000_000;
/// Most output tokens of one answer without a setting.
pub const OUTPUT_TOKENS: i32 = 16_000;
/// Longest time for one answer that can be set, in seconds.
pub const TIMEOUT_MOST: i32 = 3600;
/// Time for one answer, its retries included, without a setting, in seconds.
pub const TIMEOUT: i32 = 300;
/// Longest silence of a server without a setting, in seconds.
pub const SILENCE: i32 = 120;

words! {
    /// Wire format of a model server.
    pub enum ModelApi {
        /// OpenAI's Chat Completions, and servers compatible with it: `/v1/chat/completions`.
        OpenaiChat => "openai_chat",
        /// OpenAI's Responses, and servers compatible with it: `/v1/responses`.
        OpenaiResponses => "openai_responses",
        /// Anthropic's Messages: `/v1/messages`.
        Anthropic => "anthropic",
    }
}

impl ModelApi {
    /// The address without a setting.
    #[must_use]
    pub fn default_url(self) -> &'static str {
        match self {
            Self::OpenaiChat | Self::OpenaiResponses => "https://api.openai.com/v1",
            Self::Anthropic => "https://api.anthropic.com/v1",
        }
    }

    /// Last part of the path that is called.
    #[must_use]
    pub fn endpoint(self) -> &'static str {
        match self {
            Self::OpenaiChat => "chat/completions",
            Self::OpenaiResponses => "responses",
            Self::Anthropic => "messages",
        }
    }

    /// Whose usage object its answers have.
    #[must_use]
    pub fn convention(self) -> Convention {
        match self {
            Self::OpenaiChat | Self::OpenaiResponses => Convention::Openai,
            Self::Anthropic => Convention::Anthropic,
        }
    }
}

/// A model, and how it is called.
#[derive(Debug, Clone)]
pub struct ModelSettings {
    /// Wire format of the server.
    pub api: ModelApi,
    /// Address of the server: the base below which the endpoint is, or the endpoint itself.
    pub url: String,
    /// Name of the model at the server.
    pub model: String,
    /// Key of the server; `None`: it wants none.
    pub key: Option<SecretString>,
    /// Most output tokens of one answer.
    pub max_output_tokens: i32,
    /// Time for one answer, retries included.
    pub timeout: Duration,
    /// Longest time without a byte of the server.
    pub silence: Duration,
    /// Which addresses may be called.
    pub reach: Reach,
}

/// Providers of the price book by their hosts.
const PROVIDERS: &[(&str, &str)] = &[
    ("api.openai.com", "openai"),
    ("api.anthropic.com", "anthropic"),
    ("generativelanguage.googleapis.com", "google"),
    ("api.mistral.ai", "mistral"),
    ("api.groq.com", "groq"),
    ("api.deepseek.com", "deepseek"),
    ("api.x.ai", "xai"),
    ("openrouter.ai", "openrouter"),
];

impl ModelSettings {
    /// The provider that bills the calls, if the address is that of a known one.
    #[must_use]
    pub fn provider(&self) -> Option<&'static str> {
        let host = address::host(&self.url)?;
        PROVIDERS.iter().find(|(of, _)| host.eq_ignore_ascii_case(of)).map(|(_, name)| *name)
    }
}

/// Checks values of settings that have a place in a request. `None`: not stated.
pub fn check_settings(
    checks: &mut Checks,
    url: Option<(&str, Reach)>,
    model: &str,
    numbers: [Option<i32>; 3],
) {
    checks.line("/model", model, MODEL_CHARS);
    if let Some((url, reach)) = url {
        checks.chars("/url", url, URL_CHARS);
        if let Err(why) = address::check(url, reach) {
            checks.add("/url", why);
        }
    }
    let [tokens, timeout, silence] = numbers;
    if let Some(tokens) = tokens {
        checks.range("/max_output_tokens", tokens, 1..=OUTPUT_TOKENS_MOST);
    }
    for (pointer, seconds) in [("/timeout_seconds", timeout), ("/silence_seconds", silence)] {
        if let Some(seconds) = seconds {
            checks.range(pointer, seconds, 1..=TIMEOUT_MOST);
        }
    }
}

/// Who says a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// muster.
    Muster,
    /// The model.
    Model,
}

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Who says it.
    pub speaker: Speaker,
    /// What is said.
    pub text: String,
}

/// What a model is asked: instructions, and the turns so far, of which muster has the last.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversation {
    /// The instructions.
    pub instructions: String,
    /// The turns so far.
    pub turns: Vec<Turn>,
    /// JSON Schema of the answer.
    pub schema: Value,
}

/// How a server is asked for JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerForm {
    /// The server holds the answer to the schema.
    Schema,
    /// The server holds the answer to JSON.
    Json,
    /// The server holds the answer to nothing; the instructions ask for JSON.
    Text,
}

/// An answer of a model. It is charged, whether it is used or not.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelAnswer {
    /// The text.
    pub text: String,
    /// How it ended.
    pub ending: Ending,
    /// What it used; `None`: the server does not say, or not in a way that is understood.
    pub usage: Option<Usage>,
    /// How the server was asked for JSON.
    pub form: AnswerForm,
    /// Calls before it that were repeated: after 429, 5xx, or a lost connection.
    pub retries: u8,
}

/// How an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The model had said everything.
    Complete,
    /// The most output tokens, or the context of the model, were used up.
    Truncated,
    /// The model or a filter of the server refuses; with what was said of it.
    Refused(String),
}

words! {
    /// Why there is no answer.
    pub enum ErrorKind {
        /// The server allows no more calls now.
        RateLimited => "rate_limited",
        /// The account has no money or quota left.
        NoQuota => "no_quota",
        /// The server has too much to do.
        Overloaded => "overloaded",
        /// The server does not understand or accept the request.
        BadRequest => "bad_request",
        /// The server does not accept the key.
        Unauthorized => "unauthorized",
        /// There was no answer in time.
        Timeout => "timeout",
        /// The server is not reached.
        Unreachable => "unreachable",
        /// The address may not be called.
        Forbidden => "forbidden",
        /// The server leads elsewhere; it was not followed.
        Redirect => "redirect",
        /// The answer is larger than is read.
        TooLarge => "too_large",
        /// The answer is not in the wire format.
        Unreadable => "unreadable",
        /// The server failed.
        Server => "server",
    }
}

impl ErrorKind {
    /// Whether the same call may succeed a moment later.
    #[must_use]
    pub fn is_retried(self) -> bool {
        match self {
            Self::RateLimited | Self::Overloaded | Self::Unreachable | Self::Server => true,
            Self::NoQuota
            | Self::BadRequest
            | Self::Unauthorized
            | Self::Timeout
            | Self::Forbidden
            | Self::Redirect
            | Self::TooLarge
            | Self::Unreadable => false,
        }
    }
}

/// Why a model did not answer. Holds neither the key nor more than a line of what the server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelError {
    /// The kind of failure.
    pub kind: ErrorKind,
    /// For people: who was called, and what the server said.
    pub detail: String,
    /// When the server wants to be called again, from the answer on.
    pub retry_after: Option<Duration>,
    /// Calls that were repeated.
    pub retries: u8,
}

impl ModelError {
    /// A failure without a wait.
    #[must_use]
    pub fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), retry_after: None, retries: 0 }
    }
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.detail)
    }
}

impl std::error::Error for ModelError {}

/// Longest remark of others that is kept, in characters.
const REMARK_CHARS: usize = 300;

/// What somebody else said, as one short line.
#[must_use]
pub fn remark(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let mut line = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(REMARK_CHARS) {
        line.truncate(end);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_bill_comes_from_known_hosts() {
        let provider = |url: &str| {
            let settings = ModelSettings {
                api: ModelApi::OpenaiChat,
                url: url.into(),
                model: "m".into(),
                key: None,
                max_output_tokens: 1,
                timeout: Duration::ZERO,
                silence: Duration::ZERO,
                reach: Reach::Public,
            };
            settings.provider()
        };
        assert_eq!(provider("https://API.openai.com:443/v1"), Some("openai"));
        assert_eq!(provider("http://127.0.0.1:8080"), None);
        assert_eq!(provider("https://evil.example//api.openai.com/"), None);
    }

    proptest! {
        #[test]
        fn a_remark_is_one_short_line(text in any::<String>()) {
            let remark = remark(&text);
            prop_assert!(remark.chars().count() <= REMARK_CHARS + 1);
            prop_assert!(!remark.chars().any(char::is_control));
        }
    }
}
