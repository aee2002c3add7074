//! The export for billing tools, with the columns of FOCUS: the open specification of the FinOps
//! Foundation for cost and usage.
//!
//! - The workspace is the billing account, a project the sub-account, an agent the resource, a model the
//!   service. The provider is the reported one, otherwise the maker of the model.
//! - Money is a separate row beside those of tokens and other units, and only it has costs: so costs add
//!   up, and quantities add up by unit. List prices and discounts are unknown, so the four costs are equal.
//! - Days and months are in UTC. The first and the last day are cut to the requested period.
//! - A row that corrects an earlier charge has the class `Correction`, and may be negative.

use chrono::{DateTime, NaiveTime, SecondsFormat, TimeDelta, Utc};
use chrono_tz::Tz;
use serde_json::Value;

use crate::{
    app::reports::{DayExport, DaySpend},
    domain::{
        budget::Period, ids::WorkspaceId, price::provider, report::money::Millionths, spend::MONEY,
    },
    http::reply::csv::Table,
};

/// The value of an unknown provider or model: these columns must not be empty.
const UNKNOWN: &str = "unknown";

/// The columns, in the order of [`cells`].
const COLUMNS: [&str; 30] = [
    "BilledCost",
    "EffectiveCost",
    "ListCost",
    "ContractedCost",
    "BillingCurrency",
    "BillingAccountId",
    "BillingAccountName",
    "BillingPeriodStart",
    "BillingPeriodEnd",
    "ChargePeriodStart",
    "ChargePeriodEnd",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ConsumedQuantity",
    "ConsumedUnit",
    "PricingQuantity",
    "PricingUnit",
    "InvoiceIssuerName",
    "ProviderName",
    "PublisherName",
    "ServiceCategory",
    "ServiceName",
    "SubAccountId",
    "SubAccountName",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "Tags",
];

/// The export as a table.
pub(super) fn table(export: DayExport) -> Table {
    let DayExport { workspace, from, to, days } = export;
    let mut table = Table::new(COLUMNS);
    for spend in days {
        table.row(cells(workspace, from, to, spend));
    }
    table
}

fn cells(
    workspace: WorkspaceId,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    spend: DaySpend,
) -> [String; COLUMNS.len()] {
    let tags = tags(&spend);
    let description = description(&spend);
    let Quantities { cost, consumed, priced } = quantities(&spend);
    let (consumed_quantity, consumed_unit) = consumed;
    let (priced_quantity, priced_unit) = priced;
    let day = spend.day.and_time(NaiveTime::MIN).and_utc();
    let month = Period::Month.window(Tz::UTC, day);
    let maker = spend.model.as_deref().and_then(provider::maker).map(str::to_owned);
    let provider = spend.provider.or_else(|| maker.clone()).unwrap_or_else(unknown);
    let text = |id: Option<uuid::Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    [
        cost.clone(),
        cost.clone(),
        cost.clone(),
        cost,
        "USD".to_owned(),
        workspace.to_string(),
        spend.workspace_name,
        instant(month.starts_at),
        month.ends_at.map(instant).unwrap_or_default(),
        instant(day.max(from)),
        instant((day + TimeDelta::days(1)).min(to)),
        "Usage".to_owned(),
        if spend.correction { "Correction".to_owned() } else { String::new() },
        description,
        "Usage-Based".to_owned(),
        consumed_quantity,
        consumed_unit,
        priced_quantity,
        priced_unit,
        provider.clone(),
        provider.clone(),
        maker.unwrap_or(provider),
        "AI and Machine Learning".to_owned(),
        spend.model.unwrap_or_else(unknown),
        text(spend.project_id.map(|id| id.0)),
        spend.project_name.unwrap_or_default(),
        text(spend.agent_id.map(|id| id.0)),
        spend.agent_name.unwrap_or_default(),
        match (spend.agent_id, spend.planner) {
            (Some(_), _) => "agent".to_owned(),
            (None, true) => "planner".to_owned(),
            (None, false) => "person".to_owned(),
        },
        tags,
    ]
}

fn unknown() -> String {
    UNKNOWN.to_owned()
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The cost and the quantities of a row.
struct Quantities {
    cost: String,
    /// The consumed quantity, and its unit.
    consumed: (String, String),
    /// The priced quantity, and its unit.
    priced: (String, String),
}

fn quantities(spend: &DaySpend) -> Quantities {
    let amount = spend.millionths;
    if spend.unit == MONEY {
        let cost = amount.in_dollars();
        let priced = (cost.clone(), "USD".to_owned());
        return Quantities { cost, consumed: (String::new(), String::new()), priced };
    }
    let consumed = (amount.in_units(), spend.unit.clone());
    Quantities { cost: Millionths::default().in_dollars(), priced: consumed.clone(), consumed }
}

fn description(spend: &DaySpend) -> String {
    let what = if spend.unit == MONEY { "money" } else { spend.unit.as_str() };
    let corrected = if spend.correction { "Correction of " } else { "" };
    match &spend.model {
        Some(model) => format!("{corrected}{what} used by calls of {model}"),
        None => format!("{corrected}{what} used"),
    }
}

/// The keys of cost allocation: the goal unless it was pruned, and the task and capabilities of a row about one
/// task.
fn tags(spend: &DaySpend) -> String {
    let tags = [
        ("goal", spend.goal_id.map(|id| id.to_string())),
        ("goal_title", spend.goal_title.clone()),
        ("task", spend.task.clone()),
        ("capability", spend.capability.clone()),
    ];
    let present =
        tags.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into())));
    Value::Object(present.collect()).to_string()
}
