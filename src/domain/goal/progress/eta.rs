//! When a goal may be done.
//!
//! No schedule is better than the longest path, nor than the work divided by the agents that can do it. The
//! estimate is the larger of the two, computed for each set of capabilities and for all agents together. It is
//! not a promise: it knows no work of other goals that the same agents do, no freeze, and no answer that a
//! person has not given. The band adds the percentiles of the tasks, so it is wider than a sum of many
//! independent tasks would be.

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike as _, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Band,
    left::{Ahead, Behind, Blocker, BlockerReason},
};
use crate::domain::{states::GoalState, words::words};

/// First year that RFC 3339 cannot express.
const YEARS_END: i32 = 10_000;

words! {
    /// Why the end of a goal cannot be estimated.
    pub enum EtaGap {
        /// The goal is not worked on: it is not planned yet, or has ended.
        NotActive => "not_active",
        /// Its tasks have changed and nothing was computed yet: ask again in a few seconds.
        NotComputed => "not_computed",
        /// No task has an estimate in `wall_ms`, and none was done in the workspace yet.
        NotMeasured => "not_measured",
        /// No agent is online that can do some of its tasks.
        NobodyOnline => "nobody_online",
        /// Later than the year 9999.
        TooFar => "too_far",
    }
}

/// Agents online that cover the same sets of capabilities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnlineAgents {
    /// How many, and their slots.
    pub agents: AbleAgents,
    /// Keys of the sets of capabilities that they cover.
    pub keys: BTreeSet<String>,
}

/// The agents online that can do some work of a goal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AbleAgents {
    /// Number of agents.
    #[schema(example = 3, minimum = 0)]
    pub online: i64,
    /// Number of attempts that they may run at once.
    #[schema(example = 6, minimum = 0)]
    pub slots: i64,
}

/// The instants at which a goal may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Eta {
    /// If its tasks are as fast as one in ten is.
    #[schema(example = "2026-03-01T12:21:00Z")]
    pub p10: DateTime<Utc>,
    /// If its tasks take as long as usual.
    #[schema(example = "2026-03-01T12:40:00Z")]
    pub p50: DateTime<Utc>,
    /// If its tasks are as slow as one in ten is.
    #[schema(example = "2026-03-01T13:55:00Z")]
    pub p90: DateTime<Utc>,
}

/// Those of the agents that can do some of the work.
#[must_use]
pub fn able(ahead: &Ahead, fleet: &[OnlineAgents]) -> AbleAgents {
    sum(fleet.iter().filter(|some| ahead.sets.iter().any(|set| some.keys.contains(&set.key))))
}

fn slots(key: &str, fleet: &[OnlineAgents]) -> i64 {
    sum(fleet.iter().filter(|some| some.keys.contains(key))).slots
}

fn sum<'a>(fleet: impl Iterator<Item = &'a OnlineAgents>) -> AbleAgents {
    fleet.fold(AbleAgents::default(), |sum, OnlineAgents { agents, keys: _ }| AbleAgents {
        online: sum.online.saturating_add(agents.online),
        slots: sum.slots.saturating_add(agents.slots),
    })
}

/// When a goal may be done. `computed_at`: the time of `ahead`; no instant is before `now`.
///
/// # Errors
/// Why it cannot be said.
pub fn eta(
    state: GoalState,
    ahead: Option<(&Ahead, DateTime<Utc>)>,
    fleet: &[OnlineAgents],
    now: DateTime<Utc>,
) -> Result<Eta, EtaGap> {
    match state {
        GoalState::Active | GoalState::Verifying => {}
        GoalState::Planning
        | GoalState::Proposed
        | GoalState::Completed
        | GoalState::Failed
        | GoalState::Cancelled => return Err(EtaGap::NotActive),
    }
    let (ahead, computed_at) = ahead.ok_or(EtaGap::NotComputed)?;
    let mut longest = ahead.path.ok_or(EtaGap::NotMeasured)?;
    for set in &ahead.sets {
        let slots = slots(&set.key, fleet);
        if slots == 0 {
            return Err(EtaGap::NobodyOnline);
        }
        longest = longest.max(set.work.shared(slots.min(set.tasks)));
    }
    let all = able(ahead, fleet).slots;
    longest = longest.max(ahead.work.shared(all.min(ahead.tasks)));
    let at = |ms: i64| {
        let at = computed_at.checked_add_signed(TimeDelta::try_milliseconds(ms)?)?;
        (at.year() < YEARS_END).then_some(at.max(now))
    };
    let far = EtaGap::TooFar;
    let Band { p10, p50, p90 } = longest;
    Ok(Eta { p10: at(p10).ok_or(far)?, p50: at(p50).ok_or(far)?, p90: at(p90).ok_or(far)? })
}

/// Ready tasks that no agent online can do.
pub fn nobody_able<'a>(
    ahead: &'a Ahead,
    fleet: &'a [OnlineAgents],
) -> impl Iterator<Item = Blocker> + 'a {
    let alone = ahead.sets.iter().filter(|set| slots(&set.key, fleet) == 0);
    let blocker =
        |behind: Behind| Blocker { behind, reason: BlockerReason::NobodyOnline, approval_id: None };
    alone.filter_map(move |set| set.ready.map(blocker))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::goal::progress::left::SetLeft;

    const THEN: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn set(key: &str, work: i64, tasks: i64) -> SetLeft {
        SetLeft { key: key.into(), work: Band::exact(work), tasks, ready: None }
    }

    fn ahead(path: i64, sets: Vec<SetLeft>) -> Ahead {
        let work = sets.iter().map(|set| set.work).fold(Band::default(), Band::plus);
        let tasks = sets.iter().map(|set| set.tasks).sum();
        Ahead { path: Some(Band::exact(path)), work, tasks, sets }
    }

    fn agent(slots: i64, keys: &[&str]) -> OnlineAgents {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        OnlineAgents { agents: AbleAgents { online: 1, slots }, keys }
    }

    fn ms(ahead: &Ahead, fleet: &[OnlineAgents]) -> Result<i64, EtaGap> {
        let eta = eta(GoalState::Active, Some((ahead, THEN)), fleet, THEN)?;
        Ok((eta.p50 - THEN).num_milliseconds())
    }

    #[test]
    fn the_path_or_the_work_of_the_agents_decides() {
        let both = |path| ahead(path, vec![set("a", 100, 10), set("b", 60, 2)]);
        for (path, fleet, want) in [
            (90, vec![agent(50, &["a", "b"])], Ok(90)),
            // Ten tasks keep no more than ten slots busy, two no more than two.
            (5, vec![agent(50, &["a", "b"])], Ok(30)),
            (5, vec![agent(1, &["a", "b"])], Ok(160)),
            (5, vec![agent(1, &["a", "b"]), agent(1, &["c"])], Ok(160)),
            (5, vec![agent(1, &["a"]), agent(1, &["b"])], Ok(100)),
            (5, vec![agent(3, &["a"]), agent(1, &["b"])], Ok(60)),
            (5, vec![agent(3, &["a"])], Err(EtaGap::NobodyOnline)),
            (5, vec![], Err(EtaGap::NobodyOnline)),
        ] {
            assert_eq!(ms(&both(path), &fleet), want, "{path} {fleet:?}");
        }
    }

    #[test]
    fn what_is_not_known_has_its_reason() {
        let fleet = [agent(1, &["a"])];
        let known = ahead(7, vec![set("a", 7, 1)]);
        let of = |state, ahead| eta(state, ahead, &fleet, THEN).map(|eta| eta.p50);
        assert_eq!(of(GoalState::Completed, Some((&known, THEN))), Err(EtaGap::NotActive));
        assert_eq!(of(GoalState::Active, None), Err(EtaGap::NotComputed));
        let unknown = Ahead { path: None, ..known.clone() };
        assert_eq!(of(GoalState::Active, Some((&unknown, THEN))), Err(EtaGap::NotMeasured));
        let far = ahead(i64::MAX, vec![set("a", 7, 1)]);
        assert_eq!(of(GoalState::Verifying, Some((&far, THEN))), Err(EtaGap::TooFar));
        let late = THEN + TimeDelta::hours(1);
        let passed = eta(GoalState::Active, Some((&known, THEN)), &fleet, late).unwrap();
        assert_eq!(passed.p50, late, "never before now");
        assert_eq!(
            able(&known, &[agent(2, &["a"]), agent(9, &["b"])]),
            AbleAgents { online: 1, slots: 2 }
        );
    }
}
