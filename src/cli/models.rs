//! The models that plan, from the settings of the service.

use std::{sync::Arc, time::Duration};

use secrecy::{ExposeSecret as _, SecretString};

use super::{failure::Failure, given};
use crate::{
    app::{
        App,
        planners::{AskModel, Later, Planners},
    },
    config::PlannerConfig,
    domain::{
        check::Checks,
        planning::{
            address::{self, Reach},
            model::{Conversation, KEY_BYTES, ModelApi, ModelSettings, check_settings},
        },
    },
    outbound::models::ModelClient,
};

/// The client of models, as the use cases call it.
#[derive(Debug)]
pub struct Client(pub ModelClient);

impl AskModel for Client {
    fn ask<'a>(&'a self, settings: &'a ModelSettings, conversation: &'a Conversation) -> Later<'a> {
        Box::pin(self.0.ask(settings, conversation))
    }
}

/// The app with a client of models, and the model of the service if the settings name one.
pub fn configured(app: App, config: &PlannerConfig) -> Result<App, Failure> {
    let own = own(config)?;
    let hosts = hosts(config)?;
    let entropy = app.entropy().clone();
    let client = match ModelClient::new(Arc::new(move || entropy.jitter())) {
        Ok(client) => client,
        // Whoever plans without models needs no certificates.
        Err(error) if own.is_none() => {
            tracing::warn!(%error, "no model can plan: the machine has no certificates to call out");
            return Ok(app);
        }
        Err(error) => {
            return Err(format!("the machine has no certificates to call out: {error}").into());
        }
    };
    if let Some(own) = &own {
        tracing::info!(api = %own.api, url = own.url, model = own.model, "a model plans");
    }
    Ok(app.with_planners(Planners { client: Arc::new(Client(client)), own, hosts }))
}

/// The hosts that workspaces may name though they are not public.
fn hosts(config: &PlannerConfig) -> Result<Vec<String>, Failure> {
    let hosts = config.planner_hosts.iter().filter_map(|host| given::text(Some(host)));
    hosts
        .map(|host| match address::check_listed(host) {
            Ok(()) => Ok(host.to_owned()),
            Err(why) => Err(format!("MUSTER_PLANNER_HOSTS: `{host}` {why}").into()),
        })
        .collect()
}

fn own(config: &PlannerConfig) -> Result<Option<ModelSettings>, Failure> {
    let Some(api) = given::text(config.planner_api.as_deref()) else {
        let named = [config.planner_model.as_deref(), config.planner_url.as_deref()];
        if named.into_iter().any(|value| given::text(value).is_some()) {
            return Err("MUSTER_PLANNER_MODEL or _URL is set, but MUSTER_PLANNER_API is not".into());
        }
        return Ok(None);
    };
    let api: ModelApi = api.parse().map_err(|_| {
        format!("MUSTER_PLANNER_API must be openai_chat, openai_responses or anthropic, not {api}")
    })?;
    let model = given::text(config.planner_model.as_deref())
        .ok_or("MUSTER_PLANNER_API is set, but MUSTER_PLANNER_MODEL is not")?;
    let url = given::text(config.planner_url.as_deref()).unwrap_or(api.default_url());
    let mut checks = Checks::new();
    // The address of who runs the service may be any; that it is one is known before a goal needs it.
    check_settings(&mut checks, Some((url, Reach::Any)), model, [None; 3]);
    checks
        .finish()
        .map_err(|refusal| format!("MUSTER_PLANNER_URL or _MODEL: {}", refusal.detail))?;
    let seconds = |seconds: i32| Duration::from_secs(u64::from(seconds.unsigned_abs()));
    Ok(Some(ModelSettings {
        api,
        url: url.to_owned(),
        model: model.to_owned(),
        key: key(config)?,
        max_output_tokens: config.planner_max_output_tokens,
        timeout: seconds(config.planner_timeout_seconds),
        silence: seconds(config.planner_silence_seconds),
        reach: Reach::Any,
    }))
}

fn key(config: &PlannerConfig) -> Result<Option<SecretString>, Failure> {
    let file = config.planner_key_file.as_deref();
    let Some(key) = given::secret("MUSTER_PLANNER_KEY", config.planner_key.as_ref(), file)? else {
        return Ok(None);
    };
    let bytes = key.expose_secret().as_bytes();
    if bytes.len() > KEY_BYTES || !bytes.iter().all(u8::is_ascii_graphic) {
        return Err("MUSTER_PLANNER_KEY must be one line of visible ASCII characters".into());
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
        planner: PlannerConfig,
    }

    fn configured(arguments: &[&str]) -> PlannerConfig {
        Only::parse_from(["muster"].iter().chain(arguments)).planner
    }

    #[test]
    fn what_is_no_address_is_found_at_the_start() {
        let hosts_of = |list: &str| hosts(&configured(&["--planner-hosts", list]));
        let good = hosts_of("models.lan, 127.0.0.1:8099,,[::1]").unwrap();
        assert_eq!(good, ["models.lan", "127.0.0.1:8099", "[::1]"]);
        let bad = hosts_of("models.lan,http://127.0.0.1:8099").unwrap_err().to_string();
        assert!(bad.contains("MUSTER_PLANNER_HOSTS: `http://127.0.0.1:8099` must be"), "{bad}");

        let own_at = |url: &str| {
            let model = ["--planner-api", "openai_chat", "--planner-model", "m"];
            own(&configured(&[&model[..], &["--planner-url", url]].concat()))
        };
        let private = own_at("http://127.0.0.1:8099/v1").unwrap().unwrap();
        assert_eq!((private.url.as_str(), private.reach), ("http://127.0.0.1:8099/v1", Reach::Any));
        let bad = own_at("127.0.0.1:8099").unwrap_err().to_string();
        assert!(bad.contains("MUSTER_PLANNER_URL") && bad.contains("https://"), "{bad}");
    }
}
