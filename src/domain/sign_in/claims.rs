//! From the claims of an identity provider to a person and a role.
//!
//! Nothing is guessed: without the claim, or with a value that nobody mapped, a sign-in is refused.

use serde_json::{Map, Value};

use crate::domain::{
    access::{person::Person, role::Role},
    refusal::{Code, Refusal},
};

/// The claim of an e-mail address; only a verified address counts.
const EMAIL: &str = "email";

/// The verified claims of an ID token.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims {
    /// The identity provider.
    pub issuer: String,
    /// Who signed in; unique and stable at the provider.
    pub subject: String,
    /// Every claim by its name.
    pub all: Map<String, Value>,
}

impl Claims {
    /// A claim by its name, or by a JSON Pointer into the claims.
    fn find(&self, claim: &str) -> Option<&Value> {
        let Some(path) = claim.strip_prefix('/') else { return self.all.get(claim) };
        let mut parts = path.split('/').map(|part| part.replace("~1", "/").replace("~0", "~"));
        let first = self.all.get(&parts.next()?)?;
        parts.try_fold(first, |value, part| match value {
            Value::Object(map) => map.get(&part),
            Value::Array(list) => list.get(part.parse::<usize>().ok()?),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        })
    }
}

/// The person and the role of a sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapped {
    /// The person, as the provider names them.
    pub person: Person,
    /// The highest of the mapped roles.
    pub role: Role,
}

/// Why a mapping cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadMapping(String);

/// How claims become a person and a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    person_claim: String,
    role_claim: String,
    roles: Vec<(String, Role)>,
}

/// The roles that a provider may give, the highest first. An agent is registered and signs in nowhere.
const ROLES: [Role; 4] = [Role::Admin, Role::Operator, Role::Submitter, Role::Viewer];

impl Mapping {
    /// Reads a mapping: `value=role` pairs, separated by semicolons.
    ///
    /// # Errors
    /// When there is no pair, or one has no value or no role of a person.
    pub fn parse(person_claim: &str, role_claim: &str, roles: &str) -> Result<Self, BadMapping> {
        let mut pairs = Vec::new();
        for pair in roles.split(';').map(str::trim).filter(|pair| !pair.is_empty()) {
            let bad = || {
                let roles = "admin, operator, submitter or viewer";
                BadMapping(format!("`{pair}` is not a value of the claim, `=`, and {roles}"))
            };
            // Names of groups may have an equals sign of their own.
            let (value, role) = pair.rsplit_once('=').ok_or_else(bad)?;
            let role: Role = role.trim().parse().map_err(|_| bad())?;
            if value.trim().is_empty() || !ROLES.contains(&role) {
                return Err(bad());
            }
            pairs.push((value.trim().to_owned(), role));
        }
        if pairs.is_empty() {
            return Err(BadMapping("it maps no value to a role".into()));
        }
        if person_claim.is_empty() || role_claim.is_empty() {
            return Err(BadMapping("the name of a claim is empty".into()));
        }
        let (person_claim, role_claim) = (person_claim.to_owned(), role_claim.to_owned());
        Ok(Self { person_claim, role_claim, roles: pairs })
    }

    /// The person and role that the claims prove.
    ///
    /// # Errors
    /// `sign_in_refused`.
    pub fn map(&self, claims: &Claims) -> Result<Mapped, Refusal> {
        Ok(Mapped { person: self.person(claims)?, role: self.role(claims)? })
    }

    fn person(&self, claims: &Claims) -> Result<Person, Refusal> {
        let claim = &self.person_claim;
        let Some(name) = claims.find(claim).and_then(Value::as_str) else {
            return Err(refused(format!(
                "the identity provider does not send the claim `{claim}`, which names the person"
            )));
        };
        if claim == EMAIL && !is_verified(claims) {
            let detail = "the identity provider did not verify your e-mail address";
            return Err(refused(detail.to_owned()));
        }
        name.parse().map_err(|error| refused(format!("the claim `{claim}`: {error}")))
    }

    fn role(&self, claims: &Claims) -> Result<Role, Refusal> {
        let claim = &self.role_claim;
        let has = |wanted: &str| match claims.find(claim) {
            Some(Value::String(value)) => value == wanted,
            Some(Value::Array(values)) => values.iter().any(|value| value == wanted),
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => {
                false
            }
        };
        let given = |role: &Role| self.roles.iter().any(|(value, of)| of == role && has(value));
        ROLES.into_iter().find(given).ok_or_else(|| {
            refused(format!(
                "the identity provider gives you no role: no value of the claim `{claim}` is mapped \
                 to one"
            ))
        })
    }
}

fn is_verified(claims: &Claims) -> bool {
    match claims.all.get("email_verified") {
        Some(Value::Bool(verified)) => *verified,
        // Some providers send every claim as a text.
        Some(Value::String(verified)) => verified == "true",
        Some(Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_)) | None => false,
    }
}

fn refused(detail: String) -> Refusal {
    Refusal::new(Code::SignInRefused, detail)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn claims(all: Value) -> Claims {
        let Value::Object(all) = all else { panic!("no object") };
        Claims { issuer: "https://id.example.com".into(), subject: "1".into(), all }
    }

    fn mapping() -> Mapping {
        let roles = "admins=admin; ops=operator;ci=submitter;cn=all,dc=example=viewer";
        Mapping::parse("email", "groups", roles).unwrap()
    }

    fn role(groups: Value) -> Option<Role> {
        let all = json!({"email": "a@b.c", "email_verified": true, "groups": groups});
        mapping().map(&claims(all)).ok().map(|mapped| mapped.role)
    }

    proptest! {
        #[test]
        fn the_highest_mapped_role_counts(groups in proptest::collection::vec(
            proptest::sample::select(&["admins", "ops", "ci", "cn=all,dc=example", "others", "admin"][..]), 0..6,
        )) {
            let has = |group: &str| groups.contains(&group);
            let expected = match () {
                () if has("admins") => Some(Role::Admin),
                () if has("ops") => Some(Role::Operator),
                () if has("ci") => Some(Role::Submitter),
                () if has("cn=all,dc=example") => Some(Role::Viewer),
                () => None,
            };
            prop_assert_eq!(role(json!(groups)), expected);
        }
    }

    #[test]
    fn a_role_is_a_whole_value_and_nothing_else() {
        assert_eq!(role(json!("ops")), Some(Role::Operator));
        for other in
            [json!("ops admins"), json!(null), json!(true), json!({"ops": true}), json!([["ops"]])]
        {
            assert_eq!(role(other.clone()), None, "{other}");
        }
        let all = json!({"email": "a@b.c", "email_verified": true});
        let refused = mapping().map(&claims(all)).unwrap_err();
        assert_eq!(refused.code, Code::SignInRefused);
    }

    #[test]
    fn only_a_verified_address_names_a_person() {
        let with = |verified: Value| {
            let all =
                json!({"email": "Alice@Example.com", "email_verified": verified, "groups": "ops"});
            mapping().map(&claims(all)).ok().map(|mapped| mapped.person.to_string())
        };
        let alice = Some("alice@example.com".to_owned());
        assert_eq!(with(json!(true)), alice);
        assert_eq!(with(json!("true")), alice);
        for other in [json!(false), json!("false"), json!(1), json!(null), json!(["true"])] {
            assert_eq!(with(other.clone()), None, "{other}");
        }
        let named = Mapping::parse("preferred_username", "groups", "ops=operator").unwrap();
        let of = |name: Value| {
            named.map(&claims(json!({"preferred_username": name, "groups": ["ops"]}))).is_ok()
        };
        assert!(of(json!("alice")));
        for bad in
            [json!(""), json!("alice smith"), json!("\u{430}lice"), json!(7), json!(["alice"])]
        {
            assert!(!of(bad.clone()), "{bad}");
        }
    }

    #[test]
    fn a_pointer_leads_into_claims() {
        let nested = Mapping::parse("sub/name", "/realm_access/roles", "ops=operator").unwrap();
        let all = json!({"sub/name": "alice", "realm_access": {"roles": ["x", "ops"]}});
        assert_eq!(nested.map(&claims(all)).unwrap().role, Role::Operator);
        let url = Mapping::parse("sub", "https://example.com/roles", "ops=operator").unwrap();
        let all = json!({"sub": "alice", "https://example.com/roles": ["ops"]});
        assert_eq!(url.map(&claims(all)).unwrap().role, Role::Operator);
    }

    #[test]
    fn a_mapping_that_makes_no_sense_is_refused() {
        for bad in ["", ";", "ops", "=admin", "ops=agent", "ops=king", "ops=operator;x"] {
            assert!(Mapping::parse("email", "groups", bad).is_err(), "{bad}");
        }
        assert!(Mapping::parse("", "groups", "ops=operator").is_err());
    }
}
