//! The models that the planner `llm` asks.
//!
//! A service may have a model, from its settings; a workspace may have its own instead ([`settings`]), which
//! replaces it as a whole: no key ever goes to an address that was not named together with it. The address of a
//! workspace may be any public one over HTTPS. Private addresses, this machine and plain HTTP are for hosts
//! that whoever runs the service lists, because the service may reach what an administrator of a workspace may
//! not. This is checked when the address is stored and again with every call: a name can come to lead elsewhere, and
//! a host can leave the list.
//!
//! The client is injected ([`AskModel`]): use cases name no network. No transaction is open while a model is
//! asked.

pub mod settings;

use std::{fmt, pin::Pin, sync::Arc};

use secrecy::SecretString;

use super::{App, Result};
use crate::{
    domain::{
        ids::WorkspaceId,
        planning::{
            address::{self, Reach},
            model::{Conversation, ErrorKind, ModelAnswer, ModelApi, ModelError, ModelSettings},
        },
        secret::Purpose,
    },
    store::{self, planners::PlannerRow},
};

/// Name of the secret with the key of a workspace.
pub const KEY_NAME: &str = "planner";

/// The answer of a model, later.
pub type Later<'a> =
    Pin<Box<dyn Future<Output = std::result::Result<ModelAnswer, ModelError>> + Send + 'a>>;

/// The client of models.
pub trait AskModel: fmt::Debug + Send + Sync {
    /// Asks a model.
    fn ask<'a>(&'a self, settings: &'a ModelSettings, conversation: &'a Conversation) -> Later<'a>;
}

/// How models are asked.
#[derive(Debug)]
pub struct Planners {
    /// The client.
    pub client: Arc<dyn AskModel>,
    /// The model of the service.
    pub own: Option<ModelSettings>,
    /// Hosts, with or without a port, that workspaces may name though they are not public.
    pub hosts: Vec<String>,
}

impl Planners {
    /// Which addresses may be called for a workspace that names this one.
    fn reach(&self, url: &str) -> Reach {
        address::reach(url, &self.hosts)
    }
}

/// The settings of a workspace as the client needs them.
fn of_workspace(planners: &Planners, row: &PlannerRow, key: Option<SecretString>) -> ModelSettings {
    let url = row.url.clone().unwrap_or_else(|| row.api.default_url().to_owned());
    let reach = planners.reach(&url);
    ModelSettings {
        url,
        reach,
        key,
        max_output_tokens: row.max_output_tokens.unwrap_or(settings::OUTPUT_TOKENS),
        timeout: settings::seconds(row.timeout_seconds, settings::TIMEOUT),
        silence: settings::seconds(row.silence_seconds, settings::SILENCE),
        ..unset(row.api, &row.model)
    }
}

/// A model with the defaults.
#[must_use]
pub fn unset(api: ModelApi, model: &str) -> ModelSettings {
    ModelSettings {
        api,
        url: api.default_url().to_owned(),
        model: model.to_owned(),
        key: None,
        max_output_tokens: settings::OUTPUT_TOKENS,
        timeout: settings::seconds(None, settings::TIMEOUT),
        silence: settings::seconds(None, settings::SILENCE),
        reach: Reach::Public,
    }
}

impl App {
    /// The same app with models.
    #[must_use]
    pub fn with_planners(self, planners: Planners) -> Self {
        Self { planners: Some(Arc::new(planners)), ..self }
    }

    /// The client of models; `None`: this service asks none.
    pub(in crate::app) fn planners(&self) -> Option<&Planners> {
        self.planners.as_deref()
    }

    /// The model of a workspace, with its key; `None`: it has none, and neither has the service.
    ///
    /// # Errors
    /// `wrong_state` if the key cannot be opened.
    pub async fn planner_model(&self, workspace: WorkspaceId) -> Result<Option<ModelSettings>> {
        let Some(planners) = self.planners() else { return Ok(None) };
        let row = {
            let mut tx = self.reader(workspace).await?;
            store::planners::find(&mut tx).await?
        };
        let Some(row) = row else { return Ok(planners.own.clone()) };
        let key = self.open_secret(workspace, Purpose::PlannerKey, KEY_NAME).await?;
        Ok(Some(of_workspace(planners, &row, key)))
    }

    /// Asks a model. No transaction may be open.
    ///
    /// # Errors
    /// When it does not answer.
    pub(in crate::app) async fn ask_model(
        &self,
        settings: &ModelSettings,
        conversation: &Conversation,
    ) -> std::result::Result<ModelAnswer, ModelError> {
        match self.planners() {
            Some(planners) => planners.client.ask(settings, conversation).await,
            None => Err(ModelError::new(ErrorKind::Forbidden, "this service asks no models")),
        }
    }
}
