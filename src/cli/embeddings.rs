//! The endpoint for embeddings, from the settings of the service.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};
use secrecy::{ExposeSecret as _, SecretString};

use super::{failure::Failure, given};
use crate::{
    app::{App, knowledge::meaning::Embedder},
    config::KnowledgeConfig,
    domain::{
        check::Checks,
        planning::{
            address::Reach,
            model::{KEY_BYTES, ModelApi, ModelError, ModelSettings, check_settings},
        },
    },
    outbound::models::embeddings::EmbeddingClient,
};

/// Longest time of one call; a query waits for less.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The client, as the use cases call it.
#[derive(Debug)]
struct Client(EmbeddingClient);

impl Embedder for Client {
    fn model(&self) -> &str {
        self.0.model()
    }

    fn embed<'a>(
        &'a self,
        texts: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Vec<f32>>, ModelError>> {
        self.0.embed(texts).boxed()
    }
}

/// The app with the endpoint, if the settings name one.
pub fn configured(app: App, config: &KnowledgeConfig) -> Result<App, Failure> {
    let Some(settings) = settings(config)? else { return Ok(app) };
    tracing::info!(url = settings.url, model = settings.model, "a model embeds lessons");
    let client = EmbeddingClient::new(settings)
        .map_err(|error| format!("the machine has no certificates to call out: {error}"))?;
    Ok(app.with_embedder(Arc::new(Client(client))))
}

fn settings(config: &KnowledgeConfig) -> Result<Option<ModelSettings>, Failure> {
    let Some(url) = given::text(config.embeddings_url.as_deref()) else {
        return match given::text(config.embeddings_model.as_deref()) {
            None => Ok(None),
            Some(_) => {
                Err("MUSTER_EMBEDDINGS_MODEL is set, but MUSTER_EMBEDDINGS_URL is not".into())
            }
        };
    };
    let model = given::text(config.embeddings_model.as_deref())
        .ok_or("MUSTER_EMBEDDINGS_URL is set, but MUSTER_EMBEDDINGS_MODEL is not")?;
    let mut checks = Checks::new();
    check_settings(&mut checks, Some((url, Reach::Any)), model, [None; 3]);
    checks
        .finish()
        .map_err(|refusal| format!("MUSTER_EMBEDDINGS_URL or _MODEL: {}", refusal.detail))?;
    Ok(Some(ModelSettings {
        api: ModelApi::OpenaiChat,
        url: url.to_owned(),
        model: model.to_owned(),
        key: key(config)?,
        max_output_tokens: 1,
        timeout: TIMEOUT,
        silence: TIMEOUT,
        reach: Reach::Any,
    }))
}

fn key(config: &KnowledgeConfig) -> Result<Option<SecretString>, Failure> {
    let (key, file) = (config.embeddings_key.as_ref(), config.embeddings_key_file.as_deref());
    let Some(key) = given::secret("MUSTER_EMBEDDINGS_KEY", key, file)? else { return Ok(None) };
    let bytes = key.expose_secret().as_bytes();
    if bytes.len() > KEY_BYTES || !bytes.iter().all(u8::is_ascii_graphic) {
        return Err("MUSTER_EMBEDDINGS_KEY must be one line of visible ASCII characters".into());
    }
    Ok(Some(key))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        knowledge: KnowledgeConfig,
    }

    #[test]
    fn half_a_setting_is_refused_at_the_start() {
        let of = |arguments: &[&str]| {
            settings(&Only::parse_from(["muster"].iter().chain(arguments)).knowledge)
        };
        assert!(of(&[]).unwrap().is_none());
        let url = ["--embeddings-url", "http://127.0.0.1:9/v1"];
        let model = ["--embeddings-model", "m"];
        assert!(of(&url).unwrap_err().to_string().contains("MUSTER_EMBEDDINGS_MODEL is not"));
        assert!(of(&model).unwrap_err().to_string().contains("MUSTER_EMBEDDINGS_URL is not"));
        let both = of(&[url, model].concat()).unwrap().unwrap();
        assert_eq!((both.model.as_str(), both.key.is_none()), ("m", true));
        let bad = of(&["--embeddings-url", "nowhere", "--embeddings-model", "m"]);
        assert!(bad.unwrap_err().to_string().contains("MUSTER_EMBEDDINGS_URL"));
    }
}
