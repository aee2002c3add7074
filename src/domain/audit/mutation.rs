//! What is to be written into the audit.

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{Digest, NewEntry};
use crate::domain::{
    access::{actor::Actor, person::Person},
    event::NewEvent,
    ids::{GoalId, WorkspaceId},
};

/// A mutation: every event is one, and what no event tells of is said in the words of this.
#[derive(Debug, Clone)]
pub struct Mutation {
    action: String,
    subject: &'static str,
    subject_id: Uuid,
    goal: Option<GoalId>,
    actor: Option<Actor>,
    before: Option<Digest>,
    after: Option<Digest>,
    details: Option<Value>,
}

/// The hash of something as it is shown, or of the facts of it that rules know. None for what cannot
/// be written as JSON, which nothing of ours is.
#[must_use]
pub fn state<T: Serialize>(thing: &T) -> Option<Digest> {
    serde_json::to_value(thing).ok().map(|value| Digest::of(&value))
}

impl Mutation {
    /// `action` was done to a `subject`.
    #[must_use]
    pub fn new(action: impl Into<String>, subject: &'static str, id: impl Into<Uuid>) -> Self {
        Self {
            action: action.into(),
            subject,
            subject_id: id.into(),
            goal: None,
            actor: None,
            before: None,
            after: None,
            details: None,
        }
    }

    /// What an event tells of. An event that says nothing of what was before and after is a record of
    /// its own: what it says is what came to be. Details of tasks are in the event: there are many.
    #[must_use]
    pub fn told(event: &NewEvent, workspace: WorkspaceId) -> Self {
        let (subject, subject_id) = event.subject().unwrap_or(("workspace", workspace.0));
        let told = event.before.is_some() || event.after.is_some();
        let says = event.data.as_object().is_some_and(|data| !data.is_empty());
        let after = event.after.or_else(|| (!told).then(|| Digest::of(&event.data)));
        Self {
            goal: event.goal,
            actor: event.actor.clone(),
            before: event.before,
            after,
            details: (says && subject != "task").then(|| event.data.clone()),
            ..Self::new(event.kind.as_str(), subject, subject_id)
        }
    }

    /// The goal that it concerns: it is done for whoever the goal is for.
    #[must_use]
    pub fn goal(mut self, goal: GoalId) -> Self {
        self.goal = Some(goal);
        self
    }

    /// Who did it, where that is not whoever the unit of work acts for.
    #[must_use]
    pub fn by(mut self, actor: Actor) -> Self {
        self.actor = Some(actor);
        self
    }

    /// The subject as it was.
    #[must_use]
    pub fn before<T: Serialize>(mut self, thing: &T) -> Self {
        self.before = state(thing);
        self
    }

    /// The subject as it is now.
    #[must_use]
    pub fn after<T: Serialize>(mut self, thing: &T) -> Self {
        self.after = state(thing);
        self
    }

    /// The goal that it concerns.
    #[must_use]
    pub fn about(&self) -> Option<GoalId> {
        self.goal
    }

    /// The entry, of what was done for these people by whoever did it, else by `acting`.
    #[must_use]
    pub fn entry(self, acting: &Actor, wanted_by: &[String]) -> NewEntry {
        let Self { action, subject, subject_id, goal: _, actor, before, after, details } = self;
        let Actor { key, person, owner, request_id } = actor.unwrap_or_else(|| acting.clone());
        let actor_person = person.as_ref().map(|person| person.as_str().to_owned());
        let mut on_behalf_of: Vec<String> = Vec::new();
        let owner = owner.as_ref().map(Person::as_str);
        for person in owner.into_iter().chain(wanted_by.iter().map(String::as_str)) {
            let known = on_behalf_of.iter().any(|name| name == person);
            if !known && actor_person.as_deref() != Some(person) {
                on_behalf_of.push(person.to_owned());
            }
        }
        NewEntry {
            action,
            subject,
            subject_id,
            actor_key: key,
            actor_person,
            on_behalf_of,
            request_id: request_id.map(|id| id.to_string()),
            before,
            after,
            details,
        }
    }
}
