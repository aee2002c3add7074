//! Spend on attempts: recorded once, added to totals at once, accepted late.
//!
//! Entries, the attempt's own total, and the totals of goal, project and agent change in one
//! transaction, each row once per batch and in a fixed order. The spend of a task is computed from
//! its few attempts. Totals shared by many are stored in parts, and a transaction raises one part,
//! so two batches seldom wait for each other. Spend on an ended attempt is stored and marked late;
//! only its holder can report it, with its lease. Freezes refuse no spend, because the money is
//! already spent.

pub mod answer;
pub mod charge;
pub mod command;
pub mod correct;
pub mod model_price;
pub(in crate::app) mod planned;
pub mod price_book;
pub(in crate::app) mod pricing;
mod quotas;
pub mod rerate;
mod transaction;
pub(in crate::app) mod waits;

use super::{
    App, Result,
    access::lease,
    caller::{Caller as _, HolderCaller},
};
use crate::domain::{check::Checks, ids::AttemptId, spend::SpendReport};
use answer::{SpendAnswer, SpendRequest};
use command::SpendCommand;

impl App {
    /// Records spend on an attempt of the caller, running or ended.
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
