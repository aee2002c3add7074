//! The client of an OpenAI-compatible endpoint for embeddings.
//!
//! One call, no retry: a query is ranked without a vector if there is none in time, and the duty that embeds lessons comes
//! again. The key, redirects, proxies and bounds of the answer are treated as for models that plan.

#[cfg(test)]
mod tests;

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::{
    echo::Echo,
    exchange::{Exchange, Reply},
    fault,
};
use crate::domain::planning::model::{ErrorKind, ModelError, ModelSettings};

/// Path of the endpoint below the base.
const ENDPOINT: &str = "embeddings";
/// Dimensions of the longest vector.
const DIMENSIONS: usize = 4096;

/// A client of one endpoint; cheap to clone.
#[derive(Clone)]
pub struct EmbeddingClient {
    exchange: Exchange,
    settings: ModelSettings,
}

impl std::fmt::Debug for EmbeddingClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddingClient")
            .field("model", &self.settings.model)
            .finish_non_exhaustive()
    }
}

impl EmbeddingClient {
    /// A client with the certificates of the machine. Of the settings the address, the model, the key and the times
    /// count.
    ///
    /// # Errors
    /// When the machine has none.
    pub fn new(settings: ModelSettings) -> std::io::Result<Self> {
        Ok(Self { exchange: Exchange::new()?, settings })
    }

    /// Name of the model.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.settings.model
    }

    /// The vectors of texts, in their order.
    ///
    /// # Errors
    /// When there is no answer, or one that does not fit.
    pub async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, ModelError> {
        let asked = tokio::time::timeout(self.settings.timeout, self.ask(texts)).await;
        asked.unwrap_or_else(|_| {
            let detail = format!("there was no answer within {:?}", self.settings.timeout);
            Err(ModelError::new(ErrorKind::Timeout, detail))
        })
    }

    async fn ask(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, ModelError> {
        let body =
            json!({"model": self.settings.model, "input": texts, "encoding_format": "float"});
        let echo = Echo::of(self.settings.key.as_ref().map(|key| key.expose_secret()));
        let reply = self.exchange.send_to(&self.settings, ENDPOINT, &body, &echo).await?;
        if let Some(error) = fault::of(&reply) {
            return Err(error);
        }
        let Reply { host, body, .. } = &reply;
        let vectors = body.as_ref().and_then(|body| read(body, texts.len()));
        vectors.ok_or_else(|| {
            let detail = format!("{host} answered something that is not an embedding of each text");
            ModelError::new(ErrorKind::Unreadable, detail)
        })
    }
}

/// The vectors of an answer, by the index of their text; `None`: it has others than were asked for.
fn read(body: &Value, texts: usize) -> Option<Vec<Vec<f32>>> {
    let data = body.get("data")?.as_array()?;
    let mut vectors: Vec<Option<Vec<f32>>> = vec![None; texts];
    for (place, entry) in data.iter().enumerate() {
        let index = entry.get("index").and_then(Value::as_u64);
        let index = index.map_or(Some(place), |index| usize::try_from(index).ok())?;
        let numbers = entry.get("embedding")?.as_array()?;
        if numbers.is_empty() || numbers.len() > DIMENSIONS {
            return None;
        }
        let vector: Option<Vec<f32>> =
            numbers.iter().map(|number| Some(number.as_f64()? as f32)).collect();
        *vectors.get_mut(index)? = Some(vector?);
    }
    let vectors: Vec<Vec<f32>> = vectors.into_iter().collect::<Option<_>>()?;
    let alike = vectors.windows(2).all(|pair| pair[0].len() == pair[1].len());
    alike.then_some(vectors)
}
