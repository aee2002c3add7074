//! Rates of capabilities: made, edited and deleted by operators. Claims use them up.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    app::{
        App, Result,
        caller::{Caller as _, MonitorCaller, OperatorCaller},
        error::same_version,
        unit::idempotency::{Outcome, Request},
    },
    domain::{
        check::Checks,
        ids::RateId,
        journal::{Kind, NewRow},
        rate::{NewRate, Pace, check_bounds},
        refusal::{Code, Refusal},
        settings,
    },
    store::{self, Hold, Tx, rates::RateRow},
};

/// How many attempts may start per minute, of tasks that require a capability.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Rate {
    /// Id of the rate; stable for its life.
    pub id: RateId,
    /// The capability. Every task that requires it counts, whatever else it requires.
    #[schema(example = "claude")]
    pub capability: String,
    /// Attempts that may start per minute, evenly spread.
    #[schema(example = 30)]
    pub starts_per_minute: i32,
    /// Attempts that may start at once after a pause.
    #[schema(example = 5)]
    pub burst: i32,
    /// Attempts that may start now.
    pub free: u32,
    /// When the next attempt may start, if none may now; else `null`.
    pub free_at: Option<DateTime<Utc>>,
    /// Version of the rate; rises by one with every edit; the `ETag`.
    pub version: i32,
    /// When the rate was made.
    pub created_at: DateTime<Utc>,
    /// When the rate was last edited.
    pub updated_at: DateTime<Utc>,
}

impl Rate {
    fn of(row: RateRow, now: DateTime<Utc>) -> Self {
        let pace = row.pace();
        let free = pace.free(now);
        Self {
            id: row.rate_id,
            capability: row.capability,
            starts_per_minute: row.starts_per_minute,
            burst: row.burst,
            free,
            free_at: (free == 0).then(|| pace.free_at()),
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }

    /// What is recorded of it.
    fn said(&self) -> NewRate {
        let Self { capability, starts_per_minute, burst, .. } = self.clone();
        NewRate { capability, starts_per_minute, burst }
    }
}

/// An edit of a rate; absent fields keep their value. Starts of the past still count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RateChange {
    /// Attempts that may start per minute.
    #[schema(minimum = 1, maximum = 60_000)]
    pub starts_per_minute: Option<i32>,
    /// Attempts that may start at once after a pause.
    #[schema(minimum = 1, maximum = 10_000)]
    pub burst: Option<i32>,
}

impl App {
    /// Creates a rate. It holds for attempts that start from then on.
    ///
    /// # Errors
    /// `invalid`; `already_exists` if the capability has a rate.
    pub async fn create_rate(
        &self,
        caller: &OperatorCaller,
        new: &NewRate,
        request: Option<&Request>,
    ) -> Result<Outcome<Rate>> {
        new.check()?;
        self.create(caller.principal(), request, Hold::Share, async |unit| {
            let count = store::rates::count(unit.tx()).await?;
            if count >= settings::RATES {
                let detail = format!("there are {count} rates; delete one first");
                return Err(Refusal::invalid_at("", detail).into());
            }
            let id: RateId = unit.id();
            let pace = Pace::new(new.starts_per_minute, new.burst, unit.now());
            if !store::rates::insert(unit.tx(), id, &new.capability, &pace).await? {
                let detail = format!(
                    "the capability `{}` has a rate; edit it with PATCH /v1/rates/{{rate_id}}",
                    new.capability
                );
                return Err(Refusal::new(Code::AlreadyExists, detail).into());
            }
            let rate = read(unit.tx(), id).await?;
            unit.record(row(Kind::RateCreated, id, new).after(new));
            Ok(rate)
        })
        .await
    }

    /// Reads one rate.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn get_rate(&self, caller: &MonitorCaller, rate: RateId) -> Result<Rate> {
        read(&mut self.reader(caller.principal().workspace).await?, rate).await
    }

    /// Up to `rows` rates after `after`, newest first.
    pub async fn list_rates(
        &self,
        caller: &MonitorCaller,
        after: Option<RateId>,
        rows: u32,
    ) -> Result<Vec<Rate>> {
        let mut tx = self.reader(caller.principal().workspace).await?;
        let found = store::rates::list(&mut tx, None, after, rows.into()).await?;
        Ok(found.into_iter().map(|row| Rate::of(row, tx.now)).collect())
    }

    /// Edits a rate. `version`: the version the caller read (`If-Match`); `None` skips the check. An edit without
    /// a change makes no new version.
    ///
    /// # Errors
    /// `not_found`, `precondition_failed`, `invalid`.
    pub async fn update_rate(
        &self,
        caller: &OperatorCaller,
        rate: RateId,
        version: Option<i64>,
        change: &RateChange,
    ) -> Result<Rate> {
        let mut checks = Checks::new();
        check_bounds(&mut checks, change.starts_per_minute, change.burst);
        checks.finish()?;
        let principal = caller.principal();
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let stored = store::rates::lock(unit.tx(), rate).await?;
        let stored = stored.ok_or_else(|| Refusal::not_found("rate"))?;
        if let Some(version) = version {
            same_version(i64::from(stored.version), version)?;
        }
        let now = unit.now();
        // What was started until now counts by the numbers of until now.
        let before = stored.pace().take(0, now);
        let after = Pace {
            starts_per_minute: change.starts_per_minute.unwrap_or(before.starts_per_minute),
            burst: change.burst.unwrap_or(before.burst),
            ..before
        };
        if after != before {
            let said = Rate::of(stored, now).said();
            store::rates::edit(unit.tx(), rate, &after.take(0, now)).await?;
            let edited = read(unit.tx(), rate).await?.said();
            unit.record(row(Kind::RateUpdated, rate, &edited).before(&said).after(&edited));
        }
        let rate = read(unit.tx(), rate).await?;
        self.commit(unit).await?;
        Ok(rate)
    }

    /// Deletes a rate. Its capability is not limited from then on.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn delete_rate(&self, caller: &OperatorCaller, rate: RateId) -> Result<()> {
        let principal = caller.principal();
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let said = read(unit.tx(), rate).await?.said();
        if !store::rates::delete(unit.tx(), rate).await? {
            return Err(Refusal::not_found("rate").into());
        }
        unit.record(row(Kind::RateDeleted, rate, &said).before(&said));
        self.commit(unit).await
    }
}

async fn read(tx: &mut Tx, rate: RateId) -> Result<Rate> {
    let found = store::rates::list(tx, Some(rate), None, 1).await?.pop();
    Ok(Rate::of(found.ok_or_else(|| Refusal::not_found("rate"))?, tx.now))
}

fn row(kind: Kind, id: RateId, said: &NewRate) -> NewRow {
    let NewRate { capability, starts_per_minute, burst } = said;
    let data = json!({
        "rate_id": id, "capability": capability, "starts_per_minute": starts_per_minute,
        "burst": burst,
    });
    NewRow::new(kind).data(data)
}
