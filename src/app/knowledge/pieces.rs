//! Texts on their way to an endpoint for embeddings, in pieces that it takes.
//!
//! One text that is too long for the model makes an endpoint refuse the whole request, and the next run would send the
//! same texts again. So a piece that fails is halved down to single texts, and a single text is shortened. What fails even
//! then is no text for this model, and its lesson is ranked by its words, unless the endpoint takes no text at all.

use crate::domain::planning::model::ErrorKind;

/// A text is not shortened below this many characters.
const SHORTEST: usize = 500;

/// The text of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) doc: i64,
    pub(super) text: String,
}

/// What to do with a piece that failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Send these in its place, in this order.
    Smaller(Vec<Vec<Text>>),
    /// Nothing of this document can be sent, unless the endpoint takes no text at all.
    Unfit(i64),
    /// The endpoint fails whatever it is sent.
    GiveUp,
}

/// What follows on a failure of a piece.
pub(super) fn after(mut piece: Vec<Text>, failure: ErrorKind) -> Next {
    if !may_be_the_text(failure) {
        return Next::GiveUp;
    }
    if piece.len() > 1 {
        let rest = piece.split_off(piece.len() / 2);
        return Next::Smaller(vec![piece, rest]);
    }
    let Some(Text { doc, text }) = piece.pop() else { return Next::GiveUp };
    let chars = text.chars().count();
    if chars > SHORTEST {
        let text = text.chars().take((chars / 2).max(SHORTEST)).collect();
        return Next::Smaller(vec![vec![Text { doc, text }]]);
    }
    Next::Unfit(doc)
}

/// Whether another text might be taken. Servers say in several ways that one is too long, and some need too long for it.
fn may_be_the_text(failure: ErrorKind) -> bool {
    match failure {
        ErrorKind::BadRequest | ErrorKind::Server | ErrorKind::Timeout | ErrorKind::TooLarge => {
            true
        }
        ErrorKind::RateLimited
        | ErrorKind::NoQuota
        | ErrorKind::Overloaded
        | ErrorKind::Unauthorized
        | ErrorKind::Unreachable
        | ErrorKind::Forbidden
        | ErrorKind::Redirect
        | ErrorKind::Unreadable => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(lengths: &[usize]) -> Vec<Text> {
        let texts = lengths.iter().zip(0..);
        texts.map(|(length, doc)| Text { doc, text: "ä".repeat(*length) }).collect()
    }

    #[test]
    fn a_piece_is_halved_and_a_text_shortened_until_nothing_is_left_to_try() {
        let failed = ErrorKind::BadRequest;
        let Next::Smaller(halves) = after(piece(&[1, 2, 3]), failed) else { panic!() };
        assert_eq!(halves.concat(), piece(&[1, 2, 3]));
        assert_eq!(halves.iter().map(Vec::len).collect::<Vec<_>>(), [1, 2]);
        let shortened = Next::Smaller(vec![piece(&[500])]);
        assert_eq!(after(piece(&[501]), failed), shortened);
        assert_eq!(after(piece(&[500]), failed), Next::Unfit(0));
        assert_eq!(after(Vec::new(), failed), Next::GiveUp);
    }

    #[test]
    fn an_endpoint_that_refuses_everybody_is_not_asked_again() {
        for failure in [ErrorKind::Unauthorized, ErrorKind::Unreachable, ErrorKind::RateLimited] {
            assert_eq!(after(piece(&[9_000, 9_000]), failure), Next::GiveUp);
        }
    }
}
