//! Lengths and counts of lessons and of what asks for them.

use crate::domain::check::{Checks, pointer};

/// Most lessons of one end of an attempt.
pub const HANDED: usize = 5;
/// Most characters of a title.
pub const TITLE_CHARS: usize = 300;
/// Most bytes of the body of a lesson that somebody hands in or writes.
pub const BODY_BYTES: usize = 16 * 1024;
/// Most entries of `applies_to`.
pub const APPLIES_TO: usize = 20;
/// Most characters of one of them.
pub const APPLIES_CHARS: usize = 200;
/// Most characters of a query.
pub const QUERY_CHARS: usize = 10_000;
/// Most different words of a query that are searched for; the first ones count.
pub const QUERY_WORDS: usize = 200;
/// Most results of a search.
pub const RESULTS: u32 = 100;
/// Most tokens of a pack.
pub const PACK_TOKENS: u32 = 32_000;
/// Tokens of the lessons of a claim, unless the workspace says otherwise.
pub const CLAIM_TOKENS: u32 = 2_000;
/// Greatest percentage of tasks without lessons.
pub const CONTROL_PERCENT_MOST: i32 = 50;

/// Checks the texts of a lesson that is to be written.
pub fn check(checks: &mut Checks, at: &str, title: &str, body: &str, applies_to: &[String]) {
    let title_at = pointer(at, "title");
    checks.line(&title_at, title, TITLE_CHARS);
    let body_at = pointer(at, "body");
    checks.ensure(!body.trim().is_empty(), &body_at, "must not be empty");
    checks.bytes(&body_at, body, BODY_BYTES);
    let applies_at = pointer(at, "applies_to");
    checks.count(&applies_at, applies_to.len(), APPLIES_TO);
    for (index, about) in applies_to.iter().enumerate().take(APPLIES_TO) {
        let place = pointer(&applies_at, index);
        checks.line(&place, about, APPLIES_CHARS);
    }
}
