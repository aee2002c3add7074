//! A change of anything in a row changes its digest, and a change of a sealed journal is found at its
//! number.

use chrono::{DateTime, TimeDelta};
use proptest::prelude::*;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::domain::{
    ids::{AgentId, ApprovalId, AttemptId, GoalId, KeyId, LinkId, ProjectId, TaskId, WorkspaceId},
    journal::*,
};
use BreakKind::{ChainBroken, Edited, Inserted, Missing, Reordered};

fn id(number: u64) -> Uuid {
    Uuid::from_u64_pair(7, number)
}

fn data(text: &str) -> Option<Box<RawValue>> {
    Some(RawValue::from_string(text.to_owned()).unwrap())
}

fn row(number: i64) -> Row {
    let n = number as u64;
    Row {
        workspace_id: WorkspaceId(id(0)),
        number,
        at: DateTime::from_timestamp(1_800_000_000 + number, 123_456_000).unwrap_or_default(),
        kind: "task.running".to_owned(),
        public: true,
        project_id: None,
        goal_id: Some(GoalId(id(3))),
        task_id: Some(TaskId(id(900 + n))),
        attempt_id: None,
        agent_id: None,
        approval_id: None,
        subject: "task".to_owned(),
        subject_id: id(900 + n),
        actor_key_id: Some(KeyId(id(5))),
        actor_person: Some("alice@example.com".to_owned()),
        link_id: None,
        link_maker: None,
        on_behalf_of: Some(vec!["bob@example.com".to_owned(), "carol@example.com".to_owned()]),
        request: Some(format!("req_{number}")),
        trace_id: None,
        before_sha256: None,
        after_sha256: Some(Hex(vec![7; 32])),
        data: data(&format!("{{\"attempt\": {number}}}")),
        data_version: 1,
        salt: Some(Hex([n.to_be_bytes(), n.to_be_bytes()].concat())),
        data_sha256: None,
    }
}

fn erased(mut row: Row) -> Row {
    let (salt, data) = (row.salt.take().unwrap(), row.data.take().unwrap());
    row.data_sha256 = Some(Hex(Digest::of(&[&salt.0, data.get().as_bytes()]).0.to_vec()));
    row
}

/// A sealed journal.
#[derive(Debug, Clone)]
struct Journal {
    rows: Vec<Row>,
    seals: Vec<Seal>,
    head: Head,
    pruned_to: i64,
}

/// A journal of these rows in segments of these lengths, the last one repeated.
fn sealed(rows: Vec<Row>, lengths: &[i64]) -> Journal {
    let (mut seals, mut head, mut lengths) = (Vec::new(), START, lengths.iter());
    let mut length = 1;
    while head.number < rows.len() as i64 {
        length = lengths.next().copied().unwrap_or(length);
        let last = (head.number + length).min(rows.len() as i64);
        let segment = &rows[head.number as usize..last as usize];
        let seal = Seal::of(head, segment, last);
        head = seal.head();
        seals.push(seal);
    }
    Journal { rows, seals, head, pruned_to: 0 }
}

fn journal(length: i64) -> Journal {
    sealed((1..=length).map(row).collect(), &[3, 1, 5])
}

impl Journal {
    /// The check of it, as a reader would do that takes both tables in their order.
    fn check(&self, kept: Option<Head>) -> Verdict {
        let mut check = Check::new(kept);
        let (mut rows, mut seals) = (self.rows.clone(), self.seals.clone());
        rows.sort_by_key(|row| row.number);
        seals.sort_by_key(|seal| seal.first);
        let mut seals = seals.into_iter().peekable();
        for row in &rows {
            while let Some(seal) = seals.next_if(|seal| seal.first <= row.number) {
                check.seal(seal);
            }
            check.row(row);
        }
        seals.for_each(|seal| check.seal(seal));
        check.finish(self.head, self.pruned_to)
    }

    /// What is found, and where.
    fn found(&self) -> Vec<(BreakKind, i64)> {
        let verdict = self.check(None);
        verdict.breaks.iter().map(|found| (found.kind, found.number)).collect()
    }

    fn row(&mut self, number: i64) -> &mut Row {
        self.rows.iter_mut().find(|row| row.number == number).unwrap()
    }

    fn remove(&mut self, number: i64) -> Row {
        let place = self.rows.iter().position(|row| row.number == number).unwrap();
        self.rows.remove(place)
    }

    fn renumber(&mut self, from: i64, by: i64) {
        self.rows.iter_mut().filter(|row| row.number >= from).for_each(|row| row.number += by);
    }

    fn seal_with(&mut self, number: i64) -> &mut Seal {
        self.seals.iter_mut().find(|seal| (seal.first..=seal.last).contains(&number)).unwrap()
    }

    /// The bytes of a row's digest in its seal.
    fn sealed_digest(&mut self, number: i64) -> &mut [u8] {
        let seal = self.seal_with(number);
        let place = 32 * (number - seal.first) as usize;
        &mut seal.digests.as_mut().unwrap().0[place..place + 32]
    }

    /// Seals everything anew from a segment on, with the rows as they are now.
    fn reseal(&mut self, from: usize) {
        let mut head = if from == 0 { START } else { self.seals[from - 1].head() };
        for seal in &mut self.seals[from..] {
            let within = |row: &&Row| (seal.first..=seal.last).contains(&row.number);
            let rows: Vec<Row> = self.rows.iter().filter(within).cloned().collect();
            *seal = Seal::of(head, &rows, seal.last);
            head = seal.head();
        }
        self.head = head;
    }

    /// Prunes the first segments: their rows and digests go.
    fn prune(&mut self, segments: usize) {
        self.pruned_to = self.seals[segments - 1].last;
        self.rows.retain(|row| row.number > self.pruned_to);
        self.seals[..segments].iter_mut().for_each(|seal| seal.digests = None);
    }

    fn text(&self) -> String {
        serde_json::to_string(&(&self.rows, &self.seals, self.head)).unwrap()
    }
}

fn forged(number: i64) -> Row {
    Row { number, ..row(5_000 + number) }
}

/// One change of one column each.
fn changes() -> Vec<fn(&mut Row)> {
    vec![
        |row| row.workspace_id = WorkspaceId(id(77)),
        |row| row.at += TimeDelta::microseconds(1),
        |row| row.kind.push('x'),
        |row| row.public = false,
        |row| row.project_id = Some(ProjectId(id(3))),
        |row| row.goal_id = None,
        |row| row.task_id = Some(TaskId(id(77))),
        // The id of one noun in the column of another.
        |row| (row.attempt_id, row.task_id) = (row.task_id.map(|id| AttemptId(id.0)), None),
        |row| row.attempt_id = Some(AttemptId(id(77))),
        |row| row.agent_id = Some(AgentId(id(77))),
        |row| row.approval_id = Some(ApprovalId(id(77))),
        |row| row.subject.push('x'),
        |row| row.subject_id = id(77),
        |row| row.actor_key_id = None,
        |row| row.actor_key_id = Some(KeyId(id(77))),
        |row| row.actor_person = None,
        |row| row.actor_person = Some("mallory@example.com".to_owned()),
        |row| row.link_id = Some(LinkId(id(77))),
        |row| row.link_maker = Some(KeyId(id(77))),
        |row| row.on_behalf_of = None,
        |row| row.on_behalf_of = Some(Vec::new()),
        |row| row.on_behalf_of = Some(vec!["bob@example.com,carol@example.com".to_owned()]),
        |row| row.on_behalf_of.iter_mut().for_each(|people| people.reverse()),
        |row| row.request = None,
        |row| row.request = row.actor_person.clone(),
        |row| (row.request, row.actor_person) = (row.actor_person.take(), row.request.take()),
        |row| row.trace_id = Some(id(77)),
        |row| row.before_sha256 = row.after_sha256.clone(),
        |row| row.before_sha256 = row.after_sha256.take(),
        |row| row.after_sha256 = None,
        |row| row.after_sha256 = Some(Hex(Vec::new())),
        |row| row.data = None,
        |row| row.data = data("{}"),
        |row| row.data = data(&row.data.as_ref().unwrap().get().replace(' ', "")),
        |row| row.data_version = 2,
        |row| row.salt = Some(Hex(vec![1; 16])),
        |row| row.salt = None,
        |row| row.data_sha256 = erased(row.clone()).data_sha256,
        |row| row.data_sha256 = Some(Hex(row.digest().0.to_vec())),
        |row| *row = Row { data_sha256: Some(Hex(vec![1; 32])), ..erased(row.clone()) },
    ]
}

#[test]
fn a_change_of_any_column_is_found_at_its_number() {
    let sound = journal(12);
    assert_eq!(sound.found(), []);
    for (place, change) in changes().into_iter().enumerate() {
        let mut journal = sound.clone();
        change(journal.row(7));
        assert_ne!(journal.row(7).digest(), row(7).digest(), "change {place}");
        assert_eq!(journal.found()[0], (Edited, 7), "change {place}");
        assert!(journal.found().iter().all(|found| *found == (Edited, 7)), "change {place}");
    }
}

/// The encoding that the module describes, written down by somebody who has read only that.
#[test]
fn the_digest_is_what_the_module_says() {
    let bytes = |hex: &str| data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
    let field = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes(), bytes].concat();
    let (null, uuid) = (vec![0xff; 4], |n: u64| field(id(n).as_bytes()));
    let people =
        [&[0, 0, 0, 2][..], &field(b"bob@example.com"), &field(b"carol@example.com")].concat();
    let envelope = [
        vec![1],
        uuid(0),
        field(&1_800_000_007_123_456_i64.to_be_bytes()),
        field(b"task.running"),
        field(&[1]),
        null.clone(),
        uuid(3),
        uuid(907),
        null.clone(),
        null.clone(),
        null.clone(),
        field(b"task"),
        uuid(907),
        uuid(5),
        field(b"alice@example.com"),
        null.clone(),
        null.clone(),
        field(&people),
        field(b"req_7"),
        null.clone(),
        null,
        field(&[7; 32]),
        field(&1_i64.to_be_bytes()),
    ]
    .concat();
    let salted = [&bytes("00000000000000070000000000000007")[..], br#"{"attempt": 7}"#].concat();
    let digest = Digest::of(&[&Digest::of(&[&envelope]).0, &Digest::of(&[&salted]).0]);
    assert_eq!(row(7).digest(), digest);
    assert_eq!(erased(row(7)).digest(), digest);

    let seal = Seal::of(Head { number: 6, chain_sha256: Digest([2; 32]) }, &[row(7), row(9)], 9);
    let digests = [row(7).digest().0, [0; 32], row(9).digest().0].concat();
    let chain = [&[2; 32][..], &7_i64.to_be_bytes(), &9_i64.to_be_bytes(), &digests].concat();
    assert_eq!((seal.first, seal.last, seal.digests), (7, 9, Some(Hex(digests))));
    assert_eq!(seal.chain_sha256, Digest::of(&[&chain]));
}

/// A digest survives the way through a file, whatever the text of the data looks like.
#[test]
fn a_row_is_exported_as_it_is_written() {
    for text in ["{\"a\": 1.0,  \"a\":\t[1e400, \"\\u0000\"]}", "{}", "7", "null"] {
        let row = Row { data: data(text), ..row(3) };
        let line = serde_json::to_string(&Line::Row(Box::new(row.clone()))).unwrap();
        let Line::Row(read) = Line::read(&line).unwrap() else { panic!("not a row: {line}") };
        // That a value is null and that there is none is the same in a file.
        assert_eq!(read.digest() == row.digest(), text != "null", "{line}");
    }
    let gone = erased(row(3));
    let line = serde_json::to_string(&Line::Row(Box::new(gone.clone()))).unwrap();
    assert!(!line.contains("salt") && !line.contains("\"data\""), "{line}");
    let Line::Row(read) = Line::read(&line).unwrap() else { panic!("not a row: {line}") };
    assert_eq!(read.digest(), row(3).digest());
    assert!(Line::read("{\"row\": {}}").is_err() && Line::read("{\"head\": {\"x\": 1}}").is_err());
    let newer = line.replacen("\"number\"", "\"of_a_later_version\":1,\"number\"", 1);
    assert!(Line::read(&newer).is_err_and(|error| error.contains("of_a_later_version")));
}

#[test]
fn rows_that_were_exchanged_are_found_at_both_numbers() {
    let sound = journal(12);
    for (one, other) in [(4, 5), (4, 6), (1, 12), (1, 2), (11, 12)] {
        let mut journal = sound.clone();
        journal.row(one).number = 100;
        journal.row(other).number = one;
        journal.row(100).number = other;
        assert_eq!(journal.found(), [(Reordered, one), (Reordered, other)], "{one} {other}");
    }
    // Their digests exchanged with them: the chain of both segments tells.
    let mut journal = sound;
    journal.row(2).number = 100;
    journal.row(6).number = 2;
    journal.row(100).number = 6;
    let [two, six] = [2, 6].map(|number| journal.sealed_digest(number).to_vec());
    journal.sealed_digest(2).copy_from_slice(&six);
    journal.sealed_digest(6).copy_from_slice(&two);
    assert_eq!(journal.found(), [(ChainBroken, 1), (ChainBroken, 5)]);
}

#[test]
fn missing_rows_are_found() {
    let sound = journal(12);
    for number in 1..=12 {
        let mut journal = sound.clone();
        journal.remove(number);
        assert_eq!(journal.found(), [(Missing, number)]);
        // The gap closed again, with and without a row behind the sealed ones.
        journal.renumber(number, -1);
        assert_eq!(journal.found(), [(Missing, number)]);
    }
    let mut journal = sound;
    [5, 6, 7].into_iter().for_each(|number| drop(journal.remove(number)));
    let verdict = journal.check(None);
    let first = &verdict.breaks[0];
    assert_eq!((first.kind, first.number, first.count), (Missing, 5, 3));
    assert_eq!((verdict.breaks.len(), verdict.break_count), (1, 3));
}

#[test]
fn missing_seals_are_found() {
    let sound = journal(12);
    for (place, first) in [(0, 1), (1, 4), (2, 5), (3, 10)] {
        let mut journal = sound.clone();
        let gone = journal.seals.remove(place);
        let found = journal.found();
        assert_eq!(found[0], (Missing, first), "{found:?}");
        let rows = gone.first..=gone.last;
        assert!(found.iter().all(|found| rows.contains(&found.1)), "{found:?}");
    }
}

#[test]
fn added_rows_are_found() {
    let sound = journal(12);
    for number in [-3, 0] {
        let mut journal = sound.clone();
        journal.rows.push(forged(number));
        assert_eq!(journal.found(), [(Inserted, number)]);
    }
    for number in 1..12 {
        let mut journal = sound.clone();
        journal.renumber(number, 1);
        journal.rows.push(forged(number));
        // The last row has no digest now: it is behind the seals.
        journal.rows.retain(|row| row.number <= 12);
        assert_eq!(journal.found(), [(Inserted, number)]);
    }
    // A row in a place that was empty when it was sealed, and such a place itself.
    let mut gap: Vec<Row> = (1..=5).map(row).collect();
    let mut journal = sealed(gap.clone(), &[5]);
    gap.remove(2);
    journal.seals = vec![Seal::of(START, &gap, 5)];
    journal.head = journal.seals[0].head();
    assert_eq!(journal.found(), [(Inserted, 3)]);
    journal.remove(3);
    assert_eq!(journal.found(), [(Missing, 3)]);
}

#[test]
fn edited_seals_are_found() {
    let sound = journal(12);
    for number in 1..=12 {
        let mut journal = sound.clone();
        journal.sealed_digest(number)[3] ^= 1;
        assert_eq!(journal.found(), [(ChainBroken, number)]);
        // The row made to fit its digest: the seal does not follow.
        let mut journal = sound.clone();
        let digest = forged(number).digest();
        *journal.row(number) = forged(number);
        journal.sealed_digest(number).copy_from_slice(&digest.0);
        let first = journal.seal_with(number).first;
        assert_eq!(journal.found(), [(ChainBroken, first)]);
        // The chain hash made to fit as well: the next does not follow, or the head is another.
        journal.seal_with(number).chain_sha256 = Digest([9; 32]);
        let place = journal.seals.iter().position(|seal| seal.first == first).unwrap();
        let before = place.checked_sub(1).map_or(START, |place| journal.seals[place].head());
        let seal = &mut journal.seals[place];
        seal.chain_sha256 = seal.chained(before.chain_sha256, &seal.digests().unwrap());
        let next = journal.seals.get(place + 1).map_or(12, |seal| seal.first);
        assert_eq!(journal.found(), [(ChainBroken, next)]);
    }
    for (place, first) in [(0, 1), (1, 4), (2, 5), (3, 10)] {
        let mut journal = sound.clone();
        journal.seals[place].chain_sha256 = Digest([1; 32]);
        assert_eq!(journal.found(), [(ChainBroken, first)]);
        for digests in [None, Some(Hex(vec![0; 31])), Some(Hex(Vec::new()))] {
            let mut journal = sound.clone();
            journal.seals[place].digests = digests;
            let found = journal.found();
            assert!(found.iter().any(|found| found.0 == ChainBroken), "{found:?}");
            let seal = &journal.seals[place];
            assert!(found.iter().all(|found| (seal.first..=seal.last).contains(&found.1)));
        }
        let mut journal = sound.clone();
        journal.seals[place].last += 1;
        assert_eq!(journal.found()[0], (ChainBroken, first));
    }
    let mut journal = sound;
    journal.head.chain_sha256 = Digest([1; 32]);
    assert_eq!(journal.found(), [(ChainBroken, 12)]);
    journal.head.number = 13;
    assert_eq!(journal.found(), [(Missing, 13)]);
    journal.head.number = 11;
    assert_eq!(journal.found(), [(Inserted, 12)]);
}

/// A journal that was cut off, or sealed anew from some number on, is one like any other: only a head
/// that was kept elsewhere shows the difference.
#[test]
fn a_kept_head_shows_a_cut_off_end_and_rewritten_rows() {
    let sound = journal(12);
    let kept = Some(sound.head);
    assert_eq!(sound.check(kept).break_count, 0);
    let short = journal(9);
    assert_eq!(short.check(None).break_count, 0);
    let verdict = short.check(kept);
    assert_eq!((verdict.breaks[0].kind, verdict.breaks[0].number), (Missing, 10));
    assert_eq!(verdict.break_count, 3);

    let mut journal = sound;
    journal.row(6).kind = "task.done".to_owned();
    journal.reseal(2);
    assert_eq!(journal.check(None).break_count, 0);
    let verdict = journal.check(kept);
    assert_eq!((verdict.breaks[0].kind, verdict.breaks[0].number), (ChainBroken, 12));
    let between = Head { number: 11, ..journal.head };
    let verdict = journal.check(Some(between));
    assert_eq!((verdict.breaks[0].kind, verdict.breaks[0].number), (Missing, 11));
}

#[test]
fn much_damage_is_counted_and_a_little_of_it_listed() {
    let mut journal = sealed((1..=2_000).map(row).collect(), &[64]);
    journal.rows.iter_mut().for_each(|row| row.public = false);
    let verdict = journal.check(None);
    assert_eq!((verdict.breaks.len(), verdict.break_count), (1, 2_000));
    journal.rows.retain(|row| row.number % 2 == 0);
    let verdict = journal.check(None);
    assert_eq!((verdict.breaks.len(), verdict.break_count), (100, 2_000));
}

/// A file has its own order of lines.
#[test]
fn rows_out_of_order_are_found() {
    let Journal { mut rows, seals, head, .. } = journal(9);
    rows.swap(5, 6);
    rows.insert(8, row(8));
    let mut check = Check::new(None);
    let mut seals = seals.into_iter().peekable();
    for row in &rows {
        while let Some(seal) = seals.next_if(|seal| seal.first <= row.number) {
            check.seal(seal);
        }
        check.row(row);
    }
    let verdict = check.finish(head, 0);
    let found: Vec<_> = verdict.breaks.iter().map(|found| (found.kind, found.number)).collect();
    assert_eq!(found, [(Missing, 6), (Reordered, 6), (Reordered, 8)]);
}

fn says(number: i64, kind: Kind, data: impl Serialize) -> Row {
    let data = serde_json::value::to_raw_value(&data).unwrap();
    Row { kind: kind.to_string(), data: Some(data), ..row(number) }
}

#[test]
fn an_erasure_verifies_if_the_journal_says_so() {
    let announces = |numbers: &[i64]| {
        let rows = (1..=12).map(|number| match number {
            10 => says(10, Kind::JournalErased, Erasure { numbers: numbers.to_vec() }),
            _ => row(number),
        });
        sealed(rows.collect(), &[3, 1, 5])
    };
    let mut journal = announces(&[2, 7]);
    for number in [2, 7] {
        *journal.row(number) = erased(row(number));
    }
    let verdict = journal.check(None);
    assert_eq!((verdict.break_count, verdict.erased), (0, 2));
    // That it was announced and not done is no change.
    *journal.row(7) = row(7);
    assert_eq!(journal.found(), []);

    let mut journal = announces(&[2]);
    for number in [2, 7] {
        *journal.row(number) = erased(row(number));
    }
    assert_eq!(journal.found(), [(Edited, 7)]);
    // An announcement that is not what was sealed counts as none.
    journal.row(10).data = says(10, Kind::JournalErased, Erasure { numbers: vec![2, 7] }).data;
    assert_eq!(journal.found(), [(Edited, 2), (Edited, 7), (Edited, 10)]);
    // Neither does one that itself was erased.
    let mut journal = announces(&[2, 10]);
    *journal.row(2) = erased(row(2));
    *journal.row(10) = erased(journal.row(10).clone());
    assert_eq!(journal.found(), [(Edited, 2), (Edited, 10)]);
    // An erasure does not hide an edit.
    let mut journal = announces(&[2]);
    *journal.row(2) = erased(Row { kind: "task.done".to_owned(), ..row(2) });
    assert_eq!(journal.found(), [(Edited, 2)]);
}

/// Twelve rows in five segments, of which row 11 says that those up to number 4 are pruned.
fn to_be_pruned() -> Journal {
    let first = sealed((1..=4).map(row).collect(), &[3, 1]);
    let pruning = Pruning { pruned_to: 4, chain_sha256: first.head.chain_sha256 };
    let rows = (1..=12).map(|number| match number {
        11 => says(11, Kind::JournalPruned, pruning),
        _ => row(number),
    });
    sealed(rows.collect(), &[3, 1, 5, 2, 1])
}

#[test]
fn a_pruned_prefix_verifies() {
    let mut journal = to_be_pruned();
    let kept = journal.seals[1].head();
    assert_eq!(journal.found(), []);
    journal.prune(2);
    let verdict = journal.check(Some(journal.head));
    assert_eq!((verdict.break_count, verdict.pruned_to), (0, 4), "{verdict:?}");
    // A head from within the pruned rows still counts.
    assert_eq!(journal.check(Some(kept)).break_count, 0);
    // What is left is as protected as before.
    journal.row(7).public = false;
    journal.remove(9);
    assert_eq!(journal.found(), [(Edited, 7), (Missing, 9)]);
}

#[test]
fn a_forged_prefix_does_not_verify() {
    // Rows removed without an announcement, with everything else moved by hand.
    let mut journal = journal(12);
    journal.prune(2);
    assert_eq!(journal.found(), [(ChainBroken, 4)]);
    // One more or one fewer segment than the announcement says.
    let mut journal = to_be_pruned();
    journal.prune(3);
    assert_eq!(journal.found(), [(ChainBroken, 9)]);
    let mut journal = to_be_pruned();
    journal.prune(1);
    assert_eq!(journal.found(), [(ChainBroken, 3)]);
    // Rows removed, their digests kept; rows put back, or kept; digests removed alone.
    let mut journal = to_be_pruned();
    journal.rows.retain(|row| row.number > 4);
    // One break that counts the rows of both segments.
    let Verdict { breaks, break_count, .. } = journal.check(None);
    let first = &breaks[0];
    assert_eq!((first.kind, first.number, first.count), (Missing, 1, 4));
    assert_eq!((breaks.len(), break_count), (1, 4));
    let mut journal = to_be_pruned();
    journal.prune(2);
    journal.rows.push(row(2));
    assert_eq!(journal.found(), [(Inserted, 2)]);
    // The number moved by hand.
    let mut journal = to_be_pruned();
    journal.prune(2);
    journal.pruned_to = 9;
    assert_eq!(journal.found(), [(ChainBroken, 9)]);
    // Other rows behind the same numbers, sealed anew: the announcement has the chain hash of the old.
    let mut journal = to_be_pruned();
    journal.row(2).public = false;
    journal.reseal(0);
    journal.prune(2);
    assert_eq!(journal.found(), [(ChainBroken, 4)]);
    // The chain hash of the last pruned seal edited.
    let mut journal = to_be_pruned();
    journal.prune(2);
    journal.seals[1].chain_sha256 = Digest([1; 32]);
    assert_eq!(journal.found(), [(ChainBroken, 4), (ChainBroken, 5)]);
    // The announcement edited, or not sealed yet.
    let mut journal = to_be_pruned();
    journal.prune(3);
    let pruning = Pruning { pruned_to: 9, chain_sha256: journal.seals[2].chain_sha256 };
    journal.row(11).data = says(11, Kind::JournalPruned, pruning).data;
    assert_eq!(journal.found(), [(ChainBroken, 9), (Edited, 11)]);
    let mut journal = to_be_pruned();
    journal.prune(2);
    journal.seals.truncate(3);
    journal.rows.retain(|row| row.number <= 9);
    journal.head = journal.seals[2].head();
    assert_eq!(journal.found(), [(ChainBroken, 4)]);
    // A pruned seal that is gone.
    let mut journal = to_be_pruned();
    journal.prune(2);
    journal.seals.remove(0);
    assert_eq!(journal.found(), [(Missing, 1)]);
}

/// Something that is done to a journal.
#[derive(Debug, Clone)]
enum Act {
    Edit(i64),
    Erase(i64),
    Remove(i64),
    CloseGap(i64),
    Insert(i64),
    Exchange(i64, i64),
    Digest(i64),
    Chain(i64),
}

fn act() -> impl Strategy<Value = Act> {
    let at = 1..=20i64;
    prop_oneof![
        at.clone().prop_map(Act::Edit),
        at.clone().prop_map(Act::Erase),
        at.clone().prop_map(Act::Remove),
        at.clone().prop_map(Act::CloseGap),
        at.clone().prop_map(Act::Insert),
        (at.clone(), at.clone())
            .prop_filter("two numbers", |(one, other)| one != other)
            .prop_map(|(one, other)| Act::Exchange(one, other)),
        at.clone().prop_map(Act::Digest),
        at.prop_map(Act::Chain),
    ]
}

impl Act {
    /// Does it, if the rows are still there; returns the first number at which it is to be found.
    fn apply(&self, journal: &mut Journal) -> i64 {
        let there = |journal: &Journal, at: i64| journal.rows.iter().any(|row| row.number == at);
        match *self {
            Self::Edit(at) | Self::Erase(at) | Self::Remove(at) | Self::CloseGap(at)
                if !there(journal, at) =>
            {
                at
            }
            Self::Exchange(one, other) if !(there(journal, one) && there(journal, other)) => one,
            Self::Edit(at) => {
                journal.row(at).data_version += 1;
                at
            }
            Self::Erase(at) => {
                if !journal.row(at).is_erased() {
                    *journal.row(at) = erased(journal.row(at).clone());
                }
                at
            }
            Self::Remove(at) => {
                journal.remove(at);
                at
            }
            Self::CloseGap(at) => {
                journal.remove(at);
                journal.renumber(at, -1);
                at
            }
            Self::Insert(at) => {
                journal.renumber(at, 1);
                journal.rows.push(forged(at));
                journal.rows.retain(|row| row.number <= 20);
                at
            }
            Self::Exchange(one, other) => {
                journal.row(one).number = 100;
                journal.row(other).number = one;
                journal.row(100).number = other;
                one.min(other)
            }
            Self::Digest(at) => {
                journal.sealed_digest(at)[0] ^= 1;
                at
            }
            Self::Chain(at) => {
                journal.seal_with(at).chain_sha256.0[0] ^= 1;
                journal.seal_with(at).first
            }
        }
    }
}

proptest! {
    #[test]
    fn every_change_is_found_at_its_number(act in act(), length in 1..8i64) {
        let mut journal = sealed((1..=20).map(row).collect(), &[length]);
        let number = act.apply(&mut journal);
        let verdict = journal.check(None);
        prop_assert!(verdict.break_count > 0);
        prop_assert_eq!(verdict.breaks[0].number, number, "{:?} {:?}", act, verdict);
    }

    /// Several at once hide nothing.
    #[test]
    fn no_two_changes_make_a_sound_journal(one in act(), other in act(), length in 1..8i64) {
        let mut journal = sealed((1..=20).map(row).collect(), &[length]);
        let before = journal.text();
        one.apply(&mut journal);
        other.apply(&mut journal);
        prop_assume!(journal.text() != before);
        let verdict = journal.check(None);
        prop_assert!(verdict.break_count > 0, "{:?} {:?}", one, other);
    }
}
