//! Playbooks as they are sent and shown.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    app::Result,
    domain::{
        ids::KeyId,
        plan::playbook::{
            Text, builtin::BuiltIn, document, fault::Fault, shelf::BUILT_IN, variable::Variable,
        },
        refusal::Refusal,
    },
    store::playbooks::PlaybookRow,
};

/// A playbook to store or try: its source in YAML, or its document in JSON.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPlaybook {
    /// The playbook in YAML, at most 256 KiB. It is kept as it is, with its comments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(
        example = "name: greet\ntitle: Greet somebody\nvariables:\n  who: {type: string}\ntasks:\n  - ref: greet\n    title: \"Greet {{ who }}\"\n"
    )]
    pub source: Option<String>,
    /// The playbook in JSON, instead of `source`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub document: Option<Value>,
    /// Whether the body of the request is `source` itself: errors have their places in that.
    #[serde(skip)]
    pub is_body: bool,
}

impl NewPlaybook {
    /// The playbook of a request whose body is its YAML.
    #[must_use]
    pub fn of_body(source: String) -> Self {
        Self { source: Some(source), document: None, is_body: true }
    }

    /// Where the request has the text.
    fn at(&self) -> &'static str {
        match (self.is_body, &self.document) {
            (true, _) => "",
            (false, None) => "/source",
            (false, Some(_)) => "/document",
        }
    }

    /// A refusal with every fault.
    pub(in crate::app) fn refused(&self, text: &Text, faults: &[Fault]) -> Refusal {
        Refusal::invalid(text.errors(self.at(), faults))
    }

    /// The text.
    ///
    /// # Errors
    /// `invalid` if there is none, or it cannot be read.
    pub(in crate::app) fn text(&self) -> Result<Text> {
        let unread = |faults: Vec<Fault>| {
            let said = faults.first().map_or("", |fault| fault.detail.as_str());
            Refusal::invalid_at(self.at(), said)
        };
        let text = match (&self.source, &self.document) {
            (Some(source), None) => Text::of_source(source).map_err(unread),
            (None, Some(document)) => Text::of_document(document.clone()).map_err(unread),
            (Some(_), Some(_)) => {
                Err(Refusal::invalid_at("/document", "must be absent beside `source`"))
            }
            (None, None) => Err(Refusal::invalid_at(
                "/source",
                "send the playbook as YAML in `source`, or as JSON in `document`",
            )),
        };
        Ok(text?)
    }
}

/// A version of a playbook: a template of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Playbook {
    /// Its name, unique in the workspace.
    #[schema(example = "fix-a-bug")]
    pub name: String,
    /// What it is for, in one line.
    #[schema(example = "Fix a bug, with a test that fails without the fix")]
    pub title: String,
    /// How and when to use it, in Markdown.
    pub description: String,
    /// The version that is shown, from 1; 0: the built-in text.
    pub version: i32,
    /// Number of the latest version.
    pub latest_version: i32,
    /// Whether it is part of the service.
    pub built_in: bool,
    /// Its variables by name, with their types, bounds and defaults.
    pub variables: BTreeMap<String, Variable>,
    /// The document. Only when one playbook is read; `null` in lists.
    #[schema(value_type = Option<Object>)]
    pub document: Option<Value>,
    /// The YAML that it was stored as. `null` if it was stored as JSON, and in lists.
    pub source: Option<String>,
    /// The key that stored the version; `null` if it is built in.
    pub created_by: Option<KeyId>,
    /// When the version was stored; `null` if it is built in.
    pub created_at: Option<DateTime<Utc>>,
    /// When the playbook was archived; `null`: it is not, and lists have it.
    pub archived_at: Option<DateTime<Utc>>,
}

impl From<PlaybookRow> for Playbook {
    fn from(row: PlaybookRow) -> Self {
        let PlaybookRow {
            playbook_id: _,
            name,
            latest,
            archived_at,
            version,
            document,
            source,
            created_by,
            created_at,
        } = row;
        // It was read before it was stored; if a later release does not read it, its text is shown all the same.
        let read = document::parse(&document.0).ok();
        let (title, description, variables) = read.map_or_else(Default::default, |read| {
            (read.title, read.description, read.variables.into_iter().collect())
        });
        Self {
            name,
            title,
            description,
            version,
            latest_version: latest,
            built_in: false,
            variables,
            document: Some(document.0),
            source,
            created_by,
            created_at: Some(created_at),
            archived_at,
        }
    }
}

impl Playbook {
    /// A built-in one.
    #[must_use]
    pub fn built_in(of: &BuiltIn) -> Self {
        Self {
            name: of.playbook.name.clone(),
            title: of.playbook.title.clone(),
            description: of.playbook.description.clone(),
            version: BUILT_IN,
            latest_version: BUILT_IN,
            built_in: true,
            variables: of.playbook.variables.iter().cloned().collect(),
            document: Some(of.text.document.clone()),
            source: of.text.source.clone(),
            created_by: None,
            created_at: None,
            archived_at: None,
        }
    }

    /// As it is in a list.
    #[must_use]
    pub fn in_list(self) -> Self {
        Self { document: None, source: None, ..self }
    }
}

/// A version in the list of a playbook's versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PlaybookVersion {
    /// Its number, from 1; 0: the built-in text.
    pub version: i32,
    /// The key that stored it; `null` if it is built in.
    pub created_by: Option<KeyId>,
    /// When it was stored; `null` if it is built in.
    pub created_at: Option<DateTime<Utc>>,
}

impl From<PlaybookRow> for PlaybookVersion {
    fn from(row: PlaybookRow) -> Self {
        let PlaybookRow { version, created_by, created_at, .. } = row;
        Self { version, created_by, created_at: Some(created_at) }
    }
}

impl PlaybookVersion {
    /// The built-in text.
    #[must_use]
    pub fn built_in() -> Self {
        Self { version: BUILT_IN, created_by: None, created_at: None }
    }
}
