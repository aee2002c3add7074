//! Authorization of a cost before an agent incurs it.
//!
//! An authorization adds to the attempt's reservation under a key chosen by the agent. It draws
//! first on the free part of the reservation, then on every limit above it, in all units or in
//! none. A spend entry with the same key uses it up; other spend of the attempt does not touch it.
//! A cost within its authorized amounts therefore never overruns a limit. Under a `pause` nothing
//! new is authorized.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    app::{
        App, Result, Unit,
        access::lease,
        budgets::{
            settle::Accounts,
            shortage::exhausted,
            standing::{self, BudgetStanding},
            windows::LockMode,
        },
        caller::{Caller as _, HolderCaller},
        unit::locks::{find, locked},
    },
    domain::{
        budget::Range,
        check::Checks,
        freeze::{self, Act},
        ids::AttemptId,
        journal::{Kind, NewRow},
        refusal::Refusal,
        spend::{self, Amounts},
        task,
    },
    store::{self, budgets::reservations::Authorization},
};

/// A cost to authorize before it is incurred.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthorizeRequest {
    /// The lease of the attempt, from its claim.
    pub lease: String,
    /// Key of this cost, chosen by you and unique within the attempt. Report the actual cost as a
    /// spend entry with this key.
    #[schema(example = "call-18", min_length = 1, max_length = 200)]
    pub key: String,
    /// Upper bound of the cost, by unit; at least one unit.
    #[schema(example = json!({"usd_micros": 40000, "output_tokens": 4000}))]
    pub amounts: Amounts,
}

/// The authorized cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuthorizeAnswer {
    /// Key of the cost, as in the request.
    pub key: String,
    /// Authorized amounts, by unit.
    pub amounts: Amounts,
    /// The attempt's standing with every limit above it, after this authorization.
    pub budget: Vec<BudgetStanding>,
}

impl App {
    /// Authorizes a cost in advance.
    ///
    /// # Errors
    /// `budget_exhausted`, naming every limit that is short; `lease_lost`, `frozen`,
    /// `not_your_attempt`, `not_found`, `invalid`. Nothing is stored then.
    pub async fn authorize(
        &self,
        caller: &HolderCaller,
        attempt: AttemptId,
        request: &AuthorizeRequest,
    ) -> Result<AuthorizeAnswer> {
        check(request)?;
        let principal = caller.principal();
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let attempts = locked(&mut unit, &[attempt]).await?;
        task::fence(find(&attempts, attempt)?, caller.holder(), &lease::hash(&request.lease))?;
        if !is_known(&mut unit, attempt, request).await? {
            let places = store::attempts::locate(unit.tx(), &[attempt]).await?;
            freeze::admit(places.first().and_then(|place| place.frozen), Act::Begin)?;
            set_aside(&mut unit, attempt, request).await?;
            let cost = json!({"key": request.key, "amounts": request.amounts});
            let goal = find(&attempts, attempt)?.goal_id;
            let row = NewRow::new(Kind::AttemptCostAuthorized).goal(goal).attempt(attempt);
            unit.record(row.data(cost));
        }
        let now = unit.now();
        let standings = standing::of(unit.tx(), std::iter::once(attempt)).await?;
        self.commit(unit).await?;
        let rows = standings.get(&attempt).map(Vec::as_slice).unwrap_or_default();
        Ok(AuthorizeAnswer {
            key: request.key.clone(),
            amounts: request.amounts.clone(),
            budget: rows.iter().map(|row| standing::view(row, now)).collect(),
        })
    }
}

fn check(request: &AuthorizeRequest) -> Result<()> {
    let mut checks = Checks::new();
    checks.line("/key", &request.key, 200);
    checks.ensure(!request.amounts.is_empty(), "/amounts", "must name at least one unit");
    spend::check_amounts(&mut checks, "/amounts", &request.amounts);
    Ok(checks.finish()?)
}

/// Whether the identical cost was authorized before.
async fn is_known(unit: &mut Unit, attempt: AttemptId, request: &AuthorizeRequest) -> Result<bool> {
    let keys = [request.key.clone()];
    let rows = store::budgets::reservations::authorized(unit.tx(), &[attempt], &keys).await?;
    if rows.is_empty() {
        return Ok(false);
    }
    let same = |row: &Authorization| request.amounts.get(&row.unit) == Some(&row.amount);
    if rows.len() == request.amounts.len() && rows.iter().all(same) {
        return Ok(true);
    }
    let detail = "another cost was authorised under this key; each cost has a key of its own";
    Err(Refusal::invalid_at("/key", detail).into())
}

async fn set_aside(unit: &mut Unit, attempt: AttemptId, request: &AuthorizeRequest) -> Result<()> {
    if let Some(mut accounts) = Accounts::open(unit, &[attempt], LockMode::Locked).await? {
        let path = accounts.paths.get(&attempt).cloned().unwrap_or_default();
        let mut lacking = BTreeMap::new();
        for (name, amount) in &request.amounts {
            let free = accounts.with(attempt, name, |_, _, own| own.held - own.authorized);
            let need = (amount - free).max(0);
            lacking.insert(name.clone(), Range { want: need, min: need });
        }
        accounts.ledger.reserve(&path, &lacking).map_err(|short| exhausted(&short))?;
        for (name, amount) in &request.amounts {
            let more = lacking.get(name).map_or(0, |range| range.want);
            accounts.with(attempt, name, |_, _, own| {
                own.granted = own.granted.saturating_add(more);
                own.held = own.held.saturating_add(more);
                own.authorized = own.authorized.saturating_add(*amount);
            });
        }
        accounts.write(unit).await?;
    }
    let costs: Vec<Authorization> = request
        .amounts
        .iter()
        .map(|(name, amount)| Authorization {
            attempt_id: attempt,
            cost_key: request.key.clone(),
            unit: name.clone(),
            amount: *amount,
            used: false,
        })
        .collect();
    Ok(store::budgets::reservations::authorize(unit.tx(), &costs).await?)
}
