//! Why an agent gets nothing.

use serde::{Deserialize, Serialize};

use super::{
    answer::{Actor, CauseFacts, LackingLimit, NAMED, NamedTask, OfferedTo, Remedy},
    fleet::FleetAgent,
    hindrance::AgentHindrance,
    offer,
    overcome::{overcome, sentence},
    request,
    task::{
        cause::{TaskCause, TaskCauseKind},
        situation::LeftFor,
        stops::budget,
    },
};
use crate::domain::{
    states::AgentState,
    task::claim::{Keeping, covers},
    words::words,
};

words! {
    /// Why an agent gets nothing. Later versions add causes: show `detail` for those you do not know.
    pub enum AgentCauseKind {
        /// It is archived.
        Archived => "archived",
        /// It is retired; its keys are refused.
        Retired => "retired",
        /// All its keys are revoked or expired.
        NoKey => "no_key",
        /// A freeze covers it.
        Frozen => "frozen",
        /// It is paused.
        Paused => "paused",
        /// It is draining.
        Draining => "draining",
        /// Its provider limits its rate.
        RateLimited => "rate_limited",
        /// A quota window of its account has too little left.
        Quota => "quota",
        /// It runs as many attempts as it may.
        Full => "full",
        /// No task is ready.
        NothingReady => "nothing_ready",
        /// Ready tasks require capabilities that it lacks.
        LacksCapability => "lacks_capability",
        /// The ready tasks within its capabilities are kept for others, or were taken from it.
        Excluded => "excluded",
        /// The ready tasks within its capabilities wait for something else.
        Blocked => "blocked",
        /// Its own budget, or one above the tasks, has too little left.
        Budget => "budget",
        /// The tasks are left for better agents for a moment.
        Deferral => "deferral",
        /// There is work for it: it has only to claim.
        Work => "work",
    }
}

/// Why an agent gets nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AgentCause {
    /// The cause in one word.
    pub cause: AgentCauseKind,
    /// The cause in a sentence, for people.
    #[schema(example = "ready tasks require `gpu`, which the agent lacks")]
    pub detail: String,
    /// What the first of the tasks waits for; `null` unless the cause is `blocked`.
    pub task_cause: Option<TaskCauseKind>,
    /// Who clears it, and how.
    #[serde(flatten)]
    pub remedy: Remedy,
    /// What it is about; only what the cause has is there.
    pub facts: CauseFacts,
}

/// A ready task that an agent is able to do and may not claim.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptTask {
    /// The task.
    pub task: NamedTask,
    /// For whom it is kept, or from whom it was taken.
    pub to: OfferedTo,
    /// Whether it checks what the agent made, or an agent of its owner: nobody changes that.
    pub own_check: bool,
}

/// Everything that an agent may lack, in one snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentSituation {
    /// The agent.
    pub agent: FleetAgent,
    /// Whether it is archived.
    pub archived: bool,
    /// The sets of capabilities that ready tasks require.
    pub wanted: Vec<Vec<String>>,
    /// Number of ready tasks that it would be given in turn, as far as they were looked at.
    pub found: usize,
    /// Ready tasks within its capabilities that are kept for others, or were taken from it.
    pub excluded: Vec<KeptTask>,
    /// The other ready tasks within its capabilities that it would not be given.
    pub blocked: Vec<NamedTask>,
    /// What the first of those waits for.
    pub first_waits: Option<TaskCause>,
    /// Limits that are short for all that it would be given.
    pub short: Vec<LackingLimit>,
    /// The agent that all it would be given is left for.
    pub left_for: Option<LeftFor>,
}

/// The causes, the decisive one first; never empty.
#[must_use]
pub fn causes(at: &AgentSituation) -> Vec<AgentCause> {
    let agent = &at.agent;
    if at.archived {
        let what = "Brings the agent back.";
        let path = format!("/v1/agents/{}/unarchive", agent.agent_id);
        let back = request::post(path, serde_json::json!({}), what);
        let remedy = Remedy::by(Actor::operator(), back);
        return vec![cause(
            AgentCauseKind::Archived,
            "it is archived",
            remedy,
            CauseFacts::default(),
        )];
    }
    if agent.state == AgentState::Retired {
        let activate = request::activate(agent.agent_id, agent.version, &agent.name);
        let remedy = Remedy::by(Actor::operator(), activate);
        let detail = "it is retired, and its keys are refused";
        return vec![cause(AgentCauseKind::Retired, detail, remedy, CauseFacts::default())];
    }
    let mut found = Vec::new();
    // Whether it was heard of does not matter: it has only to ask.
    let heard = FleetAgent { heard: true, ..agent.clone() };
    found.extend(heard.kept_from_claims().map(|kind| at.kept(kind)));
    found.extend(at.no_work());
    if found.is_empty() {
        found.push(at.work());
    }
    found
}

fn cause(
    cause: AgentCauseKind,
    detail: impl Into<String>,
    remedy: Remedy,
    facts: CauseFacts,
) -> AgentCause {
    AgentCause { cause, detail: detail.into(), task_cause: None, remedy, facts }
}

const fn kind_of(hindrance: AgentHindrance) -> AgentCauseKind {
    match hindrance {
        AgentHindrance::Full => AgentCauseKind::Full,
        AgentHindrance::RateLimited => AgentCauseKind::RateLimited,
        AgentHindrance::Quota => AgentCauseKind::Quota,
        AgentHindrance::Budget => AgentCauseKind::Budget,
        AgentHindrance::Frozen => AgentCauseKind::Frozen,
        AgentHindrance::Draining => AgentCauseKind::Draining,
        AgentHindrance::Paused | AgentHindrance::Offline => AgentCauseKind::Paused,
        AgentHindrance::NoKey => AgentCauseKind::NoKey,
        AgentHindrance::Kept | AgentHindrance::Barred => AgentCauseKind::Excluded,
        AgentHindrance::LacksCapability => AgentCauseKind::LacksCapability,
    }
}

impl AgentSituation {
    fn kept(&self, kind: AgentHindrance) -> AgentCause {
        let detail = format!("it {}", sentence(kind, 1));
        let facts = CauseFacts { freeze: self.agent.freeze.clone(), ..CauseFacts::default() };
        cause(kind_of(kind), detail, overcome(kind, &[&self.agent]), facts)
    }

    fn no_work(&self) -> Vec<AgentCause> {
        let able = &self.agent.capabilities;
        if self.wanted.is_empty() {
            return vec![self.nothing_ready()];
        }
        if !self.wanted.iter().any(|required| covers(able, required)) {
            return vec![self.lacks()];
        }
        if self.found == 0 {
            return self.blocked().into_iter().chain(self.excluded()).collect();
        }
        if self.agent.quota_until.is_some() {
            return vec![self.kept(AgentHindrance::Quota)];
        }
        if let Some(short) = budget(TaskCauseKind::Budget, &self.short, None) {
            let TaskCause { detail, remedy, facts, .. } = short;
            return vec![cause(AgentCauseKind::Budget, detail, remedy, facts)];
        }
        self.left_for().into_iter().collect()
    }

    fn nothing_ready(&self) -> AgentCause {
        let body = serde_json::json!({
            "title": "More work",
            "tasks": [{"ref": "a", "title": "More work", "capabilities": self.agent.capabilities}],
        });
        let what = "Posts a goal with one task for it; say in `title` and `description` what is to be done.";
        let remedy =
            Remedy::by(Actor::operator(), request::post("/v1/goals".to_owned(), body, what));
        cause(AgentCauseKind::NothingReady, "no task is ready", remedy, CauseFacts::default())
    }

    fn lacks(&self) -> AgentCause {
        let FleetAgent { agent_id, name, version, capabilities, .. } = &self.agent;
        let mut nearest: Vec<Vec<String>> =
            self.wanted.iter().map(|required| self.agent.lacks(required)).collect();
        nearest.sort_by_key(Vec::len);
        let lacks = nearest.into_iter().next().unwrap_or_default();
        let mut all = capabilities.clone();
        all.extend(lacks.iter().cloned());
        all.sort_unstable();
        all.dedup();
        let quoted: Vec<String> = lacks.iter().map(|name| format!("`{name}`")).collect();
        let detail = format!("ready tasks require {}, which it lacks", quoted.join(", "));
        let enable = request::enable(*agent_id, *version, name, &all);
        let standing = self.agent.standing(&lacks, &Keeping::Anybody);
        let facts =
            CauseFacts { capabilities: lacks, agents: vec![standing], ..CauseFacts::default() };
        let remedy = Remedy::by(Actor::operator(), enable);
        cause(AgentCauseKind::LacksCapability, detail, remedy, facts)
    }

    fn blocked(&self) -> Option<AgentCause> {
        let (first, waits) = (self.blocked.first()?, self.first_waits.as_ref()?);
        let detail = format!(
            "the ready tasks within its capabilities wait for something else; first of all `{}`: {}",
            first.r#ref, waits.detail
        );
        let TaskCause { cause: kind, remedy, facts, .. } = waits.clone();
        let facts = CauseFacts {
            tasks: self.blocked.iter().take(NAMED).cloned().collect(),
            tasks_count: i64::try_from(self.blocked.len()).ok(),
            ..facts
        };
        let found = cause(AgentCauseKind::Blocked, detail, remedy, facts);
        Some(AgentCause { task_cause: Some(kind), ..found })
    }

    fn excluded(&self) -> Option<AgentCause> {
        let opened = self.excluded.iter().find(|kept| !kept.own_check);
        let first = opened.or_else(|| self.excluded.first())?;
        let (why, remedy) = if first.own_check {
            let why = "checks what it made, or what an agent of its owner made: another agent has to do it";
            (why.to_owned(), Remedy::nothing())
        } else if first.to.except_agent_id == Some(self.agent.agent_id) {
            ("was taken from it, or handed over by it".to_owned(), self.opened(first))
        } else {
            (offer::sentence(&first.to), self.opened(first))
        };
        let detail = format!(
            "the ready tasks within its capabilities are not for it; first of all `{}`, which {why}",
            first.task.r#ref
        );
        let others = self.excluded.iter().filter(|kept| kept.task.task_id != first.task.task_id);
        let tasks = std::iter::once(first).chain(others).map(|kept| kept.task.clone());
        let facts = CauseFacts {
            tasks: tasks.take(NAMED).collect(),
            tasks_count: i64::try_from(self.excluded.len()).ok(),
            offered: (first.to != OfferedTo::default()).then(|| first.to.clone()),
            ..CauseFacts::default()
        };
        Some(cause(AgentCauseKind::Excluded, detail, remedy, facts))
    }

    fn opened(&self, kept: &KeptTask) -> Remedy {
        let open = request::open_to_all(kept.task.task_id);
        Remedy { clears_at: kept.to.until, ..Remedy::by(Actor::operator(), open) }
    }

    fn left_for(&self) -> Option<AgentCause> {
        let LeftFor { agent_id, name, until } = self.left_for.as_ref()?;
        let detail = format!(
            "what it could do is left for the better agent `{name}` until {}",
            until.to_rfc3339()
        );
        let acts = Actor::agent(*agent_id, name);
        let remedy = Remedy { clears_at: Some(*until), ..Remedy::by(acts, request::claim(1)) };
        Some(cause(AgentCauseKind::Deferral, detail, remedy, CauseFacts::default()))
    }

    fn work(&self) -> AgentCause {
        let count =
            if self.found == 1 { "1 task".to_owned() } else { format!("{} tasks", self.found) };
        let detail = format!("there is work for it, at least {count}: it has only to claim");
        let acts = Actor::agent(self.agent.agent_id, &self.agent.name);
        let remedy = Remedy::by(acts, request::claim(1));
        cause(AgentCauseKind::Work, detail, remedy, CauseFacts::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        explain::{answer::ActorKind, fleet::sound},
        ids::TaskId,
        states::TaskState,
    };

    fn situation() -> AgentSituation {
        AgentSituation {
            agent: sound(1, &["rust"]),
            archived: false,
            wanted: vec![vec!["rust".to_owned()]],
            found: 1,
            excluded: Vec::new(),
            blocked: Vec::new(),
            first_waits: None,
            short: Vec::new(),
            left_for: None,
        }
    }

    fn first(at: &AgentSituation) -> AgentCauseKind {
        causes(at).first().map(|cause| cause.cause).unwrap()
    }

    fn task() -> NamedTask {
        NamedTask {
            task_id: TaskId(uuid::Uuid::nil()),
            r#ref: "a".into(),
            title: "a".into(),
            state: TaskState::Ready,
            attempt_id: None,
            agent_id: None,
            agent_name: None,
        }
    }

    fn kept() -> KeptTask {
        let agent_name = Some("other".to_owned());
        let to = OfferedTo { agent_name, ..OfferedTo::default() };
        KeptTask { task: task(), to, own_check: false }
    }

    #[test]
    fn an_agent_with_work_has_only_to_claim() {
        let found = causes(&situation());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].cause, AgentCauseKind::Work);
        assert_eq!(found[0].remedy.acts.kind, ActorKind::Agent);
    }

    #[test]
    fn what_stops_the_agent_comes_before_what_stops_the_tasks() {
        let mut at = situation();
        at.wanted.clear();
        at.agent.state = AgentState::Paused;
        let kinds: Vec<AgentCauseKind> = causes(&at).iter().map(|cause| cause.cause).collect();
        assert_eq!(kinds, [AgentCauseKind::Paused, AgentCauseKind::NothingReady]);
        at.agent.state = AgentState::Retired;
        assert_eq!(first(&at), AgentCauseKind::Retired);
        at.archived = true;
        assert_eq!(first(&at), AgentCauseKind::Archived);
    }

    #[test]
    fn silence_is_no_cause() {
        let mut at = situation();
        at.agent.heard = false;
        assert_eq!(first(&at), AgentCauseKind::Work);
    }

    #[test]
    fn the_nearest_wanted_capabilities_are_named() {
        let mut at = situation();
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        at.wanted = vec![set(&["gpu", "tpu"]), set(&["gpu", "rust"])];
        at.found = 0;
        let found = causes(&at);
        assert_eq!(found[0].cause, AgentCauseKind::LacksCapability);
        assert_eq!(found[0].facts.capabilities, ["gpu"]);
        let body = found[0].remedy.request.as_ref().and_then(|request| request.body.clone());
        assert_eq!(body, Some(serde_json::json!({"capabilities": ["gpu", "rust"]})));
    }

    #[test]
    fn blocked_tasks_say_what_the_first_waits_for() {
        let mut at = situation();
        at.found = 0;
        at.excluded = vec![kept()];
        assert_eq!(first(&at), AgentCauseKind::Excluded);
        at.blocked = vec![task()];
        at.first_waits = Some(TaskCause {
            cause: TaskCauseKind::Rate,
            detail: "it waits".into(),
            remedy: Remedy::nothing(),
            facts: CauseFacts::default(),
        });
        let found = causes(&at);
        assert_eq!(found[0].cause, AgentCauseKind::Blocked);
        assert_eq!(found[0].task_cause, Some(TaskCauseKind::Rate));
        assert_eq!(found[1].cause, AgentCauseKind::Excluded);
    }

    #[test]
    fn a_task_for_somebody_else_says_for_whom_and_until_when() {
        let mut at = situation();
        at.found = 0;
        let until = chrono::DateTime::from_timestamp(60, 0);
        let own = KeptTask { own_check: true, to: OfferedTo::default(), ..kept() };
        at.excluded =
            vec![own.clone(), KeptTask { to: OfferedTo { until, ..kept().to }, ..kept() }];
        let found = causes(&at);
        assert_eq!(found[0].remedy.clears_at, until);
        assert_eq!(found[0].remedy.acts.kind, ActorKind::Operator);
        assert!(found[0].detail.contains("`other`"), "{}", found[0].detail);
        assert_eq!(found[0].facts.offered.as_ref().and_then(|to| to.until), until);
        // Nobody gives an agent a check of its own work.
        at.excluded = vec![own];
        assert_eq!(causes(&at)[0].remedy, Remedy::nothing());
    }
}
