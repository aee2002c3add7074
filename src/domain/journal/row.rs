//! A row of the journal: to be written, and as it was written.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};
use uuid::Uuid;

use super::{Digest, Hex, Kind};
use crate::domain::{
    access::actor::Actor,
    ids::{AgentId, ApprovalId, AttemptId, GoalId, KeyId, LinkId, ProjectId, TaskId, WorkspaceId},
    task::AttemptFacts,
};

/// Bytes of the salt of a row's data.
pub const SALT_BYTES: usize = 16;

/// A row to be written. It gets its number when its transaction commits.
///
/// Its subject is the thing its kind begins with: `task.done` is about the task, `budget.created`
/// about the budget whose id `data` has as `budget_id`.
#[derive(Debug, Clone)]
pub struct NewRow {
    /// What happened.
    pub kind: Kind,
    /// The project it concerns.
    pub project: Option<ProjectId>,
    /// The goal it concerns.
    pub goal: Option<GoalId>,
    /// The task it concerns.
    pub task: Option<TaskId>,
    /// The attempt it concerns.
    pub attempt: Option<AttemptId>,
    /// The agent it concerns.
    pub agent: Option<AgentId>,
    /// The approval it concerns.
    pub approval: Option<ApprovalId>,
    /// Who did it. `None` until it is recorded means: the actor of the unit of work.
    pub actor: Option<Actor>,
    /// The people for whom it was done, beside the actor; the unit of work sets it.
    pub on_behalf_of: Vec<String>,
    /// Details; never secrets, never long text.
    pub data: Map<String, Value>,
    /// The hash of the subject before an edit.
    pub before: Option<Digest>,
    /// The hash of the subject after an edit, or as it was created.
    pub after: Option<Digest>,
    /// Hashed before `data`; the unit of work sets it.
    pub salt: [u8; SALT_BYTES],
}

impl NewRow {
    /// A row of `kind` that concerns nothing yet.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            project: None,
            goal: None,
            task: None,
            attempt: None,
            agent: None,
            approval: None,
            actor: None,
            on_behalf_of: Vec::new(),
            data: Map::new(),
            before: None,
            after: None,
            salt: [0; SALT_BYTES],
        }
    }

    /// The project it concerns.
    #[must_use]
    pub fn project(mut self, project: impl Into<Option<ProjectId>>) -> Self {
        self.project = project.into();
        self
    }

    /// The goal it concerns.
    #[must_use]
    pub fn goal(mut self, goal: impl Into<Option<GoalId>>) -> Self {
        self.goal = goal.into();
        self
    }

    /// The task it concerns.
    #[must_use]
    pub fn task(mut self, task: impl Into<Option<TaskId>>) -> Self {
        self.task = task.into();
        self
    }

    /// The attempt it concerns.
    #[must_use]
    pub fn attempt(mut self, attempt: impl Into<Option<AttemptId>>) -> Self {
        self.attempt = attempt.into();
        self
    }

    /// The agent it concerns.
    #[must_use]
    pub fn agent(mut self, agent: impl Into<Option<AgentId>>) -> Self {
        self.agent = agent.into();
        self
    }

    /// The approval it concerns.
    #[must_use]
    pub fn approval(mut self, approval: impl Into<Option<ApprovalId>>) -> Self {
        self.approval = approval.into();
        self
    }

    /// The attempt it concerns, with its task, goal and agent.
    #[must_use]
    pub fn of_attempt(self, attempt: &AttemptFacts) -> Self {
        let AttemptFacts { attempt_id, task_id, goal_id, holder, .. } = attempt;
        self.goal(*goal_id).task(*task_id).attempt(*attempt_id).agent(holder.agent())
    }

    /// Who did it.
    #[must_use]
    pub fn by(mut self, actor: impl Into<Option<Actor>>) -> Self {
        self.actor = actor.into();
        self
    }

    /// Details: an object. Anything else is dropped.
    #[must_use]
    pub fn data(mut self, data: Value) -> Self {
        if let Value::Object(data) = data {
            self.data = data;
        }
        self
    }

    /// The subject before an edit, as it is shown or as rules know it.
    #[must_use]
    pub fn before<T: Serialize>(mut self, subject: &T) -> Self {
        self.before = Digest::of_value(subject);
        self
    }

    /// The subject after an edit, or as it was created.
    #[must_use]
    pub fn after<T: Serialize>(mut self, subject: &T) -> Self {
        self.after = Digest::of_value(subject);
        self
    }

    /// The noun and the id of its subject. `None`: the workspace.
    #[must_use]
    pub fn subject(&self) -> Option<(&'static str, Uuid)> {
        let (noun, _) = self.kind.as_str().split_once('.')?;
        let id = match noun {
            "project" => self.project.map(Uuid::from),
            "goal" => self.goal.map(Uuid::from),
            "task" => self.task.map(Uuid::from),
            "attempt" => self.attempt.map(Uuid::from),
            "agent" => self.agent.map(Uuid::from),
            "approval" => self.approval.map(Uuid::from),
            _ => self.data.get(&format!("{noun}_id")).and_then(|id| id.as_str()?.parse().ok()),
        };
        Some((noun, id?))
    }
}

/// A row of the journal: one thing that happened in a workspace.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Id of the workspace in which it happened.
    pub workspace_id: WorkspaceId,
    /// Counts the rows of the workspace from 1, without gaps, in the order of commits.
    #[schema(example = 5119)]
    pub number: i64,
    /// When it happened: the time of its transaction.
    pub at: DateTime<Utc>,
    /// What happened, `noun.verb`. Ignore unknown kinds: later versions add some.
    #[schema(value_type = Kind)]
    pub kind: String,
    /// Whether it is an event, which every reader sees.
    pub public: bool,
    /// The project it concerns. Absent where a goal is named, which has its project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// The goal it concerns; absent if it concerns none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal_id: Option<GoalId>,
    /// The task it concerns; absent if it concerns none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// The attempt it concerns; absent if it concerns none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_id: Option<AttemptId>,
    /// The agent it concerns; absent if it concerns none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// The approval it concerns; absent if it concerns none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_id: Option<ApprovalId>,
    /// The noun of its subject: `task`, `goal`, `key`, ...; `workspace` for the workspace as a whole.
    #[schema(example = "task")]
    pub subject: String,
    /// The id of its subject.
    pub subject_id: Uuid,
    /// The key that did it; absent: the service itself, a person with a decision link, or the command
    /// line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_key_id: Option<KeyId>,
    /// The person who did it: the owner of the key at that time, or the person of the link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "alice@example.com")]
    pub actor_person: Option<String>,
    /// The decision link used by the actor; absent if none was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_id: Option<LinkId>,
    /// The key that created that link; absent without a link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_maker: Option<KeyId>,
    /// The people for whom it was done, beside the actor: the owner of the agent, and those named in
    /// the goal. Absent: nobody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["bob@example.com"]))]
    pub on_behalf_of: Option<Vec<String>>,
    /// The request: `X-Request-Id` of its answer, also in the service's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "req_5b1f6c1d5e0a4f0f9be6d5f2a7c3e811")]
    pub request: Option<String>,
    /// The trace of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<Uuid>,
    /// SHA-256 of the canonical form (RFC 8785) of the subject before an edit. Absent: it did not
    /// exist, or it was not edited by a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_sha256: Option<Hex>,
    /// The same of the subject after the edit, or as it was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_sha256: Option<Hex>,
    /// Details, by kind. Absent: they were erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub data: Option<Box<RawValue>>,
    /// The version of the shape of `data` for its kind, from 1.
    #[schema(example = 1)]
    pub data_version: i16,
    /// The salt of the digest of `data`: 16 bytes. Absent: erased together with `data`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<Hex>,
    /// SHA-256 of `salt` and `data`; present only after an erasure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_sha256: Option<Hex>,
}

impl Row {
    /// Its digest, as the module describes it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&[&Digest::of(&[&self.envelope()]).0, &self.data_digest()])
    }

    /// Whether its data was erased, together with its salt and in favour of a digest.
    #[must_use]
    pub fn is_erased(&self) -> bool {
        matches!((&self.data, &self.salt, &self.data_sha256), (None, None, Some(_)))
    }

    fn data_digest(&self) -> Vec<u8> {
        let Self { data, salt, data_sha256, .. } = self;
        let bytes = |hex: &Option<Hex>| hex.as_ref().map(|hex| hex.0.clone()).unwrap_or_default();
        if let (None, None, Some(kept)) = (data, salt, data_sha256) {
            return kept.0.clone();
        }
        let data = data.as_ref().map_or("", |data| data.get());
        // A row that has its data and a digest of erased data is not what was sealed.
        Digest::of(&[&bytes(salt), data.as_bytes(), &bytes(data_sha256)]).0.to_vec()
    }

    fn envelope(&self) -> Vec<u8> {
        let Self {
            workspace_id,
            number: _,
            at,
            kind,
            public,
            project_id,
            goal_id,
            task_id,
            attempt_id,
            agent_id,
            approval_id,
            subject,
            subject_id,
            actor_key_id,
            actor_person,
            link_id,
            link_maker,
            on_behalf_of,
            request,
            trace_id,
            before_sha256,
            after_sha256,
            data: _,
            data_version,
            salt: _,
            data_sha256: _,
        } = self;
        let mut out = Envelope::new();
        out.field(Some(workspace_id.0.as_bytes()));
        out.number(at.timestamp_micros());
        out.text(Some(kind));
        out.field(Some(&[u8::from(*public)]));
        out.id(project_id.map(Uuid::from));
        out.id(goal_id.map(Uuid::from));
        out.id(task_id.map(Uuid::from));
        out.id(attempt_id.map(Uuid::from));
        out.id(agent_id.map(Uuid::from));
        out.id(approval_id.map(Uuid::from));
        out.text(Some(subject));
        out.id(Some(*subject_id));
        out.id(actor_key_id.map(Uuid::from));
        out.text(actor_person.as_ref());
        out.id(link_id.map(Uuid::from));
        out.id(link_maker.map(Uuid::from));
        out.texts(on_behalf_of.as_deref());
        out.text(request.as_ref());
        out.id(*trace_id);
        out.field(before_sha256.as_ref().map(|hex| hex.0.as_slice()));
        out.field(after_sha256.as_ref().map(|hex| hex.0.as_slice()));
        out.number((*data_version).into());
        out.0
    }
}

/// The columns of a row as bytes.
struct Envelope(Vec<u8>);

impl Envelope {
    fn new() -> Self {
        Self(vec![1])
    }

    fn field(&mut self, bytes: Option<&[u8]>) {
        let Some(bytes) = bytes else { return self.0.extend([0xff; 4]) };
        self.count(bytes.len());
        self.0.extend(bytes);
    }

    /// No column comes near 4 GiB.
    fn count(&mut self, count: usize) {
        self.0.extend(u32::try_from(count).unwrap_or(u32::MAX - 1).to_be_bytes());
    }

    fn id(&mut self, id: Option<Uuid>) {
        self.field(id.as_ref().map(|id| id.as_bytes().as_slice()));
    }

    fn number(&mut self, number: i64) {
        self.field(Some(&number.to_be_bytes()));
    }

    fn text(&mut self, text: Option<&String>) {
        self.field(text.map(|text| text.as_bytes()));
    }

    fn texts(&mut self, texts: Option<&[String]>) {
        let Some(texts) = texts else { return self.field(None) };
        let mut elements = Self(Vec::new());
        elements.count(texts.len());
        texts.iter().for_each(|text| elements.text(Some(text)));
        self.field(Some(&elements.0));
    }
}
