//! Where the bytes of artifacts are: the store as the use cases call it.

use std::{fmt, io, pin::Pin};

use futures_util::Stream;
use tokio_util::bytes::Bytes;

use crate::domain::artifact::StoredName;

/// What a store says, later.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;
/// Bytes, piece by piece.
pub type Chunks = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// A store of bytes: a directory or an object store.
pub trait ArtifactStore: fmt::Debug + Send + Sync {
    /// Begins to take the bytes of an upload.
    fn begin(&self, name: StoredName) -> Later<'_, Box<dyn Incoming>>;
    /// Reads `length` bytes from `first` on; the error is `NotFound` if there are none with this name.
    fn read(&self, name: StoredName, first: u64, length: u64) -> Later<'_, Chunks>;
    /// Removes everything of an upload, if there is anything.
    fn remove(&self, name: StoredName) -> Later<'_, ()>;
    /// Removes old files that killed uploads left on this machine; returns their number.
    fn tidy(&self) -> Later<'_, u64>;
}

/// Bytes of an upload that arrive. Dropped, they leave nothing behind.
pub trait Incoming: Send + Sync {
    /// Appends bytes.
    fn write(&mut self, bytes: Bytes) -> Later<'_, ()>;
    /// Keeps all bytes under their name: afterwards they outlast a crash.
    fn keep(self: Box<Self>) -> Later<'static, ()>;
}
