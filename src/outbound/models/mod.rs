//! The client of language models.
//!
//! Three wire formats, one question: [`ModelClient::ask`] sends a conversation and returns the answer with
//! its usage. It calls again after 429, 5xx and lost connections, at most [`RETRIES`] times, as long as the
//! time of the question allows; a wait that the server asks for is kept, or the question ends with it.
//! Nothing else is repeated: a server that was silent too long may still be at work, and be paid for it.
//!
//! **The key** goes to the address of the settings and nowhere else: redirects are not followed, proxies of
//! the environment are not used. It is removed from everything that a server sends, in case the server
//! repeats it. Errors have one short line of what the server said, and nothing of it if the server refuses
//! the key.
//!
//! **Form of the answer.** The server is asked to hold the answer to the schema. A server that refuses this is
//! asked for JSON, and then for text; what it accepted is remembered.

mod address;
mod anthropic;
mod chat;
mod echo;
pub mod embeddings;
mod exchange;
mod fault;
mod responses;
mod retry;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use secrecy::ExposeSecret as _;
use serde_json::Value;

use crate::{
    clock::Stopwatch,
    domain::{
        planning::model::{
            AnswerForm, Conversation, ErrorKind, ModelAnswer, ModelApi, ModelError, ModelSettings,
        },
        price::Usage,
    },
};
use echo::Echo;
use exchange::{Exchange, Reply};
use retry::Waits;

/// Most calls after the first for one answer.
pub const RETRIES: u8 = 3;
/// Servers whose dialects are remembered.
const REMEMBERED: usize = 100;

/// What one server accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Dialect {
    form: AnswerForm,
    /// Whether the most output tokens are called `max_tokens`.
    old_limit: bool,
}

impl Dialect {
    const FIRST: Self = Self { form: AnswerForm::Schema, old_limit: false };

    /// What to try after a server did not accept a request because of what `said` mentions.
    fn after(self, api: ModelApi, said: &str) -> Option<Self> {
        let said = said.to_ascii_lowercase();
        if !self.old_limit && api == ModelApi::OpenaiChat && said.contains("max_completion_tokens")
        {
            return Some(Self { old_limit: true, ..self });
        }
        const FORMS: [&str; 7] = [
            "response_format",
            "json_schema",
            "json_object",
            "text.format",
            "output_config",
            "schema",
            "structured output",
        ];
        if !FORMS.iter().any(|form| said.contains(form)) {
            return None;
        }
        let form = match (self.form, api) {
            (AnswerForm::Schema, ModelApi::OpenaiChat | ModelApi::OpenaiResponses) => {
                AnswerForm::Json
            }
            (AnswerForm::Schema, ModelApi::Anthropic) | (AnswerForm::Json, _) => AnswerForm::Text,
            (AnswerForm::Text, _) => return None,
        };
        Some(Self { form, ..self })
    }
}

/// Source of numbers from 0 to 1 that spread retries.
pub type Jitter = Arc<dyn Fn() -> f64 + Send + Sync>;

/// A client of all models; cheap to clone.
#[derive(Clone)]
pub struct ModelClient {
    exchange: Exchange,
    jitter: Jitter,
    first_wait: Duration,
    dialects: Arc<Mutex<HashMap<(String, String), Dialect>>>,
}

impl fmt::Debug for ModelClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelClient").field("first_wait", &self.first_wait).finish_non_exhaustive()
    }
}

impl ModelClient {
    /// A client with the certificates of the machine.
    ///
    /// # Errors
    /// When the machine has none.
    pub fn new(jitter: Jitter) -> std::io::Result<Self> {
        let exchange = Exchange::new()?;
        Ok(Self { exchange, jitter, first_wait: retry::FIRST_WAIT, dialects: Arc::default() })
    }

    /// The same client with another wait before the first retry. For tests.
    #[must_use]
    pub fn waiting(self, first_wait: Duration) -> Self {
        Self { first_wait, ..self }
    }

    /// Asks a model.
    ///
    /// # Errors
    /// When there is no answer. A refusal of the model is an answer, because it is charged.
    pub async fn ask(
        &self,
        settings: &ModelSettings,
        conversation: &Conversation,
    ) -> Result<ModelAnswer, ModelError> {
        let since = Stopwatch::start();
        let mut waits = Waits::new(self.first_wait, settings.timeout);
        let asked = self.ask_until_answered(settings, conversation, since, &mut waits);
        match tokio::time::timeout(settings.timeout, asked).await {
            Ok(answered) => answered,
            Err(_) => {
                let detail = format!("there was no answer within {:?}", settings.timeout);
                let retries = waits.retries();
                Err(ModelError { retries, ..ModelError::new(ErrorKind::Timeout, detail) })
            }
        }
    }

    async fn ask_until_answered(
        &self,
        settings: &ModelSettings,
        conversation: &Conversation,
        since: Stopwatch,
        waits: &mut Waits,
    ) -> Result<ModelAnswer, ModelError> {
        let mut dialect = self.dialect(settings);
        loop {
            match self.once(settings, conversation, dialect).await {
                Ok(answer) => {
                    self.remember(settings, dialect);
                    return Ok(ModelAnswer { retries: waits.retries(), ..answer });
                }
                Err(error) if error.kind == ErrorKind::BadRequest => {
                    let next = dialect.after(settings.api, &error.detail);
                    let Some(next) = next else {
                        return Err(ModelError { retries: waits.retries(), ..error });
                    };
                    dialect = next;
                }
                Err(error) => {
                    let wait = waits.after(&error, since.elapsed(), (self.jitter)());
                    let Some(wait) = wait else {
                        return Err(ModelError { retries: waits.retries(), ..error });
                    };
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    fn dialect(&self, settings: &ModelSettings) -> Dialect {
        let known = self.dialects.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (settings.url.clone(), settings.model.clone());
        known.get(&key).copied().unwrap_or(Dialect::FIRST)
    }

    fn remember(&self, settings: &ModelSettings, dialect: Dialect) {
        let mut known = self.dialects.lock().unwrap_or_else(PoisonError::into_inner);
        if dialect == Dialect::FIRST {
            return;
        }
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert((settings.url.clone(), settings.model.clone()), dialect);
    }

    /// One call.
    async fn once(
        &self,
        settings: &ModelSettings,
        conversation: &Conversation,
        dialect: Dialect,
    ) -> Result<ModelAnswer, ModelError> {
        let body = match settings.api {
            ModelApi::OpenaiChat => chat::request(settings, conversation, dialect),
            ModelApi::OpenaiResponses => responses::request(settings, conversation, dialect.form),
            ModelApi::Anthropic => anthropic::request(settings, conversation, dialect.form),
        };
        let echo = Echo::of(settings.key.as_ref().map(|key| key.expose_secret()));
        let reply = self.exchange.send(settings, &body, &echo).await?;
        if let Some(error) = fault::of(&reply) {
            return Err(error);
        }
        let Reply { host, body, .. } = &reply;
        let unreadable =
            |what: &str| ModelError::new(ErrorKind::Unreadable, format!("{host} answered {what}"));
        let body = body.as_ref().ok_or_else(|| unreadable("something that is not JSON"))?;
        let read = match settings.api {
            ModelApi::OpenaiChat => chat::read(body),
            ModelApi::OpenaiResponses => responses::read(body),
            ModelApi::Anthropic => anthropic::read(body),
        };
        let said = read.ok_or_else(|| unreadable("JSON that is not of its wire format"))?;
        Ok(ModelAnswer {
            text: said.text,
            ending: said.ending,
            usage: usage(settings, body),
            form: dialect.form,
            retries: 0,
        })
    }
}

/// What a wire format says of an answer.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    text: String,
    ending: crate::domain::planning::model::Ending,
}

/// The usage of an answer. The price is that of the model that was asked for: its name is in the price book,
/// and a server's own name for what it runs need not be.
fn usage(settings: &ModelSettings, body: &Value) -> Option<Usage> {
    let tokens = body.get("usage")?.as_object()?.clone();
    let usage = Usage {
        provider: settings.provider().map(str::to_owned),
        model: settings.model.clone(),
        convention: settings.api.convention(),
        tokens,
        at: None,
    };
    usage.tokens().is_ok().then_some(usage)
}
