//! Properties of the rules of criteria.

use proptest::prelude::*;
use serde_json::json;

use super::{
    evidence::{Artifacts, Piece},
    *,
};
use crate::domain::{artifact::ArtifactRef, check::Checks, words::Words as _};

fn digest(n: u8) -> ArtifactDigest {
    ArtifactDigest([n; 32])
}

fn decimal(text: &str) -> Decimal {
    Decimal::parse(text).unwrap()
}

fn criterion(of: CriterionType, min_tier: EvidenceTier) -> Criterion {
    let terms = match of {
        CriterionType::JsonSchema => Terms {
            json_schema: Some(SchemaTerms { schema: json!({"type": "object"}), at: String::new() }),
            ..Terms::default()
        },
        CriterionType::Artifact => Terms {
            artifact: Some(ArtifactTerms { digest: Some(digest(1)), ..ArtifactTerms::default() }),
            ..Terms::default()
        },
        CriterionType::Metric => Terms {
            metric: Some(MetricTerms {
                name: "coverage".into(),
                comparison: Comparison::AtLeast,
                value: decimal("0.8"),
            }),
            ..Terms::default()
        },
        CriterionType::Command => Terms {
            command: Some(CommandTerms { program: vec!["true".into()], exit_code: 0 }),
            ..Terms::default()
        },
        CriterionType::Text | CriterionType::Review | CriterionType::Person => Terms::default(),
    };
    let min_tier = min_tier.max(of.tier());
    Criterion { number: 1, required: true, r#type: of, terms, min_tier, reports: false }
}

fn any_criterion() -> impl Strategy<Value = Criterion> {
    let types = proptest::sample::select(CriterionType::ALL);
    let tiers = proptest::sample::select(EvidenceTier::ALL);
    let flags = (any::<bool>(), any::<bool>());
    (types, tiers, flags).prop_map(|(of, tier, (required, reports))| Criterion {
        required,
        reports,
        ..criterion(of, tier)
    })
}

fn stored() -> Artifacts {
    let artifact = |n, size, of: &str| {
        let digest = digest(n);
        (digest, ArtifactRef { digest, size, media_type: of.into() })
    };
    [artifact(1, 10, "text/plain"), artifact(2, 1000, "image/png")].into()
}

fn any_piece() -> impl Strategy<Value = Piece> {
    let artifact = proptest::option::of((0u8..4).prop_map(digest));
    let value = proptest::option::of((-2i32..2).prop_map(|n| decimal(&n.to_string())));
    let exit_code = proptest::option::of(0i32..2);
    (any::<bool>(), artifact, value, exit_code).prop_map(|(met, artifact, value, exit_code)| {
        Piece { criterion: Some(1), met, artifact, value, exit_code }
    })
}

fn refused(piece: &Piece, criterion: &Criterion) -> bool {
    let mut checks = Checks::new();
    evidence::check(&mut checks, "/evidence/0", piece, Some(criterion), &stored());
    checks.finish().is_err()
}

proptest! {
    /// What an attempt, its checks and its approval give together reaches the demanded tier, and nothing is
    /// asked that is not needed for it.
    #[test]
    fn what_is_needed_reaches_the_demanded_tier(criterion in any_criterion()) {
        let needs = needs(&criterion);
        if !criterion.required || criterion.reports {
            prop_assert_eq!(needs, Needs::default());
            return Ok(());
        }
        let own = match criterion.r#type {
            CriterionType::Text | CriterionType::Metric => EvidenceTier::Attached,
            CriterionType::JsonSchema | CriterionType::Artifact => EvidenceTier::MachineChecked,
            CriterionType::Command | CriterionType::Review | CriterionType::Person => EvidenceTier::Claimed,
        };
        let reached = [
            Some(own),
            needs.command.then_some(EvidenceTier::MachineChecked),
            needs.review.then_some(EvidenceTier::Reviewed),
            needs.person.then_some(EvidenceTier::Person),
        ];
        let reached = reached.into_iter().flatten().max().unwrap();
        prop_assert!(reached >= criterion.min_tier);
        prop_assert_eq!(needs.command, criterion.r#type == CriterionType::Command);
        prop_assert_eq!(needs.person, criterion.min_tier == EvidenceTier::Person);
        if criterion.min_tier <= own {
            prop_assert_eq!(needs, Needs::default());
        }
    }

    /// The tier of what an attempt says of its own result never is that of others.
    #[test]
    fn nobody_reviews_their_own_result(criterion in any_criterion(), piece in any_piece()) {
        let tier = evidence::tier(&piece, Some(&criterion), &stored());
        prop_assert!(tier <= EvidenceTier::MachineChecked);
        let names = piece.artifact.is_some_and(|digest| stored().contains_key(&digest));
        prop_assert_eq!(tier == EvidenceTier::Claimed, !names);
        if tier == EvidenceTier::MachineChecked {
            prop_assert_eq!(criterion.r#type, CriterionType::Artifact);
            let bare = Piece { value: None, exit_code: None, ..piece };
            prop_assert!(!refused(&bare, &criterion));
        }
    }

    /// A pinned artifact is satisfied by itself alone.
    #[test]
    fn evidence_for_another_artifact_is_refused(piece in any_piece()) {
        let piece = Piece { value: None, exit_code: None, ..piece };
        let pinned = criterion(CriterionType::Artifact, EvidenceTier::Claimed);
        // 0 and 3 are not stored; that is refused before.
        let known = piece.artifact.is_none_or(|digest| stored().contains_key(&digest));
        prop_assume!(known);
        prop_assert_eq!(refused(&piece, &pinned), piece.artifact != Some(digest(1)));
    }

    #[test]
    fn an_exit_code_decides_alone(piece in any_piece()) {
        let check = Criterion { reports: true, ..criterion(CriterionType::Command, EvidenceTier::Claimed) };
        let says = evidence::says_met(&piece, Some(&check));
        prop_assert_eq!(says, piece.met && piece.exit_code.is_none_or(|code| code == 0));
        let piece = Piece { value: None, ..piece };
        prop_assert_eq!(refused(&piece, &check), piece.exit_code.is_none());
    }

    /// A result is accepted only without a doubt; any finding that it is not met rejects it.
    #[test]
    fn a_result_is_accepted_only_if_all_is_shown(
        found in proptest::collection::vec(any::<(bool, bool, bool)>(), 0..6), asks: bool,
    ) {
        let found: Vec<Found> = found.into_iter().zip(1i16..).map(|((unmet, shown, person), number)| {
            Found { number, unmet, shown, person }
        }).collect();
        match outcome(&found, asks) {
            Outcome::Accept => {
                prop_assert!(!asks);
                prop_assert!(found.iter().all(|one| one.shown && !one.unmet && !one.person));
            }
            Outcome::Reject(numbers) => {
                let unmet: Vec<i16> = found.iter().filter(|one| one.unmet).map(|one| one.number).collect();
                prop_assert!(!unmet.is_empty());
                prop_assert_eq!(numbers, unmet);
            }
            Outcome::Ask => prop_assert!(found.iter().all(|one| !one.unmet)),
        }
    }

    #[test]
    fn a_default_tier_never_lowers_that_of_the_type(criterion in any_criterion(), task in proptest::option::of(
        proptest::sample::select(EvidenceTier::ALL)))
    {
        let spec = CriterionSpec { r#type: criterion.r#type, min_tier: None, ..CriterionSpec::default() };
        let demanded = spec.demanded(task);
        prop_assert!(demanded >= criterion.r#type.tier());
        prop_assert!(task.is_none_or(|task| demanded >= task));
        // Stored, and stored again, it stays the same.
        let stored = spec.stored(task);
        prop_assert_eq!(stored.demanded(None), demanded);
        prop_assert_eq!(stored.clone().stored(None), stored);
    }
}

#[test]
fn a_plain_text_and_an_object_without_a_type_are_texts() {
    let read = |json| serde_json::from_value::<CriterionSpec>(json);
    let text = read(json!("it works")).unwrap();
    assert_eq!(text, read(json!({"text": "it works"})).unwrap());
    assert_eq!(text.r#type, CriterionType::Text);
    assert!(text.required);
    assert_eq!(json!(text), json!({"text": "it works", "required": true}));
    for bad in [
        json!(7),
        json!(null),
        json!({}),
        json!({"text": "a", "tier": "person"}),
        json!({"text": "a", "type": "oracle"}),
        json!({"text": "a", "metric": {"name": "m", "comparison": "at_least", "value": "x"}}),
        json!({"text": "a", "artifact": {"digest": "sha256:00"}}),
        json!({"text": "a", "command": {"program": ["x"], "shell": true}}),
    ] {
        assert!(read(bad.clone()).is_err(), "{bad}");
    }
}

#[test]
fn a_criterion_has_what_its_type_needs_and_nothing_else() {
    let errors = |json: Value| {
        let criteria: Vec<CriterionSpec> = serde_json::from_value(json!([json])).unwrap();
        let mut checks = Checks::new();
        check(&mut checks, &mut schema::Schemas::default(), "/criteria", &criteria);
        checks.finish().err().map(|refusal| refusal.errors[0].pointer.clone())
    };
    let metric = json!({"name": "m", "comparison": "above", "value": 1});
    for (json, at) in [
        (json!({"text": "a", "type": "metric", "metric": metric}), None),
        (json!({"text": "a", "type": "artifact"}), None),
        (json!({"text": "a", "type": "review"}), None),
        (json!({"text": "a", "type": "person"}), None),
        (json!({"text": "a", "type": "metric"}), Some("/criteria/0/metric")),
        (json!({"text": "a", "type": "command"}), Some("/criteria/0/command")),
        (json!({"text": "a", "type": "json_schema"}), Some("/criteria/0/json_schema")),
        (json!({"text": "a", "metric": metric}), Some("/criteria/0/metric")),
        (json!({"text": "a", "type": "person", "review": {}}), Some("/criteria/0/review")),
        (
            json!({"text": "a", "type": "json_schema", "json_schema": {"schema": 1}}),
            Some("/criteria/0/json_schema/schema"),
        ),
        (
            json!({"text": "a", "type": "json_schema", "json_schema": {"schema": {}, "at": "x"}}),
            Some("/criteria/0/json_schema/at"),
        ),
        (
            json!({"text": "a", "type": "artifact", "artifact": {"min_bytes": 2, "max_bytes": 1}}),
            Some("/criteria/0/artifact/max_bytes"),
        ),
        (
            json!({"text": "a", "type": "artifact", "artifact": {"media_type": "PDF"}}),
            Some("/criteria/0/artifact/media_type"),
        ),
        (
            json!({"text": "a", "type": "command", "command": {"program": []}}),
            Some("/criteria/0/command/program"),
        ),
    ] {
        assert_eq!(errors(json.clone()).as_deref(), at, "{json}");
    }
}

#[test]
fn numbers_compare_as_they_say() {
    let holds = |comparison: Comparison, a, b| comparison.holds(decimal(a), decimal(b));
    assert!(
        holds(Comparison::AtLeast, "0.80", "0.8") && !holds(Comparison::AtLeast, "0.79", "0.8")
    );
    assert!(holds(Comparison::AtMost, "-1", "0") && !holds(Comparison::AtMost, "0.1", "0"));
    assert!(holds(Comparison::Above, "2", "1") && !holds(Comparison::Above, "1", "1.0"));
    assert!(holds(Comparison::Below, "0", "1") && !holds(Comparison::Below, "1", "1"));
    assert!(holds(Comparison::Equal, "1.10", "1.1") && !holds(Comparison::Equal, "1.11", "1.1"));
}
