//! `fairness`: what an honest agent of another workspace sees during an attack.
//!
//! Every attack runs twice with the same generator: against a listener that accepts, and answers at most
//! a few bytes, then against the service. The ratio of the latencies is the part of the service; the
//! generator shares the processors with both. The attackers have the addresses 127.0.1.0/24, keys of one
//! workspace, and a journal to scan. The honest agent has 127.0.2.1, a workspace of its own, and claims
//! and completes tasks in an open loop; `/livez` is asked on new connections from 127.0.2.2.

mod attack;
pub mod dummy;
mod honest;

use serde::Serialize;

use self::{
    attack::{Attack, Attackers},
    dummy::Dummy,
    honest::{Honest, Seen},
};
use super::{
    error::Result,
    report::{Figures, Report},
    settings::Scenario,
    stage::Setup,
    table::{Finding, Grid, figure},
};

/// The figures of `fairness`.
#[derive(Debug, Clone, Serialize)]
pub struct FairnessReport {
    /// By attack.
    pub attacks: Vec<Attacked>,
}

/// What an attack changes for others.
#[derive(Debug, Clone, Serialize)]
pub struct Attacked {
    /// The attack.
    pub attack: Attack,
    /// With the load on the dummy.
    pub dummy: Seen,
    /// With the load on the service.
    pub service: Seen,
    /// The p99 of claims with the load on the service, over that with the load on the dummy.
    pub claim_ratio: f64,
}

/// Measures `fairness`.
pub async fn measure(setup: &Setup, report: &mut Report) -> Result<()> {
    let stage = setup.stage(None).await?;
    report.machine.look_at(&stage).await?;
    let mut honest = Honest::prepare(setup, &stage).await?;
    let attackers = Attackers::prepare(setup, &stage).await?;
    stage.tidy().await?;
    let dummy = Dummy::start().await?;
    let mut attacks = Vec::new();
    for attack in Attack::ALL {
        tracing::info!(?attack, "attacking");
        let beside = attackers.start(attack, dummy.address(attack)).await;
        let quiet = honest.look(setup).await?;
        drop(beside);
        let beside = attackers.start(attack, stage.target.address()).await;
        let loud = honest.look(setup).await?;
        drop(beside);
        let claim_ratio = loud.claim.p99_ms / quiet.claim.p99_ms.max(0.001);
        tracing::info!(claim_ratio, dummy = ?quiet, service = ?loud, "attacked");
        attacks.push(Attacked { attack, dummy: quiet, service: loud, claim_ratio });
    }
    stage.stop().await?;
    report.add(Scenario::Fairness, &FairnessReport { attacks })
}

impl Figures for FairnessReport {
    fn results(&self) -> Vec<Finding> {
        let of = |attacked: &Attacked| {
            let name = attacked.attack.name();
            let what = attacked.attack.what();
            let one = |kind: &str, text: String, value, unit| {
                Finding::one(&format!("fairness_{name}_{kind}"), text, value, unit)
            };
            let refused = attacked.service.unavailable as f64;
            let health = attacked.service.health.max_ms;
            [
                one("claim", format!("p99 of claims, {what}"), attacked.claim_ratio, ""),
                one("503", format!("honest requests refused with 503, {what}"), refused, ""),
                one("health", format!("slowest health check, {what}"), health, "ms"),
            ]
        };
        self.attacks.iter().flat_map(of).collect()
    }

    fn grids(&self) -> Vec<Grid> {
        let row = |attacked: &Attacked| {
            let Attacked { attack, dummy, service, claim_ratio } = attacked;
            vec![
                attack.what().to_owned(),
                figure(dummy.claim.p99_ms),
                figure(service.claim.p99_ms),
                figure(*claim_ratio),
                service.unavailable.to_string(),
                service.limited.to_string(),
                figure(service.health.max_ms),
            ]
        };
        let header = [
            "attack",
            "claim p99 ms, load on a dummy",
            "on the service",
            "ratio",
            "503",
            "429",
            "health max ms",
        ];
        let title = "Fairness: an honest agent of another workspace during attacks";
        vec![Grid::new(title, header, self.attacks.iter().map(row))]
    }
}
