//! Comments: what they are, whom they reach, and their bounds.

use super::words::words;

words! {
    /// What a comment is.
    pub enum CommentKind {
        /// It says something.
        Note => "note",
        /// It asks something.
        Question => "question",
        /// It answers a question.
        Answer => "answer",
    }
}
