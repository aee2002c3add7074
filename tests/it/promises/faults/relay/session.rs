//! What one connection to the database is doing: which statement runs, and in which transaction.

use std::collections::{HashMap, VecDeque};

use super::frames::{Ask, Message};

/// The statements of a transaction so far, in their order; the first begins it.
pub type Statements = Vec<String>;

/// A finished transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    pub statements: Statements,
}

impl Transaction {
    pub fn committed(&self) -> bool {
        self.statements.last().is_some_and(|last| last == "COMMIT")
    }

    pub fn contains(&self, text: &str) -> bool {
        self.statements.iter().any(|statement| statement.contains(text))
    }
}

/// What runs between two times that the server is ready: the statements of the transaction up to
/// and with this one; none when it is not part of one.
type Cycle = Option<Statements>;

/// Follows one connection. The server answers in the order in which it was asked.
#[derive(Debug, Default)]
pub struct Session {
    named: HashMap<String, String>,
    bound: String,
    asked: Cycle,
    running: VecDeque<Cycle>,
    /// What was sent of the open transaction.
    open: Option<Statements>,
    ready: bool,
}

impl Session {
    /// Notes what the client sends. Gives the transaction so far when the message starts one more
    /// statement of it.
    pub fn asks(&mut self, message: &Message) -> Option<Statements> {
        match Ask::of(message) {
            Ask::Parse { name, sql } => {
                self.named.insert(name, sql);
                None
            }
            Ask::Bind { name } => {
                self.bound = name;
                None
            }
            Ask::Execute => {
                let sql = self.named.get(&self.bound).cloned().unwrap_or_default();
                self.asked = self.runs(sql);
                self.asked.clone()
            }
            Ask::Query { sql } => {
                let statements = self.runs(sql);
                self.running.push_back(statements.clone());
                statements
            }
            Ask::Sync => {
                self.running.push_back(self.asked.take());
                None
            }
            Ask::Other => None,
        }
    }

    fn runs(&mut self, sql: String) -> Cycle {
        if begins(&sql) {
            self.open = Some(Vec::new());
        }
        let statements = self.open.as_mut()?;
        let last = ends(&sql);
        statements.push(sql);
        // What was sent behind the end is not part of it, though it may not be answered yet.
        if last { self.open.take() } else { self.open.clone() }
    }

    /// Notes what the server answers.
    pub fn answers(&mut self, message: &Message) -> Answered {
        if message.tag != b'Z' {
            return if self.ready { Answered::More } else { Answered::Greeting };
        }
        if !self.ready {
            self.ready = true;
            return Answered::Ready;
        }
        match self.running.pop_front().flatten() {
            None => Answered::Ready,
            Some(statements) if statements.last().is_some_and(|last| ends(last)) => {
                Answered::End(Transaction { statements })
            }
            Some(statements) => Answered::Statement(statements),
        }
    }
}

/// A unit of work begins with more than the word.
pub fn begins(sql: &str) -> bool {
    sql.get(..5).is_some_and(|word| word.eq_ignore_ascii_case("begin"))
}

fn ends(sql: &str) -> bool {
    matches!(sql, "COMMIT" | "ROLLBACK")
}

/// What a message of the server ends.
#[derive(Debug, PartialEq, Eq)]
pub enum Answered {
    /// The connection is being set up: nothing is held back.
    Greeting,
    /// Nothing: the answer goes on.
    More,
    /// Something that is no statement of a transaction.
    Ready,
    /// The last of these statements; the transaction goes on.
    Statement(Statements),
    /// The last of these statements, and the transaction with it.
    End(Transaction),
}
