//! Quota windows of accounts: made, edited and deleted by operators. Spend and started attempts use them up.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    app::{
        App, Result,
        caller::{Caller as _, MonitorCaller, OperatorCaller},
        edit::present,
        error::same_version,
        unit::idempotency::{Outcome, Request},
    },
    domain::{
        check::Checks,
        ids::QuotaWindowId,
        journal::{Kind, NewRow},
        plan::check_instant,
        quota::{AMOUNT_MAX, NewQuotaWindow, Quota},
        refusal::{Code, Refusal},
        settings,
    },
    store::{
        self, Hold, Tx,
        quota_windows::{QuotaFilter, QuotaRow},
    },
};

/// How much an account may use per window of its provider, and how much of the present window is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct QuotaWindow {
    /// Id of the quota window; stable for its life.
    pub id: QuotaWindowId,
    /// Name of the account. Agents with this `account` share the window.
    #[schema(example = "claude-max-1")]
    pub account: String,
    /// What is counted: a unit of spend, or `attempts` for started attempts.
    #[schema(example = "output_tokens")]
    pub unit: String,
    /// What the provider allows per window, in that unit.
    #[schema(example = 2_000_000)]
    pub amount: i64,
    /// Length of a window in seconds.
    #[schema(example = 18_000)]
    pub window_seconds: i32,
    /// An instant at which a window ends; `null`: a window begins with the first use after the end of the last
    /// one.
    pub resets_at: Option<DateTime<Utc>>,
    /// Share of the amount, in percent, from which on the agents of the account are given no tasks.
    #[schema(example = 95)]
    pub stop_percent: i32,
    /// Used in the present window.
    pub used: i64,
    /// End of the present window; `null`: none has begun.
    pub ends_at: Option<DateTime<Utc>>,
    /// Whether the agents of the account are given no tasks until the window ends.
    pub nearly_used_up: bool,
    /// Version of the quota window; rises by one with every edit; the `ETag`.
    pub version: i32,
    /// When the quota window was made.
    pub created_at: DateTime<Utc>,
    /// When the quota window was last edited.
    pub updated_at: DateTime<Utc>,
}

impl QuotaWindow {
    fn of(row: QuotaRow, now: DateTime<Utc>) -> Self {
        let quota = row.quota();
        Self {
            id: row.window_id,
            account: row.account,
            unit: row.unit,
            amount: row.amount,
            window_seconds: row.window_seconds,
            resets_at: row.anchor,
            stop_percent: row.stop_percent,
            used: quota.used_at(now),
            ends_at: quota.end_at(now),
            nearly_used_up: quota.is_nearly_used_up(now),
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }

    /// What is recorded of it.
    fn said(&self) -> NewQuotaWindow {
        let Self { account, unit, amount, window_seconds, resets_at, stop_percent, .. } =
            self.clone();
        NewQuotaWindow { account, unit, amount, window_seconds, resets_at, stop_percent }
    }
}

/// An edit of a quota window; absent fields keep their value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QuotaWindowChange {
    /// What the provider allows per window.
    #[schema(minimum = 1)]
    pub amount: Option<i64>,
    /// Share of the amount, in percent, from which on the agents of the account are given no tasks.
    #[schema(minimum = 1, maximum = 100)]
    pub stop_percent: Option<i32>,
    /// What is used of the present window, as the provider says. Without a present window one begins now.
    #[schema(minimum = 0)]
    pub used: Option<i64>,
    /// An instant at which a window ends, from the next window on; `null`: a window begins with the first use after
    /// the end of the last one. What is used stays; send `used` to correct it.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub resets_at: Option<Option<DateTime<Utc>>>,
}

impl QuotaWindowChange {
    fn check(&self) -> Result<()> {
        let mut checks = Checks::new();
        if let Some(amount) = self.amount {
            checks.range("/amount", amount, 1..=AMOUNT_MAX);
        }
        if let Some(percent) = self.stop_percent {
            checks.range("/stop_percent", percent, 1..=100);
        }
        if let Some(used) = self.used {
            checks.range("/used", used, 0..=AMOUNT_MAX);
        }
        if let Some(Some(instant)) = self.resets_at {
            check_instant(&mut checks, "/resets_at", instant);
        }
        Ok(checks.finish()?)
    }

    fn apply(&self, quota: Quota, now: DateTime<Utc>) -> Quota {
        let mut after = Quota {
            amount: self.amount.unwrap_or(quota.amount),
            stop_percent: self.stop_percent.unwrap_or(quota.stop_percent),
            ..quota
        };
        if let Some(anchor) = self.resets_at {
            // The present window ends at the instant that is said.
            let used = quota.used_at(now);
            let unopened = Quota { anchor, used: 0, ends_at: None, ..after };
            after = match (anchor, used) {
                (Some(_), 1..) => unopened.charge(used, now),
                (Some(_), _) => unopened,
                (None, _) => Quota { anchor, ..after },
            };
        }
        match self.used {
            Some(used) if used != after.used_at(now) => {
                let unused = Quota { used: 0, ..after };
                unused.charge(used, now)
            }
            Some(_) | None => after,
        }
    }
}

impl App {
    /// Creates a quota window. What was used before does not count.
    ///
    /// # Errors
    /// `invalid`; `already_exists` if the account has a window of this unit and length.
    pub async fn create_quota_window(
        &self,
        caller: &OperatorCaller,
        new: &NewQuotaWindow,
        request: Option<&Request>,
    ) -> Result<Outcome<QuotaWindow>> {
        new.check()?;
        self.create(caller.principal(), request, Hold::Share, async |unit| {
            let count = store::quota_windows::count(unit.tx()).await?;
            if count >= settings::QUOTA_WINDOWS {
                let detail = format!("there are {count} quota windows; delete one first");
                return Err(Refusal::invalid_at("", detail).into());
            }
            let id: QuotaWindowId = unit.id();
            if !store::quota_windows::insert(unit.tx(), id, new).await? {
                let detail = format!(
                    "the account `{}` has a quota window of {} seconds in `{}`; edit it with \
                     PATCH /v1/quota-windows/{{window_id}}",
                    new.account, new.window_seconds, new.unit
                );
                return Err(Refusal::new(Code::AlreadyExists, detail).into());
            }
            let window = read(unit.tx(), id).await?;
            unit.record(row(Kind::QuotaWindowCreated, id, new).after(new));
            Ok(window)
        })
        .await
    }

    /// Reads one quota window.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn get_quota_window(
        &self,
        caller: &MonitorCaller,
        window: QuotaWindowId,
    ) -> Result<QuotaWindow> {
        read(&mut self.reader(caller.principal().workspace).await?, window).await
    }

    /// Up to `rows` quota windows after `after`, newest first. `account`: only those of this account.
    pub async fn list_quota_windows(
        &self,
        caller: &MonitorCaller,
        account: Option<&str>,
        after: Option<QuotaWindowId>,
        rows: u32,
    ) -> Result<Vec<QuotaWindow>> {
        let mut tx = self.reader(caller.principal().workspace).await?;
        let filter = QuotaFilter { window: None, account };
        let found = store::quota_windows::list(&mut tx, filter, after, rows.into()).await?;
        Ok(found.into_iter().map(|row| QuotaWindow::of(row, tx.now)).collect())
    }

    /// Edits a quota window. `version`: the version the caller read (`If-Match`); `None` skips the check. An edit
    /// without a change makes no new version.
    ///
    /// # Errors
    /// `not_found`, `precondition_failed`, `invalid`.
    pub async fn update_quota_window(
        &self,
        caller: &OperatorCaller,
        window: QuotaWindowId,
        version: Option<i64>,
        change: &QuotaWindowChange,
    ) -> Result<QuotaWindow> {
        change.check()?;
        let principal = caller.principal();
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let stored = store::quota_windows::lock(unit.tx(), window).await?;
        let stored = stored.ok_or_else(|| Refusal::not_found("quota window"))?;
        if let Some(version) = version {
            same_version(i64::from(stored.version), version)?;
        }
        let now = unit.now();
        let (before, after) = (stored.quota(), change.apply(stored.quota(), now));
        if after != before {
            let said = QuotaWindow::of(stored, now).said();
            store::quota_windows::edit(unit.tx(), window, &after).await?;
            let edited = read(unit.tx(), window).await?;
            let row = row(Kind::QuotaWindowUpdated, window, &edited.said());
            unit.record(row.before(&said).after(&edited.said()));
        }
        let window = read(unit.tx(), window).await?;
        self.commit(unit).await?;
        Ok(window)
    }

    /// Deletes a quota window. Its account is not limited by it from then on.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn delete_quota_window(
        &self,
        caller: &OperatorCaller,
        window: QuotaWindowId,
    ) -> Result<()> {
        let principal = caller.principal();
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let said = read(unit.tx(), window).await?.said();
        if !store::quota_windows::delete(unit.tx(), window).await? {
            return Err(Refusal::not_found("quota window").into());
        }
        unit.record(row(Kind::QuotaWindowDeleted, window, &said).before(&said));
        self.commit(unit).await
    }
}

async fn read(tx: &mut Tx, window: QuotaWindowId) -> Result<QuotaWindow> {
    let filter = QuotaFilter { window: Some(window), account: None };
    let found = store::quota_windows::list(tx, filter, None, 1).await?.pop();
    Ok(QuotaWindow::of(found.ok_or_else(|| Refusal::not_found("quota window"))?, tx.now))
}

fn row(kind: Kind, id: QuotaWindowId, said: &NewQuotaWindow) -> NewRow {
    let NewQuotaWindow { account, unit, amount, window_seconds, resets_at, stop_percent } = said;
    let data = json!({
        "window_id": id, "account": account, "unit": unit, "amount": amount,
        "window_seconds": window_seconds, "resets_at": resets_at, "stop_percent": stop_percent,
    });
    NewRow::new(kind).data(data)
}
