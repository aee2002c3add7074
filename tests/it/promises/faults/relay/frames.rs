//! The framing of PostgreSQL's wire protocol (version 3), as far as a relay must know it: where a
//! message ends, and which SQL text it makes the server run.

/// A message: its type (0 for the first one of a connection, which has none) and all its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub tag: u8,
    pub bytes: Vec<u8>,
}

impl Message {
    /// What follows type and length.
    fn body(&self) -> &[u8] {
        &self.bytes[if self.tag == 0 { 4 } else { 5 }..]
    }

    /// The zero-terminated strings that the body begins with.
    fn strings(&self) -> impl Iterator<Item = String> {
        self.body().split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned())
    }
}

/// Cuts a stream of bytes into messages.
#[derive(Debug, Default)]
pub struct Frames {
    buffer: Vec<u8>,
    /// Whether the next message has no type: the first of a client.
    untyped: bool,
}

impl Frames {
    /// What a client sends.
    pub fn of_client() -> Self {
        Self { buffer: Vec::new(), untyped: true }
    }

    /// What a server sends.
    pub fn of_server() -> Self {
        Self::default()
    }

    /// Takes bytes in.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message.
    pub fn pop(&mut self) -> Option<Message> {
        let head = usize::from(!self.untyped);
        let length = self.buffer.get(head..head + 4)?;
        let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
        if self.buffer.len() < head + length {
            return None;
        }
        let rest = self.buffer.split_off(head + length);
        let bytes = std::mem::replace(&mut self.buffer, rest);
        let tag = if self.untyped { 0 } else { bytes[0] };
        self.untyped = false;
        Some(Message { tag, bytes })
    }
}

/// What a client's message asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Gives the statement a name.
    Parse { name: String, sql: String },
    /// The next [`Ask::Execute`] is of this statement.
    Bind { name: String },
    /// Runs what was bound.
    Execute,
    /// Runs this; answered with "ready".
    Query { sql: String },
    /// The end of what was asked; answered with "ready".
    Sync,
    /// Something else.
    Other,
}

impl Ask {
    /// What a message of a client asks for.
    pub fn of(message: &Message) -> Self {
        let mut strings = message.strings();
        let mut next = || strings.next().unwrap_or_default();
        match message.tag {
            b'P' => Self::Parse { name: next(), sql: next() },
            // The name of the portal stands first.
            b'B' => Self::Bind { name: [next(), next()][1].clone() },
            b'E' => Self::Execute,
            b'Q' => Self::Query { sql: next() },
            b'S' => Self::Sync,
            _ => Self::Other,
        }
    }
}

#[test]
fn messages_are_found_in_pieces_of_any_size() {
    let message = |tag: &str, body: &[u8]| {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [tag.as_bytes(), &length, body].concat()
    };
    let stream = [
        message("", &[0, 3, 0, 0]),
        message("P", b"name\0select 1\0\0\0"),
        message("B", b"\0name\0\0\0\0\0\0\0"),
        message("E", b"\0\0\0\0\0"),
        message("Q", b"BEGIN\0"),
        message("S", b""),
    ]
    .concat();
    for size in 1..=stream.len() {
        let mut frames = Frames::of_client();
        let mut asks = Vec::new();
        for piece in stream.chunks(size) {
            frames.push(piece);
            asks.extend(std::iter::from_fn(|| frames.pop()).map(|message| Ask::of(&message)));
        }
        let name = || "name".to_owned();
        assert_eq!(
            asks,
            [
                Ask::Other,
                Ask::Parse { name: name(), sql: "select 1".to_owned() },
                Ask::Bind { name: name() },
                Ask::Execute,
                Ask::Query { sql: "BEGIN".to_owned() },
                Ask::Sync,
            ]
        );
    }
}
