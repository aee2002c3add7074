//! Whatever is changed in an entry changes its hash, and whatever is done to a chain is found where it
//! was done.

use proptest::prelude::*;
use serde_json::json;

use crate::domain::audit::*;

fn id(number: u64) -> Uuid {
    Uuid::from_u64_pair(7, number)
}

fn entry(number: u64) -> AuditEntry {
    AuditEntry {
        workspace_id: WorkspaceId(id(0)),
        entry_id: AuditEntryId(id(number)),
        xid: 1000 + number as i64,
        action: "task.running".to_owned(),
        subject: "task".to_owned(),
        subject_id: id(900 + number),
        actor_key_id: Some(KeyId(id(5))),
        actor_person: Some("alice@example.com".to_owned()),
        on_behalf_of: Some(json!(["bob@example.com"])),
        request_id: Some(format!("req_{number}")),
        before_sha256: None,
        after_sha256: Some(Digest::of(&json!(number)).to_string()),
        details: Some(json!({"attempt": number})),
        created_at: DateTime::from_timestamp(1_800_000_000 + number as i64, 123_456_000)
            .unwrap_or_default(),
    }
}

/// A chain of `length` links with their entries, and its head.
fn chain(length: u64) -> (Vec<Link>, Head) {
    let entries: Vec<AuditEntry> = (1..=length).map(entry).collect();
    let (seals, head) = seal(START, &entries);
    let links = seals.iter().zip(&entries);
    (links.map(|(seal, entry)| Link { seal: *seal, found: Some(entry.sha256()) }).collect(), head)
}

fn check(links: &[Link], head: Head, kept: Option<Head>) -> Breaks {
    let mut check = ChainCheck::new(kept);
    links.iter().for_each(|link| check.take(*link));
    check.finish(head)
}

/// What was found, and where.
fn found(links: &[Link], head: Head) -> Vec<(BreakKind, i64)> {
    let breaks = check(links, head, None);
    breaks.told.iter().map(|found| (found.kind, found.seq.unwrap_or_default())).collect()
}

fn forged(seq: i64) -> Link {
    let other = entry(5_000 + seq as u64);
    let (entry_id, hash) = (other.entry_id, other.sha256());
    let seal = Seal { seq, entry_id, entry_sha256: hash, chain_sha256: Digest([9; 32]) };
    Link { seal, found: Some(hash) }
}

/// One change of one field each.
fn changes() -> Vec<fn(&mut AuditEntry)> {
    vec![
        |entry| entry.workspace_id = WorkspaceId(id(77)),
        |entry| entry.entry_id = AuditEntryId(id(77)),
        |entry| entry.xid += 1,
        |entry| entry.action.push('x'),
        |entry| entry.subject.push('x'),
        |entry| entry.subject_id = id(77),
        |entry| entry.actor_key_id = None,
        |entry| entry.actor_key_id = Some(KeyId(id(77))),
        |entry| entry.actor_person = None,
        |entry| entry.actor_person = Some("mallory@example.com".to_owned()),
        |entry| entry.on_behalf_of = None,
        |entry| entry.on_behalf_of = Some(json!([])),
        |entry| entry.request_id = None,
        |entry| entry.request_id = entry.actor_person.clone(),
        |entry| entry.before_sha256 = entry.after_sha256.clone(),
        |entry| entry.before_sha256 = entry.after_sha256.take(),
        |entry| entry.after_sha256 = None,
        |entry| entry.details = None,
        |entry| entry.details = Some(json!({"attempt": "1"})),
        |entry| entry.created_at += chrono::TimeDelta::microseconds(1),
    ]
}

#[test]
fn a_change_of_any_field_is_found_at_its_place() {
    let (links, head) = chain(9);
    assert_eq!(found(&links, head), []);
    for (number, change) in changes().into_iter().enumerate() {
        let mut other = entry(5);
        change(&mut other);
        assert_ne!(other.sha256(), entry(5).sha256(), "change {number}");
        let mut links = links.clone();
        links[4].found = Some(other.sha256());
        assert_eq!(found(&links, head), [(BreakKind::Edited, 5)], "change {number}");
    }
}

#[test]
fn an_entry_is_hashed_as_it_is_written() {
    let text = serde_json::to_string(&entry(3)).unwrap();
    let read: AuditEntry = serde_json::from_str(&text).unwrap();
    assert_eq!(read, entry(3));
    assert_eq!(Digest::of(&serde_json::from_str(&text).unwrap()), entry(3).sha256());
    let (seals, _) = seal(START, &[entry(1)]);
    let chained = Sha256::new()
        .chain_update([0; 32])
        .chain_update([0, 0, 0, 0, 0, 0, 0, 1])
        .chain_update(entry(1).sha256().0)
        .finalize();
    assert_eq!(seals[0].chain_sha256.0, <[u8; 32]>::from(chained));
}

/// Rows of the seals exchanged whole, only what they say, and only which entry they name.
#[test]
fn what_was_exchanged_is_found_in_both_places() {
    use BreakKind::Reordered;
    let (links, head) = chain(12);
    for (one, other) in [(3, 4), (3, 5), (0, 11), (0, 1), (10, 11)] {
        let want = [(Reordered, one as i64 + 1), (Reordered, other as i64 + 1)];
        let seqs = (links[one].seal.seq, links[other].seal.seq);
        let mut rows = links.clone();
        rows.swap(one, other);
        (rows[one].seal.seq, rows[other].seal.seq) = seqs;
        assert_eq!(found(&rows, head), want, "rows {one} {other}");

        let mut words = rows.clone();
        words[one].seal.chain_sha256 = links[one].seal.chain_sha256;
        words[other].seal.chain_sha256 = links[other].seal.chain_sha256;
        assert_eq!(found(&words, head), want, "all but the chain {one} {other}");

        let mut names = links.clone();
        (names[one].found, names[other].found) = (links[other].found, links[one].found);
        assert_eq!(found(&names, head), want, "names {one} {other}");
    }
}

#[test]
fn what_was_taken_out_is_found() {
    use BreakKind::Missing;
    let (links, head) = chain(9);
    for at in 0..9 {
        let mut rows = links.clone();
        rows[at].found = None;
        assert_eq!(found(&rows, head), [(Missing, at as i64 + 1)]);
        let mut rows = links.clone();
        rows.remove(at);
        assert_eq!(found(&rows, head), [(Missing, at as i64 + 1)]);
    }
    let mut rows = links.clone();
    rows.drain(3..6);
    let breaks = check(&rows, head, None);
    assert_eq!((breaks.told[0].seq, breaks.told[0].count, breaks.total), (Some(4), 3, 3));

    let mut rows = links;
    rows.remove(4);
    rows[4..].iter_mut().for_each(|link| link.seal.seq -= 1);
    let short = Head { seq: 8, ..head };
    assert_eq!(found(&rows, short), [(Missing, 5)]);
}

#[test]
fn what_was_put_in_is_found_however_well_it_is_made() {
    use BreakKind::Inserted;
    let (links, head) = chain(9);
    let mut rows = links.clone();
    rows[4..].iter_mut().for_each(|link| link.seal.seq += 1);
    rows.insert(4, forged(5));
    let long = Head { seq: 10, ..head };
    assert_eq!(found(&rows, long), [(Inserted, 5)]);
    let Seal { seq, entry_sha256, .. } = rows[4].seal;
    rows[4].seal.chain_sha256 = chained(rows[3].seal.chain_sha256, seq, entry_sha256);
    assert_eq!(found(&rows, long), [(Inserted, 5)]);
}

#[test]
fn an_edited_seal_is_found() {
    use BreakKind::ChainBroken;
    let (links, head) = chain(9);
    let mut rows = links.clone();
    rows[4].seal.chain_sha256 = Digest([1; 32]);
    assert_eq!(found(&rows, head), [(ChainBroken, 5)]);
    let mut rows = links.clone();
    rows[4].seal.entry_sha256 = Digest([1; 32]);
    assert_eq!(found(&rows, head), [(ChainBroken, 5)]);
    // The entry, its hash and its chain, made to fit: the next does not follow.
    let mut rows = links.clone();
    let hash = entry(99).sha256();
    let chain = chained(rows[3].seal.chain_sha256, 5, hash);
    rows[4].seal = Seal { entry_sha256: hash, chain_sha256: chain, ..rows[4].seal };
    rows[4].found = Some(hash);
    assert_eq!(found(&rows, head), [(ChainBroken, 6)]);
    assert_eq!(found(&links, Head { chain_sha256: Digest([1; 32]), ..head }), [(ChainBroken, 9)]);
}

/// A chain that was cut off or written anew from the middle is one like any other: only a head that was
/// kept elsewhere tells.
#[test]
fn a_kept_head_tells_of_a_cut_off_end_and_of_a_rewritten_chain() {
    let (links, kept) = chain(9);
    assert_eq!(check(&links, kept, Some(kept)).total, 0);
    let (short, head) = chain(6);
    assert_eq!(check(&short, head, None).total, 0);
    let breaks = check(&short, head, Some(kept));
    assert_eq!((breaks.told[0].kind, breaks.told[0].seq), (BreakKind::Missing, Some(7)));
    assert_eq!(breaks.total, 3);

    let mut entries: Vec<AuditEntry> = (1..=12).map(entry).collect();
    entries[5].action = "task.done".to_owned();
    let (seals, head) = seal(START, &entries);
    let found = seals.iter().zip(&entries);
    let links: Vec<Link> =
        found.map(|(seal, entry)| Link { seal: *seal, found: Some(entry.sha256()) }).collect();
    assert_eq!(check(&links, head, None).total, 0);
    let breaks = check(&links, head, Some(kept));
    assert_eq!((breaks.told[0].kind, breaks.told[0].seq), (BreakKind::ChainBroken, Some(9)));
}

#[test]
fn much_damage_is_counted_and_a_little_of_it_told() {
    let (mut links, head) = chain(2_000);
    links.iter_mut().for_each(|link| link.found = Some(Digest([3; 32])));
    let breaks = check(&links, head, None);
    assert_eq!((breaks.told.len(), breaks.total), (100, 2_000));
}

/// Something that is done to a chain.
#[derive(Debug, Clone)]
enum Act {
    Edit(usize),
    Remove(usize),
    Drop(usize),
    PutIn(usize),
    Exchange(usize, usize),
    Hash(usize),
    Chain(usize),
}

fn act() -> impl Strategy<Value = Act> {
    let at = 0..20usize;
    prop_oneof![
        at.clone().prop_map(Act::Edit),
        at.clone().prop_map(Act::Remove),
        at.clone().prop_map(Act::Drop),
        at.clone().prop_map(Act::PutIn),
        (at.clone(), at.clone())
            .prop_filter("two places", |(one, other)| one != other)
            .prop_map(|(one, other)| Act::Exchange(one, other)),
        at.clone().prop_map(Act::Hash),
        at.prop_map(Act::Chain),
    ]
}

impl Act {
    /// Does it; returns the first number that it touches.
    fn apply(&self, links: &mut Vec<Link>) -> i64 {
        let at = match *self {
            Self::Edit(at) => {
                links[at].found = Some(Digest([4; 32]));
                at
            }
            Self::Remove(at) => {
                links[at].found = None;
                at
            }
            Self::Drop(at) => {
                links.remove(at);
                at
            }
            Self::PutIn(at) => {
                links[at..].iter_mut().for_each(|link| link.seal.seq += 1);
                links.insert(at, forged(at as i64 + 1));
                at
            }
            Self::Exchange(one, other) => {
                let seqs = (links[one].seal.seq, links[other].seal.seq);
                links.swap(one, other);
                (links[one].seal.seq, links[other].seal.seq) = seqs;
                one.min(other)
            }
            Self::Hash(at) => {
                links[at].seal.entry_sha256 = Digest([5; 32]);
                at
            }
            Self::Chain(at) => {
                links[at].seal.chain_sha256 = Digest([6; 32]);
                at
            }
        };
        at as i64 + 1
    }
}

proptest! {
    #[test]
    fn whatever_is_done_is_found_where_it_was_done(act in act()) {
        let (mut links, head) = chain(20);
        let place = act.apply(&mut links);
        let breaks = check(&links, head, None);
        prop_assert!(breaks.total > 0);
        prop_assert_eq!(breaks.told[0].seq, Some(place), "{:?} {:?}", act, breaks);
    }

    /// Several at once hide nothing.
    #[test]
    fn no_two_damages_make_a_sound_chain(one in act(), other in act()) {
        let (mut links, head) = chain(25);
        let before = links.clone();
        one.apply(&mut links);
        other.apply(&mut links);
        prop_assume!(links != before);
        let breaks = check(&links, head, None);
        prop_assert!(breaks.total > 0, "{:?} {:?}", one, other);
    }
}
