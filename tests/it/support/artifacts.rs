//! Artifacts in tests: a store in memory, and uploads.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
};

use axum::{body::Bytes, http::Method};
use futures_util::{StreamExt as _, stream};
use muster::{
    app::artifacts::{
        Artifacts,
        store::{ArtifactStore, Chunks, Incoming, Later},
    },
    domain::artifact::StoredName,
};
use sha2::{Digest as _, Sha256};

use super::client::{Answer, Call, Client};

/// Most bytes of an artifact in tests.
pub const LARGEST: u64 = 1 << 20;

/// A store in memory. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Mutex<Inside>>);

#[derive(Debug, Default)]
struct Inside {
    kept: BTreeMap<String, Vec<u8>>,
    arriving: usize,
    down: bool,
    /// It keeps nothing meanwhile, and says nothing.
    stopped: bool,
    /// Number of bodies that it is asked to keep.
    keeping: usize,
    /// The path of what it does not remove has this part.
    stuck: Option<String>,
}

struct Arriving {
    memory: Memory,
    name: String,
    bytes: Vec<u8>,
}

impl Memory {
    /// What a service needs of it.
    pub fn service(&self) -> Artifacts {
        Artifacts { store: Arc::new(self.clone()), largest: LARGEST }
    }

    /// Number of stored and of arriving bodies.
    pub fn holds(&self) -> (usize, usize) {
        let inside = self.0.lock().unwrap();
        (inside.kept.len(), inside.arriving)
    }

    /// Whether it refuses everything.
    pub fn down(&self, down: bool) {
        self.0.lock().unwrap().down = down;
    }

    /// Lets it take its time to keep anything.
    pub fn stop(&self, stopped: bool) {
        self.0.lock().unwrap().stopped = stopped;
    }

    /// Number of bodies that it has been asked to keep.
    pub fn keeping(&self) -> usize {
        self.0.lock().unwrap().keeping
    }

    /// Lets it refuse to remove these bytes.
    pub fn stuck(&self, bytes: Option<&[u8]>) {
        self.0.lock().unwrap().stuck = bytes.map(hex);
    }

    /// Changes the first byte of everything that is kept.
    pub fn damage(&self) {
        for bytes in self.0.lock().unwrap().kept.values_mut() {
            bytes[0] ^= 1;
        }
    }

    fn at_work<T>(&self, work: impl FnOnce(&mut Inside) -> io::Result<T>) -> io::Result<T> {
        let mut inside = self.0.lock().unwrap();
        if inside.down { Err(io::Error::other("down")) } else { work(&mut inside) }
    }
}

impl ArtifactStore for Memory {
    fn begin(&self, name: StoredName) -> Later<'_, Box<dyn Incoming>> {
        Box::pin(async move {
            self.at_work(|inside| {
                inside.arriving += 1;
                Ok(())
            })?;
            let arriving = Arriving { memory: self.clone(), name: name.path(), bytes: Vec::new() };
            Ok(Box::new(arriving) as Box<dyn Incoming>)
        })
    }

    fn read(&self, name: StoredName, first: u64, length: u64) -> Later<'_, Chunks> {
        Box::pin(async move {
            self.at_work(|inside| {
                let kept = inside.kept.get(&name.path()).ok_or(io::ErrorKind::NotFound)?;
                let part = &kept[first as usize..(first + length) as usize];
                let pieces: Vec<io::Result<Bytes>> =
                    part.chunks(1000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
                Ok(stream::iter(pieces).boxed())
            })
        })
    }

    fn remove(&self, name: StoredName) -> Later<'_, ()> {
        Box::pin(async move {
            self.at_work(|inside| {
                if inside.stuck.as_ref().is_some_and(|stuck| name.path().contains(stuck)) {
                    return Err(io::Error::other("stuck"));
                }
                inside.kept.remove(&name.path());
                Ok(())
            })
        })
    }

    fn tidy(&self) -> Later<'_, u64> {
        Box::pin(async { Ok(0) })
    }
}

impl Incoming for Arriving {
    fn write(&mut self, bytes: Bytes) -> Later<'_, ()> {
        Box::pin(async move {
            self.bytes.extend_from_slice(&bytes);
            Ok(())
        })
    }

    fn keep(mut self: Box<Self>) -> Later<'static, ()> {
        Box::pin(async move {
            let bytes = std::mem::take(&mut self.bytes);
            self.memory.0.lock().unwrap().keeping += 1;
            while self.memory.0.lock().unwrap().stopped {
                tokio::task::yield_now().await;
            }
            self.memory.clone().at_work(|inside| {
                inside.kept.insert(self.name.clone(), bytes);
                Ok(())
            })
        })
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.memory.0.lock().unwrap().arriving -= 1;
    }
}

/// SHA-256 in hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(bytes))
}

/// How results and evidence name bytes.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(bytes))
}

/// The path of bytes.
pub fn path(bytes: &[u8]) -> String {
    format!("/v1/artifacts/{}", hex(bytes))
}

/// An upload as plain text.
pub fn upload(client: &Client, path: impl Into<String>, bytes: &[u8]) -> Call {
    client.call(Method::PUT, path).bytes("text/plain", bytes)
}

/// Uploads bytes as what they are.
pub async fn put(client: &Client, bytes: &[u8]) -> Answer {
    upload(client, path(bytes), bytes).await
}
