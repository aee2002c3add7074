//! Scopes of keys: what a key may do below its role.
//!
//! A role permits operations; a scope takes some away. A scope never adds anything. The kinds of
//! callers ([`crate::app::caller`]) say which scopes they admit ([`Admits`]); a kind that says nothing
//! admits none, so a new operation is closed to scoped keys until somebody decides otherwise.

use serde::{Deserialize, Serialize};

use super::role::Role;
use crate::domain::{check::Checks, ids::ProjectId, settings, words::words};

words! {
    /// What a key may do, within its role. `all`: everything; `read_only`: only reads;
    /// `reports`: only spend reports, forecasts and estimates; `own_attempts` (agents only):
    /// claims and works, and reads only its own attempts.
    #[derive(Default)]
    pub enum Access {
        /// Everything that the role permits.
        #[default]
        All => "all",
        /// Only reads.
        ReadOnly => "read_only",
        /// Only spend reports, forecasts and estimates.
        Reports => "reports",
        /// Only an agent's own attempts.
        OwnAttempts => "own_attempts",
    }
}

/// What a key may do and see below its role. Fixed when the key is made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = KeyScope)]
pub struct Scope {
    /// What the key may do within its role.
    pub access: Access,
    /// The only projects whose goals, tasks and approvals the key sees; others are not found, and
    /// operations on the workspace as a whole are forbidden. `null`: the whole workspace.
    #[schema(min_items = 1, max_items = 100)]
    pub projects: Option<Vec<ProjectId>>,
}

impl Scope {
    /// The scope of a key of an agent that is only recognised, not authenticated.
    pub const LEAST_OF_AGENTS: Self = Self { access: Access::OwnAttempts, projects: None };

    /// Whether the scope takes nothing away.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.access == Access::All && self.projects.is_none()
    }

    /// Whether the key sees what belongs to `project`; `None`: what belongs to no project.
    #[must_use]
    pub fn sees(&self, project: Option<ProjectId>) -> bool {
        match &self.projects {
            None => true,
            Some(own) => project.is_some_and(|project| own.contains(&project)),
        }
    }

    /// Checks a scope of a new key with this role.
    pub fn check(&self, checks: &mut Checks, role: Role) {
        let of_agent = role == Role::Agent;
        match self.access {
            Access::All => {}
            Access::OwnAttempts => checks.ensure(
                of_agent,
                "/scope/access",
                "`own_attempts` is for keys of agents; use `all`, `read_only` or `reports`",
            ),
            Access::ReadOnly | Access::Reports => checks.ensure(
                !of_agent,
                "/scope/access",
                "a key of an agent has `all` or `own_attempts`",
            ),
        }
        let Some(projects) = &self.projects else { return };
        let most = settings::SCOPE_PROJECTS;
        checks.ensure(
            (1..=most).contains(&projects.len()),
            "/scope/projects",
            "name 1 to 100 projects, or leave `projects` out for the whole workspace",
        );
        checks.ensure(
            !of_agent && self.access != Access::Reports,
            "/scope/projects",
            "keys of agents and keys for reports have no projects; leave `projects` out",
        );
    }
}

/// The scopes that a kind of caller admits. Keys with [`Access::All`] and no projects are always
/// admitted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Admits {
    /// Keys with `read_only`: the operations of the kind change nothing.
    pub read_only: bool,
    /// Keys with `reports`.
    pub reports: bool,
    /// Keys with `own_attempts`: the operations of the kind show nothing else.
    pub own_attempts: bool,
    /// Keys with projects: the operations of the kind check the project of every object.
    pub projects: bool,
}

impl Admits {
    /// No scope.
    pub const NONE: Self =
        Self { read_only: false, reports: false, own_attempts: false, projects: false };
    /// Every scope.
    pub const ANY: Self =
        Self { read_only: true, reports: true, own_attempts: true, projects: true };

    /// Whether a key with this scope is admitted.
    #[must_use]
    pub fn admits(self, scope: &Scope) -> bool {
        let access = match scope.access {
            Access::All => true,
            Access::ReadOnly => self.read_only,
            Access::Reports => self.reports,
            Access::OwnAttempts => self.own_attempts,
        };
        access && (scope.projects.is_none() || self.projects)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::domain::words::Words as _;

    fn project(number: u8) -> ProjectId {
        ProjectId(Uuid::from_u128(number.into()))
    }

    fn scopes() -> impl Strategy<Value = Scope> {
        let access = proptest::sample::select(Access::ALL);
        let projects = proptest::option::of(proptest::collection::vec(0u8..5, 1..4));
        (access, projects).prop_map(|(access, projects)| Scope {
            access,
            projects: projects.map(|list| list.into_iter().map(project).collect()),
        })
    }

    proptest! {
        #[test]
        fn a_key_with_projects_sees_those_and_nothing_else(
            scope in scopes(), of in proptest::option::of(0u8..5),
        ) {
            let of = of.map(project);
            let expected = match (&scope.projects, of) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(own), Some(of)) => own.contains(&of),
            };
            prop_assert_eq!(scope.sees(of), expected);
        }

        #[test]
        fn a_kind_that_says_nothing_admits_only_whole_keys(scope in scopes()) {
            prop_assert_eq!(Admits::NONE.admits(&scope), scope.is_whole());
            prop_assert!(Admits::ANY.admits(&scope));
        }
    }

    #[test]
    fn a_scope_that_does_not_fit_its_role_is_refused() {
        let refused = |access, projects: Option<Vec<ProjectId>>, role| {
            let mut checks = Checks::new();
            Scope { access, projects }.check(&mut checks, role);
            checks.finish().is_err()
        };
        assert!(refused(Access::OwnAttempts, None, Role::Operator));
        assert!(refused(Access::ReadOnly, None, Role::Agent));
        assert!(refused(Access::All, Some(vec![project(1)]), Role::Agent));
        assert!(refused(Access::Reports, Some(vec![project(1)]), Role::Viewer));
        assert!(refused(Access::All, Some(Vec::new()), Role::Viewer));
        assert!(!refused(Access::OwnAttempts, None, Role::Agent));
        assert!(!refused(Access::ReadOnly, Some(vec![project(1)]), Role::Operator));
    }
}
