//! Spend on attempts: recorded once, rolled up at once, accepted late.
//!
//! Entries, what the attempt reported, and the totals of goal, project and agent move in one
//! transaction, each row once per batch and in a fixed order. What a task used is the sum of its few
//! attempts. A total that many share is kept in parts, and a transaction raises one of them, so two
//! batches seldom wait for each other. Spend on an attempt that has ended is stored and marked as
//! late; only its own holder with its own lease can report it. Freezes refuse no spend: it was spent.

pub mod model_price;
pub mod price_book;
pub(in crate::app) mod pricing;
pub mod rerate;

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    App, Result, Unit,
    access::lease,
    budgets::settle::{self, Booking},
    caller::{Actor, Caller as _, HolderCaller},
    coalesce::Batched,
    unit::locks::{find, locked},
};
use crate::{
    domain::{
        check::Checks,
        ids::{AttemptId, GoalId, ProjectId, WorkspaceId},
        journal::{Kind, NewRow},
        spend::{self, Amounts, SpendEntry, SpendReport, UnitSpend},
        states::{AttemptState, SpendNode},
        task::{self, AttemptFacts, holder::Holder},
    },
    store::{
        self,
        spend::{Fresh, NewEntry, Rise},
    },
};

/// A report of spend.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SpendRequest {
    /// The lease of the attempt, as its claim was answered.
    pub lease: String,
    /// Things used since the last report, each with a key. At most 500.
    #[serde(default)]
    pub entries: Vec<SpendEntry>,
    /// Totals of this attempt so far, by unit; only a rise counts.
    #[serde(default)]
    #[schema(example = json!({"output_tokens": 5200}))]
    pub totals: Amounts,
}

/// What an attempt has used by now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SpendAnswer {
    /// Everything that is charged to the attempt, by unit.
    #[schema(example = json!({"usd_micros": 1250, "output_tokens": 5200}))]
    pub attempt_spend: Amounts,
    /// Whether the attempt had ended: the spend is stored all the same.
    pub late: bool,
}

/// One report in a batch.
#[derive(Debug, Clone)]
pub(super) struct SpendCommand {
    workspace: WorkspaceId,
    actor: Actor,
    holder: Holder,
    attempt: AttemptId,
    lease_sha256: [u8; 32],
    report: SpendReport,
}

impl Batched for SpendCommand {
    type Context = App;
    type Group = WorkspaceId;
    type Answer = SpendAnswer;
    const KIND: &'static str = "spend";

    fn group(&self) -> WorkspaceId {
        self.workspace
    }

    async fn run(
        app: App,
        workspace: WorkspaceId,
        batch: Vec<Self>,
    ) -> Result<Vec<Result<SpendAnswer>>> {
        let mut unit = app.begin(workspace, Actor::SERVICE).await?;
        let ids: Vec<AttemptId> = batch.iter().map(|command| command.attempt).collect();
        let attempts = locked(&mut unit, &ids).await?;
        let admitted: Vec<Result<&AttemptFacts>> = batch
            .iter()
            .map(|command| {
                let attempt = find(&attempts, command.attempt)?;
                task::own(attempt, command.holder, &command.lease_sha256)?;
                Ok(attempt)
            })
            .collect();
        let reports: Vec<(&AttemptFacts, &SpendReport)> = admitted
            .iter()
            .zip(&batch)
            .filter_map(|(attempt, command)| Some((*attempt.as_ref().ok()?, &command.report)))
            .collect();
        let spent = charge(&mut unit, &reports, &[]).await?;
        for (attempt, command) in admitted.iter().zip(&batch) {
            let Ok(attempt) = attempt else { continue };
            let spent = spent.get(&attempt.attempt_id);
            let late = attempt.state != AttemptState::Running;
            let row = NewRow::new(Kind::AttemptSpendReported).of_attempt(attempt);
            unit.record(
                row.by(command.actor.clone()).data(json!({"attempt_spend": spent, "late": late})),
            );
        }
        let answers = admitted.into_iter().map(|attempt| {
            let attempt = attempt?;
            Ok(SpendAnswer {
                attempt_spend: spent.get(&attempt.attempt_id).cloned().unwrap_or_default(),
                late: attempt.state != AttemptState::Running,
            })
        });
        let answers = answers.collect();
        app.commit(unit).await?;
        Ok(answers)
    }
}

impl App {
    /// Records spend on an attempt of the caller's, running or not.
    ///
    /// # Errors
    /// `not_found`, `not_your_attempt`, `lease_lost` for a wrong lease, `invalid`.
    pub async fn report_spend(
        &self,
        caller: &HolderCaller,
        attempt: AttemptId,
        request: SpendRequest,
    ) -> Result<SpendAnswer> {
        let SpendRequest { lease, entries, totals } = request;
        let report = SpendReport { entries, totals };
        let mut checks = Checks::new();
        report.check(&mut checks, "");
        checks.ensure(!report.is_empty(), "", "must report entries, totals, or both");
        checks.finish()?;
        let command = SpendCommand {
            workspace: caller.principal().workspace,
            actor: caller.principal().actor(),
            holder: caller.holder(),
            attempt,
            lease_sha256: lease::hash(&lease),
            report,
        };
        self.spends.submit(self, command).await
    }
}

/// Stores reports on attempts whose rows are held, and settles them with every limit above; attempts
/// that `ended` in this unit give back what they have set aside. Returns what each has used by now.
///
/// # Errors
/// When the database fails.
pub(super) async fn charge(
    unit: &mut Unit,
    reports: &[(&AttemptFacts, &SpendReport)],
    ended: &[AttemptId],
) -> Result<HashMap<AttemptId, Amounts>> {
    let reports: Vec<_> = reports.iter().filter(|(_, report)| !report.is_empty()).collect();
    if reports.is_empty() {
        settle::settle(unit, &[], ended).await?;
        return Ok(HashMap::new());
    }
    let attempts: BTreeMap<AttemptId, &AttemptFacts> =
        reports.iter().map(|(attempt, _)| (attempt.attempt_id, *attempt)).collect();
    let ids: Vec<AttemptId> = attempts.keys().copied().collect();
    let stored = store::spend::of_attempts(unit.tx(), &ids).await?;
    let mut spent: BTreeMap<(AttemptId, String), UnitSpend> =
        stored.into_iter().map(|(id, unit, spend)| ((id, unit), spend)).collect();
    let pricing = pricing::price(unit, &reports).await?;
    let mut entries = Vec::new();
    for (attempt, report) in &reports {
        let late = attempt.state != AttemptState::Running;
        let id = attempt.attempt_id;
        let line = |charge| NewEntry { attempt_id: id, charge, late };
        let used = |entry: &SpendEntry| pricing.lines(id, entry);
        entries.extend(spend::charges(report, used).into_iter().map(line));
        for (unit, total) in &report.totals {
            let before = spent.entry((id, unit.clone())).or_default();
            if let Some(rise) = spend::rise(unit, *total, *before) {
                before.reported = *total;
                entries.push(line(rise));
            }
        }
    }
    let stored = store_entries(unit, &attempts, entries, &mut spent).await?;
    pricing.note(unit, &stored.lines).await?;
    raise_totals(unit, stored.rises).await?;
    settle::settle(unit, &stored.lines, ended).await?;
    let mut answer: HashMap<AttemptId, Amounts> = HashMap::new();
    for ((id, unit), spend) in spent {
        answer.entry(id).or_default().insert(unit, spend.amount());
    }
    Ok(answer)
}

/// Stores lines whose key is new, and what attempts have used by now with them.
pub(super) async fn store_entries(
    unit: &mut Unit,
    attempts: &BTreeMap<AttemptId, &AttemptFacts>,
    entries: Vec<NewEntry>,
    spent: &mut BTreeMap<(AttemptId, String), UnitSpend>,
) -> Result<Stored> {
    if entries.is_empty() {
        return Ok(Stored::default());
    }
    let fresh = store::spend::insert_entries(unit.tx(), &entries).await?;
    if fresh.is_empty() {
        return Ok(Stored::default());
    }
    let goals: Vec<GoalId> = attempts.values().map(|attempt| attempt.goal_id).collect();
    let projects: HashMap<GoalId, ProjectId> =
        store::spend::projects_of(unit.tx(), &goals).await?.into_iter().collect();
    let mut touched = BTreeMap::new();
    let mut stored = Stored::default();
    for Fresh { attempt_id: id, key, unit: unit_name, amount, fraction } in fresh {
        let fraction = i64::from(fraction);
        let of_attempt = spent.entry((id, unit_name.clone())).or_default();
        if !key.starts_with(spend::TOTAL_PREFIX) {
            of_attempt.entries = of_attempt.entries.saturating_add(amount);
            of_attempt.fraction = of_attempt.fraction.saturating_add(fraction);
        }
        touched.insert((id, unit_name.clone()), *of_attempt);
        let Some(attempt) = attempts.get(&id) else { continue };
        for (node, node_id) in path(attempt, &projects) {
            let total = stored.rises.entry((node, node_id, unit_name.clone())).or_default();
            *total = (total.0.saturating_add(amount), total.1.saturating_add(fraction));
        }
        stored.lines.push(Booking { attempt: id, key, unit: unit_name, amount, fraction });
    }
    let touched: Vec<_> = touched.into_iter().map(|((id, name), s)| (id, name, s)).collect();
    store::spend::set_of_attempts(unit.tx(), &touched).await?;
    Ok(stored)
}

/// Lines that were stored, and by how much they raise the totals above.
#[derive(Debug, Default)]
pub(super) struct Stored {
    pub lines: Vec<Booking>,
    pub rises: Rises,
}

/// By how much totals rise: whole units, and millionths beside them.
pub(super) type Rises = BTreeMap<(SpendNode, uuid::Uuid, String), (i64, i64)>;

/// Raises the totals of the nodes above.
pub(super) async fn raise_totals(unit: &mut Unit, rises: Rises) -> Result<()> {
    if rises.is_empty() {
        return Ok(());
    }
    let rises: Vec<Rise> = rises
        .into_iter()
        .map(|((node, id, unit), (amount, fraction))| Rise { node, id, unit, amount, fraction })
        .collect();
    let slot = i16::from(unit.entropy().bytes::<1>()[0]) % store::spend::SLOTS;
    Ok(store::spend::raise_totals(unit.tx(), slot, &rises).await?)
}

/// The nodes that spend on an attempt is rolled up to.
fn path(
    attempt: &AttemptFacts,
    projects: &HashMap<GoalId, ProjectId>,
) -> impl Iterator<Item = (SpendNode, uuid::Uuid)> {
    let project = projects.get(&attempt.goal_id).map(|id| (SpendNode::Project, id.0));
    let agent = attempt.holder.agent().map(|id| (SpendNode::Agent, id.0));
    std::iter::once((SpendNode::Goal, attempt.goal_id.0)).chain(agent).chain(project)
}
