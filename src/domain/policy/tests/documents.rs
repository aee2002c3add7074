//! What policies say: which they are for, when they expire, what they must look like.

use chrono::TimeDelta;
use serde_json::json;
use uuid::Uuid;

use super::{excluded, noon, person, spec, vote};
use crate::domain::{
    approval::{Risk, Verdict},
    ids::PolicyId,
    policy::{
        PolicySpec, StagePosition,
        expiry::{self, Expired},
        matching::{Asked, Policy, choose},
        replay::{Obstacle, Past, replay},
    },
    states::ApprovalKind,
    words::Words as _,
};

#[test]
fn each_way_to_expire_is_what_the_policy_says() {
    let escalating = json!({
        "expires_after_seconds": 60, "on_expiry": "escalate", "escalation_ends": "cancel_task",
        "escalation": [{"approvers": ["dan"], "expires_after_seconds": 30},
                       {"approvers": ["eve"], "expires_after_seconds": 10}],
    });
    let escalating = spec(escalating);
    let mut place = StagePosition::FIRST;
    for (level, who, seconds) in [(1, "dan", 30), (2, "eve", 10)] {
        let Expired::Escalate(next) = expiry::expired(&escalating, place, ApprovalKind::Action)
        else {
            panic!("not escalated from {place:?}")
        };
        assert_eq!(next, StagePosition { stage: 1, escalation: level });
        assert_eq!(escalating.approvers(next), (&[person(who)][..], 1));
        assert_eq!(escalating.seconds(next), Some(seconds));
        place = next;
    }
    let end = expiry::expired(&escalating, place, ApprovalKind::Action);
    assert_eq!(end, Expired::Cancel);
    assert_eq!(expiry::lifetime(&escalating), Some(100));
    let end = |on_expiry: &str, default: serde_json::Value, kind| {
        let mut document = json!({"expires_after_seconds": 60, "on_expiry": on_expiry});
        if !default.is_null() {
            document["default"] = default;
        }
        expiry::expired(&spec(document), StagePosition::FIRST, kind)
    };
    let null = serde_json::Value::Null;
    for kind in ApprovalKind::ALL.iter().copied() {
        assert_eq!(end("reject", null.clone(), kind), Expired::Reject);
        assert_eq!(end("wait", null.clone(), kind), Expired::Wait);
        let default = end("default", json!({"decision": "approve", "answer": 7}), kind);
        let wanted = if kind == ApprovalKind::Input {
            Expired::Default(Verdict::Answer, Some(json!(7)))
        } else {
            Expired::Default(Verdict::Approve, None)
        };
        assert_eq!(default, wanted);
    }
    let declined = end("default", json!({"decision": "approve"}), ApprovalKind::Input);
    assert_eq!(declined, Expired::Default(Verdict::Decline, None));
}

#[test]
fn reminders_end() {
    let spec = spec(json!({"remind_every_seconds": 60}));
    let reminded = (0..100).filter(|n| expiry::next_reminder(&spec, *n, noon()).is_some());
    assert_eq!(reminded.count(), usize::try_from(expiry::REMINDERS).unwrap());
}

#[test]
fn of_the_policies_that_match_the_first_counts() {
    let asked = Asked {
        kind: ApprovalKind::Action,
        risk: Risk::High,
        project: None,
        capabilities: vec!["deploy".into(), "rust".into()],
        cost: [("usd_micros".to_owned(), 100)].into(),
    };
    let covers = |wanted: serde_json::Value| spec(json!({"match": wanted})).r#match.covers(&asked);
    for wanted in [
        json!({}),
        json!({"kinds": ["input", "action"]}),
        json!({"capabilities": ["deploy", "other"]}),
        json!({"risk_at_least": "medium"}),
        json!({"risk_at_least": "high", "cost_at_least": {"unit": "usd_micros", "amount": 100}}),
    ] {
        assert!(covers(wanted.clone()), "{wanted}");
    }
    for wanted in [
        json!({"kinds": ["input"]}),
        json!({"capabilities": ["other"]}),
        json!({"risk_at_least": "critical"}),
        json!({"project_id": "01890a5d-ac96-774b-bcce-b302099a8057"}),
        json!({"cost_at_least": {"unit": "usd_micros", "amount": 101}}),
        json!({"cost_at_least": {"unit": "output_tokens", "amount": 1}}),
        json!({"kinds": ["action"], "risk_at_least": "critical"}),
    ] {
        assert!(!covers(wanted.clone()), "{wanted}");
    }
    let policies: Vec<Policy> =
        [(1_u128, 0, "high"), (2, 5, "high"), (3, 5, "low"), (4, 9, "critical")]
            .into_iter()
            .map(|(id, priority, risk)| Policy {
                policy_id: PolicyId(Uuid::from_u128(id)),
                version: 1,
                spec: spec(json!({"priority": priority, "match": {"risk_at_least": risk}})),
            })
            .collect();
    let chosen = choose(&policies, &asked).map(|policy| policy.policy_id.0.as_u128());
    assert_eq!(chosen, Some(2));
}

#[test]
fn the_past_is_told_what_stands_in_its_way() {
    let two = spec(json!({
        "stages": [{"approvers": ["ann", "bob"], "quorum": 2}],
        "expires_after_seconds": 60, "on_expiry": "reject",
    }));
    let past = |names: &[&str], seconds, out: &[&str]| Past {
        asked_at: noon(),
        decided_at: noon() + TimeDelta::seconds(seconds),
        revision: 1,
        excluded: out.iter().map(|name| excluded(name)).collect(),
        votes: names.iter().map(|name| vote(name, Verdict::Approve)).collect(),
    };
    let told = |past| replay(&two, &past).into_iter().collect::<Vec<Obstacle>>();
    assert_eq!(told(past(&["ann", "bob"], 59, &[])), []);
    assert_eq!(told(past(&["ann"], 59, &[])), [Obstacle::TooFew]);
    assert_eq!(told(past(&["ann", "bob"], 60, &[])), [Obstacle::Expired]);
    assert_eq!(told(past(&["cid"], 1, &[])), [Obstacle::NotAnApprover, Obstacle::TooFew]);
    assert_eq!(told(past(&["ann", "bob"], 1, &["bob"])), [Obstacle::Excluded, Obstacle::TooFew]);
    let open = PolicySpec { allow_self: true, ..two };
    assert_eq!(replay(&open, &past(&["ann", "bob"], 1, &["bob"])).len(), 0);
}

#[test]
fn what_makes_no_sense_is_refused_at_its_place() {
    let wrong = |document: serde_json::Value| {
        let mut whole = json!({"name": "p", "stages": [{}]});
        for (name, value) in document.as_object().unwrap() {
            whole[name] = value.clone();
        }
        let spec: PolicySpec = serde_json::from_value(whole).unwrap();
        let errors = spec.check().err().map(|refusal| refusal.errors).unwrap_or_default();
        errors.into_iter().map(|error| error.pointer).collect::<Vec<_>>()
    };
    for (document, places) in [
        (json!({}), &[][..]),
        (json!({"name": " "}), &["/name"]),
        (json!({"priority": 1001}), &["/priority"]),
        (json!({"stages": []}), &["/stages"]),
        (json!({"stages": [{}, {}, {}, {}, {}, {}]}), &["/stages"]),
        (json!({"stages": [{"quorum": 0}]}), &["/stages/0/quorum"]),
        (
            json!({"stages": [{"approvers": ["ann", "ann"], "quorum": 3}]}),
            &["/stages/0/approvers/1", "/stages/0/quorum"],
        ),
        (json!({"match": {"kinds": ["plan", "plan"]}}), &["/match/kinds/1"]),
        (json!({"match": {"capabilities": ["Ä"]}}), &["/match/capabilities/0"]),
        (
            json!({"match": {"cost_at_least": {"unit": "x", "amount": 0}}}),
            &["/match/cost_at_least/amount"],
        ),
        (json!({"expires_after_seconds": 5}), &["/on_expiry"]),
        (json!({"on_expiry": "wait"}), &["/expires_after_seconds"]),
        (json!({"expires_after_seconds": 0, "on_expiry": "wait"}), &["/expires_after_seconds"]),
        (json!({"expires_after_seconds": 5, "on_expiry": "default"}), &["/default"]),
        (json!({"default": {"decision": "approve"}}), &["/default"]),
        (
            json!({"expires_after_seconds": 5, "on_expiry": "default", "default": {"answer": 1}}),
            &["/default/decision"],
        ),
        (
            json!({"expires_after_seconds": 5, "on_expiry": "default", "default": {"decision": "answer"}}),
            &["/default/decision"],
        ),
        (
            json!({"expires_after_seconds": 5, "on_expiry": "escalate"}),
            &["/escalation", "/escalation_ends"],
        ),
        (
            json!({"escalation": [{"approvers": ["ann"], "expires_after_seconds": 5}]}),
            &["/escalation"],
        ),
        (
            json!({"expires_after_seconds": 5, "on_expiry": "escalate", "escalation_ends": "escalate",
                "escalation": [{"approvers": [], "expires_after_seconds": 5}]}),
            &["/escalation/0/approvers", "/escalation_ends"],
        ),
        (
            json!({"stages": [{"approvers": ["ann"]}], "delegations": [
            {"delegator": "bob", "delegate": "bob",
             "from": "2026-03-01T12:00:00Z", "until": "2026-03-01T12:00:00Z"}]}),
            &["/delegations/0/delegator", "/delegations/0/delegate", "/delegations/0/until"],
        ),
    ] {
        assert_eq!(wrong(document.clone()), places, "{document}");
    }
}
