//! Master keys, as they stand in a key file.
//!
//! A key file has one key of 256 bits a line, as 64 hexadecimal digits. The first key encrypts, and
//! every key of the file decrypts. A second line exists only during a rotation.

use std::{collections::BTreeSet, fmt};

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretBox, SecretString, zeroize::Zeroizing};
use sha2::Sha256;

/// Most keys of one file.
const MOST: usize = 8;
/// Fewest distinct bytes of a key; fewer mean a placeholder.
const DIFFERENT: usize = 8;

/// Why a text is no key file. Says nothing of the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a key file has a master key a line: 64 hexadecimal digits as from `openssl rand -hex 32`; at most \
     {MOST} keys, each once"
)]
pub struct NoMasterKey;

/// Fingerprint of a master key: a MAC under the key, so it names the key and tells nothing about it.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKeyFingerprint(String);

impl MasterKeyFingerprint {
    /// The fingerprint as it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for MasterKeyFingerprint {
    fn from(stored: String) -> Self {
        Self(stored)
    }
}

impl fmt::Display for MasterKeyFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MasterKeyFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One master key.
#[derive(Debug)]
pub struct MasterKey {
    fingerprint: MasterKeyFingerprint,
    bytes: SecretBox<[u8; 32]>,
}

impl MasterKey {
    /// A key of 256 random bits.
    ///
    /// # Errors
    /// When the bytes are those of a placeholder.
    pub fn new(bytes: [u8; 32]) -> Result<Self, NoMasterKey> {
        let bytes = SecretBox::new(Box::new(bytes));
        let different: BTreeSet<u8> = bytes.expose_secret().iter().copied().collect();
        if different.len() < DIFFERENT {
            return Err(NoMasterKey);
        }
        let mac = <Hmac<Sha256>>::new_from_slice(bytes.expose_secret());
        let mut mac = mac.map_err(|_| NoMasterKey)?;
        mac.update(b"muster master key id");
        let digest: [u8; 32] = mac.finalize().into_bytes().0;
        let fingerprint = MasterKeyFingerprint(HEXLOWER.encode(&digest[..8]));
        Ok(Self { fingerprint, bytes })
    }

    fn parse(line: &str) -> Result<Self, NoMasterKey> {
        let decoded = HEXLOWER_PERMISSIVE.decode(line.as_bytes()).map_err(|_| NoMasterKey)?;
        let decoded = Zeroizing::new(decoded);
        Self::new(decoded.as_slice().try_into().map_err(|_| NoMasterKey)?)
    }

    /// Its fingerprint.
    #[must_use]
    pub fn fingerprint(&self) -> &MasterKeyFingerprint {
        &self.fingerprint
    }

    /// The line of a key file.
    #[must_use]
    pub fn line(&self) -> SecretString {
        let digits = Zeroizing::new(HEXLOWER.encode(self.bytes.expose_secret()));
        SecretString::from(format!("{}\n", *digits))
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        self.bytes.expose_secret()
    }
}

/// The keys of a key file.
#[derive(Debug)]
pub struct MasterKeys {
    current: MasterKey,
    older: Vec<MasterKey>,
}

impl MasterKeys {
    /// Reads a key file.
    ///
    /// # Errors
    /// When it has another form.
    pub fn parse(text: &str) -> Result<Self, NoMasterKey> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let keys = lines.map(MasterKey::parse).collect::<Result<Vec<_>, _>>()?;
        let different: BTreeSet<&str> = keys.iter().map(|key| key.fingerprint.as_str()).collect();
        if different.len() != keys.len() || keys.len() > MOST {
            return Err(NoMasterKey);
        }
        let mut keys = keys.into_iter();
        let current = keys.next().ok_or(NoMasterKey)?;
        Ok(Self { current, older: keys.collect() })
    }

    /// One key that encrypts, before others that only decrypt.
    #[must_use]
    pub fn before(current: MasterKey, others: Self) -> Self {
        let mut older: Vec<MasterKey> = Vec::with_capacity(1 + others.older.len());
        older.push(others.current);
        older.extend(others.older);
        older.retain(|key| key.fingerprint != current.fingerprint);
        Self { current, older }
    }

    /// The key that encrypts.
    #[must_use]
    pub fn current(&self) -> &MasterKey {
        &self.current
    }

    /// The key that encrypts, alone.
    #[must_use]
    pub fn into_current(self) -> MasterKey {
        self.current
    }

    /// The keys that only decrypt.
    #[must_use]
    pub fn older(&self) -> &[MasterKey] {
        &self.older
    }

    /// The key with this fingerprint.
    #[must_use]
    pub fn find(&self, wanted: &MasterKeyFingerprint) -> Option<&MasterKey> {
        std::iter::once(&self.current).chain(&self.older).find(|key| key.fingerprint == *wanted)
    }

    /// The fingerprints, for messages.
    #[must_use]
    pub fn fingerprints(&self) -> String {
        let all = std::iter::once(&self.current).chain(&self.older);
        all.map(|key| key.fingerprint.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// The text of a key file with these keys.
    #[must_use]
    pub fn text(&self) -> SecretString {
        let mut text = Zeroizing::new(String::new());
        for key in std::iter::once(&self.current).chain(&self.older) {
            text.push_str(key.line().expose_secret());
        }
        SecretString::from(text.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_key_file_is_read_as_it_is_written(keys in proptest::collection::vec(any::<[u8; 32]>(), 1..=MOST)) {
            let lines: Vec<String> = keys.iter().map(|key| HEXLOWER.encode(key)).collect();
            let read = MasterKeys::parse(&lines.join("\r\n\n")).unwrap();
            let first = MasterKey::new(keys[0]).unwrap();
            prop_assert_eq!(read.current().fingerprint(), first.fingerprint());
            prop_assert_eq!(read.older().len(), keys.len() - 1);
            let text = read.text();
            let expected = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
            prop_assert_eq!(text.expose_secret(), expected.as_str());
        }

        #[test]
        fn a_debug_text_shows_no_key(bytes in any::<[u8; 32]>()) {
            let line = HEXLOWER.encode(&bytes);
            let keys = MasterKeys::parse(&line).unwrap();
            let (shown, plain) = (format!("{keys:?}"), format!("{bytes:?}"));
            prop_assert!(!shown.contains(&line) && !shown.contains(&plain));
        }
    }

    #[test]
    fn other_texts_are_no_key_files() {
        let good = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
        assert!(MasterKeys::parse(&good.to_uppercase()).is_ok());
        let nine: String = (0..9u8).map(|n| format!("{n:02x}{}\n", &good[2..])).collect();
        for bad in [
            "",
            "\n",
            "secret",
            &good[1..],
            &good[2..],
            &format!("{good}00"),
            &format!("{good}\n{good}"),
            &"0".repeat(64),
            &nine,
        ] {
            assert!(MasterKeys::parse(bad).is_err(), "{bad}");
        }
    }
}
