//! The model of a workspace: read, set and removed by its administrators.
//!
//! The key is written only: no answer and no row of the journal has it. It belongs to the address that it was
//! given for. Whoever changes the address states the key again, so that a key never leaves for an address that
//! somebody else named.

use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;

use super::{KEY_NAME, Planners};
use crate::{
    app::{
        App, Result, Unit,
        caller::{AdminCaller, Caller as _},
        error::same_version,
        secrets,
    },
    domain::{
        check::Checks,
        ids::KeyId,
        journal::{Kind, NewRow},
        planning::{
            address::Reach,
            model::{KEY_BYTES, ModelApi, check_settings},
        },
        refusal::Refusal,
        secret::Purpose,
    },
    store::{self, Tx, planners::PlannerRow},
};

pub(super) use crate::domain::planning::model::{OUTPUT_TOKENS, SILENCE, TIMEOUT};

/// A number of seconds, or the default.
#[must_use]
pub fn seconds(set: Option<i32>, default: i32) -> Duration {
    Duration::from_secs(u64::from(set.unwrap_or(default).unsigned_abs()))
}

/// Where the model comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlannerSource {
    /// The workspace has its own.
    Workspace,
    /// The service has one, for every workspace without its own.
    Service,
    /// There is none: the planner `llm` cannot plan.
    None,
}

/// The model that the planner `llm` asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PlannerModel {
    /// Where it comes from.
    pub source: PlannerSource,
    /// Wire format of the server; `null` if there is no model.
    pub api: Option<ModelApi>,
    /// Address of the server; `null` if there is no model, or the service has it.
    #[schema(example = "https://api.openai.com/v1")]
    pub url: Option<String>,
    /// Name of the model at the server; `null` if there is none.
    #[schema(example = "gpt-4.1")]
    pub model: Option<String>,
    /// Whether there is a key. It is never shown.
    pub has_key: bool,
    /// Most output tokens of one answer.
    pub max_output_tokens: i32,
    /// Time for one answer with its retries, in seconds.
    pub timeout_seconds: i32,
    /// Longest time without a byte of the server, in seconds.
    pub silence_seconds: i32,
    /// Version of the settings of the workspace; rises by one with every change; 0: it has none. The
    /// `ETag`.
    pub version: i32,
    /// When they were last changed; `null` if the workspace has none.
    pub updated_at: Option<DateTime<Utc>>,
    /// The key that changed them last; `null` if the workspace has none.
    pub updated_by: Option<KeyId>,
}

/// The settings of the model of a workspace. Omitted fields get their default, except the key.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannerModelSpec {
    /// Wire format of the server.
    pub api: ModelApi,
    /// Address of the server: the base below which the endpoint is (`https://models.example.com/v1`), or the
    /// endpoint itself. Without a path, `/v1` is added. Must be `https://` with a public host, unless the
    /// setting `MUSTER_PLANNER_HOSTS` of the service lists the host: `localhost` and private, loopback and
    /// link-local addresses are refused here, names that lead to such addresses when the model is asked.
    /// Default: the address of the maker of the wire format.
    #[serde(default)]
    #[schema(example = "https://api.openai.com/v1", max_length = 500)]
    pub url: Option<String>,
    /// Name of the model at the server.
    #[schema(example = "gpt-4.1", min_length = 1, max_length = 200)]
    pub model: String,
    /// Key of the server, at most 4 KiB; `null` removes it; omitted: it stays. It must be stated again, or
    /// removed, when the wire format or the address changes. Stored encrypted, never shown.
    #[serde(default, deserialize_with = "secret")]
    #[schema(value_type = Option<String>, write_only, max_length = 4096)]
    pub key: Option<Option<SecretString>>,
    /// Most output tokens of one answer; default 16,000.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub max_output_tokens: Option<i32>,
    /// Time for one answer with its retries, in seconds; default 300.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 3600)]
    pub timeout_seconds: Option<i32>,
    /// Longest time without a byte of the server, in seconds; default 120. A server sends nothing before
    /// the answer is complete.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 3600)]
    pub silence_seconds: Option<i32>,
}

/// Distinguishes `null` from an absent field, and keeps the value out of every `Debug`.
fn secret<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<Option<SecretString>>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(Some(text.map(SecretString::from)))
}

impl PlannerModelSpec {
    /// `planners`: what lists the hosts that need not be public; without it there are none.
    fn check(&self, planners: Option<&Planners>) -> Result<()> {
        use secrecy::ExposeSecret as _;
        let mut checks = Checks::new();
        let numbers = [self.max_output_tokens, self.timeout_seconds, self.silence_seconds];
        let reach = |url: &str| planners.map_or(Reach::Public, |planners| planners.reach(url));
        let url = self.url.as_deref().map(|url| (url, reach(url)));
        check_settings(&mut checks, url, &self.model, numbers);
        if let Some(Some(key)) = &self.key {
            let key = key.expose_secret();
            checks.ensure(!key.trim().is_empty(), "/key", "must not be empty; `null` removes it");
            checks.bytes("/key", key, KEY_BYTES);
            let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
            checks.ensure(visible, "/key", "must be of visible ASCII characters");
        }
        Ok(checks.finish()?)
    }
}

fn view(planners: Option<&Planners>, row: Option<&PlannerRow>, has_key: bool) -> PlannerModel {
    let none = PlannerModel {
        source: PlannerSource::None,
        api: None,
        url: None,
        model: None,
        has_key: false,
        max_output_tokens: OUTPUT_TOKENS,
        timeout_seconds: TIMEOUT,
        silence_seconds: SILENCE,
        version: 0,
        updated_at: None,
        updated_by: None,
    };
    let seconds = |time: Duration| i32::try_from(time.as_secs()).unwrap_or(i32::MAX);
    match (row, planners.and_then(|planners| planners.own.as_ref())) {
        (Some(row), _) => PlannerModel {
            source: PlannerSource::Workspace,
            api: Some(row.api),
            url: Some(row.url.clone().unwrap_or_else(|| row.api.default_url().to_owned())),
            model: Some(row.model.clone()),
            has_key,
            max_output_tokens: row.max_output_tokens.unwrap_or(OUTPUT_TOKENS),
            timeout_seconds: row.timeout_seconds.unwrap_or(TIMEOUT),
            silence_seconds: row.silence_seconds.unwrap_or(SILENCE),
            version: row.version,
            updated_at: Some(row.updated_at),
            updated_by: row.updated_by,
        },
        (None, Some(own)) => PlannerModel {
            source: PlannerSource::Service,
            api: Some(own.api),
            model: Some(own.model.clone()),
            has_key: own.key.is_some(),
            max_output_tokens: own.max_output_tokens,
            timeout_seconds: seconds(own.timeout),
            silence_seconds: seconds(own.silence),
            ..none
        },
        (None, None) => none,
    }
}

async fn has_key(tx: &mut Tx) -> Result<bool> {
    Ok(store::secrets::find(tx, Purpose::PlannerKey, KEY_NAME).await?.is_some())
}

impl App {
    /// Reads the model that the planner `llm` asks.
    pub async fn get_planner_model(&self, caller: &AdminCaller) -> Result<PlannerModel> {
        let mut tx = self.reader(caller.principal().workspace).await?;
        let row = store::planners::find(&mut tx).await?;
        let has_key = has_key(&mut tx).await?;
        Ok(view(self.planners(), row.as_ref(), has_key))
    }

    /// Sets the model of the workspace. `version`: the version the caller read (`If-Match`); `None` skips
    /// the check.
    ///
    /// # Errors
    /// `invalid`; `precondition_failed`; `wrong_state` if there is no master key for the key.
    pub async fn set_planner_model(
        &self,
        caller: &AdminCaller,
        version: Option<i64>,
        spec: &PlannerModelSpec,
    ) -> Result<PlannerModel> {
        spec.check(self.planners())?;
        let principal = caller.principal();
        let mut unit = self.begin_alone(principal.workspace, principal.actor()).await?;
        let before = locked(&mut unit, version).await?;
        let row = PlannerRow {
            api: spec.api,
            url: spec.url.clone(),
            model: spec.model.clone(),
            max_output_tokens: spec.max_output_tokens,
            timeout_seconds: spec.timeout_seconds,
            silence_seconds: spec.silence_seconds,
            version: before.as_ref().map_or(0, |row| row.version) + 1,
            updated_at: unit.now(),
            updated_by: unit.actor(),
        };
        self.set_key(&mut unit, before.as_ref(), &row, spec.key.as_ref()).await?;
        store::planners::set(unit.tx(), &row).await?;
        let had = before.as_ref().map(|row| view(None, Some(row), false));
        let has_key = has_key(unit.tx()).await?;
        let after = view(self.planners(), Some(&row), has_key);
        let data =
            json!({"api": row.api, "url": after.url, "model": row.model, "has_key": has_key});
        let event = NewRow::new(Kind::PlannerSet).after(&after).data(data);
        unit.record(match had {
            Some(had) => event.before(&had),
            None => event,
        });
        self.commit(unit).await?;
        Ok(after)
    }

    async fn set_key(
        &self,
        unit: &mut Unit,
        before: Option<&PlannerRow>,
        after: &PlannerRow,
        key: Option<&Option<SecretString>>,
    ) -> Result<()> {
        match key {
            Some(Some(key)) => {
                let keys = self.master_keys()?;
                secrets::set(unit, &keys, Purpose::PlannerKey, KEY_NAME, key).await?;
            }
            Some(None) => remove_key(unit).await?,
            None => {
                let elsewhere =
                    before.is_none_or(|row| (row.api, &row.url) != (after.api, &after.url));
                if elsewhere && has_key(unit.tx()).await? {
                    let detail = "must be stated again, or removed with `null`: there is a key, and it was \
                                  given for another address";
                    return Err(Refusal::invalid_at("/key", detail).into());
                }
            }
        }
        Ok(())
    }

    /// Removes the model of the workspace, and its key.
    ///
    /// # Errors
    /// `not_found`; `precondition_failed`.
    pub async fn delete_planner_model(
        &self,
        caller: &AdminCaller,
        version: Option<i64>,
    ) -> Result<()> {
        let principal = caller.principal();
        let mut unit = self.begin_alone(principal.workspace, principal.actor()).await?;
        let before = locked(&mut unit, version).await?;
        let before = before.ok_or_else(|| Refusal::not_found("model of this workspace"))?;
        remove_key(&mut unit).await?;
        store::planners::delete(unit.tx()).await?;
        unit.record(NewRow::new(Kind::PlannerRemoved).before(&view(None, Some(&before), false)));
        self.commit(unit).await
    }
}

/// The settings, if they have the version that the caller read. The unit runs alone.
async fn locked(unit: &mut Unit, version: Option<i64>) -> Result<Option<PlannerRow>> {
    let row = store::planners::find(unit.tx()).await?;
    if let Some(version) = version {
        same_version(i64::from(row.as_ref().map_or(0, |row| row.version)), version)?;
    }
    Ok(row)
}

async fn remove_key(unit: &mut Unit) -> Result<()> {
    let found = store::secrets::lock(unit.tx(), Purpose::PlannerKey, KEY_NAME).await?;
    match found {
        Some(found) => secrets::delete(unit, found).await,
        None => Ok(()),
    }
}
