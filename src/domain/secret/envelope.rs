//! The envelope of a secret: value under data key under master key.

use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead as _, KeyInit as _, Payload},
};
use secrecy::{SecretString, zeroize::Zeroizing};

use super::{
    Purpose,
    master::{MasterKey, MasterKeyFingerprint, MasterKeys},
};
use crate::domain::ids::{SecretId, WorkspaceId};

/// What a ciphertext is bound to. Of another row it does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The workspace of the secret.
    pub workspace: WorkspaceId,
    /// The secret itself.
    pub secret: SecretId,
    /// What it is for.
    pub purpose: Purpose,
}

/// The layers of an envelope. A ciphertext of one is none of the other.
#[derive(Clone, Copy)]
enum Layer {
    Key,
    Value,
}

impl Context {
    fn bytes(self, layer: Layer) -> Vec<u8> {
        let layer: &[u8] = match layer {
            Layer::Key => b"muster secret key 1\0",
            Layer::Value => b"muster secret value 1\0",
        };
        let purpose = self.purpose.as_str().as_bytes();
        [layer, self.workspace.0.as_bytes(), self.secret.0.as_bytes(), purpose].concat()
    }
}

/// Fresh random bytes for one [`seal`]. Never used twice.
#[derive(Debug)]
pub struct Randomness {
    /// The data key.
    pub data_key: Zeroizing<[u8; 32]>,
    /// The nonce of the data key's encryption.
    pub key_nonce: [u8; 24],
    /// The nonce of the value's encryption.
    pub value_nonce: [u8; 24],
}

/// An encrypted secret, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The master key that it is under.
    pub master_key_fingerprint: MasterKeyFingerprint,
    /// The data key under the master key.
    pub wrapped_key: Vec<u8>,
    /// The value under the data key.
    pub sealed: Vec<u8>,
}

/// Why a stored secret was not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotOpened {
    /// The key file does not have the master key.
    #[error(
        "the secret is encrypted under the master key {wanted}, but the key file has {known}; name the \
         right file with MUSTER_SECRET_KEY_FILE, or set the secret again"
    )]
    UnknownKey {
        /// The master key that it is under.
        wanted: MasterKeyFingerprint,
        /// The master keys of the file.
        known: String,
    },
    /// The row is not as it was written: damaged, changed, or copied from another row.
    #[error("the stored secret was changed outside of muster; set it again")]
    Changed,
}

/// Encrypts a value. `None` only if it is longer than a cipher can take.
#[must_use]
pub fn seal(
    under: &MasterKey,
    context: Context,
    value: &str,
    random: &Randomness,
) -> Option<Sealed> {
    let data_key: &[u8; 32] = &random.data_key;
    let key = context.bytes(Layer::Key);
    let wrapped_key = encrypt(under.bytes(), random.key_nonce, data_key, &key)?;
    let aad = context.bytes(Layer::Value);
    let sealed = encrypt(data_key, random.value_nonce, value.as_bytes(), &aad)?;
    Some(Sealed { master_key_fingerprint: under.fingerprint().clone(), wrapped_key, sealed })
}

/// Decrypts a stored secret.
///
/// # Errors
/// When the master key is unknown, or the row was changed.
pub fn open(
    keys: &MasterKeys,
    context: Context,
    stored: &Sealed,
) -> Result<SecretString, NotOpened> {
    let wanted = &stored.master_key_fingerprint;
    let unknown = || NotOpened::UnknownKey { wanted: wanted.clone(), known: keys.fingerprints() };
    let master = keys.find(wanted).ok_or_else(unknown)?;
    let key = context.bytes(Layer::Key);
    let data_key = decrypt(master.bytes(), &stored.wrapped_key, &key)?;
    let data_key: &[u8; 32] = data_key.as_slice().try_into().map_err(|_| NotOpened::Changed)?;
    let value = decrypt(data_key, &stored.sealed, &context.bytes(Layer::Value))?;
    let text = std::str::from_utf8(&value).map_err(|_| NotOpened::Changed)?;
    Ok(SecretString::from(text))
}

fn encrypt(key: &[u8; 32], nonce: [u8; 24], msg: &[u8], aad: &[u8]) -> Option<Vec<u8>> {
    let cipher = XChaCha20Poly1305::new(&(*key).into());
    let body = cipher.encrypt(&XNonce::from(nonce), Payload { msg, aad }).ok()?;
    Some([nonce.as_slice(), &body].concat())
}

fn decrypt(key: &[u8; 32], stored: &[u8], aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
    let (nonce, msg) = stored.split_first_chunk::<24>().ok_or(NotOpened::Changed)?;
    let cipher = XChaCha20Poly1305::new(&(*key).into());
    let plain = cipher.decrypt(&XNonce::from(*nonce), Payload { msg, aad });
    plain.map(Zeroizing::new).map_err(|_| NotOpened::Changed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret as _;
    use uuid::Uuid;

    use super::*;
    use crate::domain::words::Words as _;

    fn random() -> impl Strategy<Value = Randomness> {
        any::<([u8; 32], [u8; 24], [u8; 24])>().prop_map(|(data_key, key_nonce, value_nonce)| {
            Randomness { data_key: Zeroizing::new(data_key), key_nonce, value_nonce }
        })
    }

    fn contexts() -> impl Strategy<Value = Context> {
        let purposes = proptest::sample::select(Purpose::ALL);
        (0..3u128, 0..3u128, purposes).prop_map(|(workspace, secret, purpose)| Context {
            workspace: WorkspaceId(Uuid::from_u128(workspace)),
            secret: SecretId(Uuid::from_u128(secret)),
            purpose,
        })
    }

    fn key(bytes: [u8; 32]) -> MasterKeys {
        let digits = data_encoding::HEXLOWER.encode(&bytes);
        MasterKeys::parse(&digits).unwrap()
    }

    proptest! {
        #[test]
        fn only_the_same_row_opens_with_the_same_key(
            master in any::<[u8; 32]>(), value in ".{0,200}", random in random(),
            own in contexts(), other in contexts(),
        ) {
            let keys = key(master);
            let sealed = seal(keys.current(), own, &value, &random).unwrap();
            prop_assert_eq!(sealed.wrapped_key.len(), 72);
            prop_assert_eq!(sealed.sealed.len(), 40 + value.len());
            let opened = open(&keys, other, &sealed).map(|value| value.expose_secret().to_owned());
            let expected = if own == other { Ok(value) } else { Err(NotOpened::Changed) };
            prop_assert_eq!(opened, expected);
        }

        #[test]
        fn a_changed_bit_is_found(
            master in any::<[u8; 32]>(), random in random(), own in contexts(),
            at in any::<proptest::sample::Index>(), bit in 0..8u8, of_key: bool,
        ) {
            let keys = key(master);
            let mut sealed = seal(keys.current(), own, "a secret", &random).unwrap();
            let bytes = if of_key { &mut sealed.wrapped_key } else { &mut sealed.sealed };
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(open(&keys, own, &sealed).unwrap_err(), NotOpened::Changed);
        }

        #[test]
        fn cut_and_exchanged_layers_are_found(
            master in any::<[u8; 32]>(), one in random(), two in random(), own in contexts(),
            cut in 0..48usize,
        ) {
            let keys = key(master);
            let a = seal(keys.current(), own, "one secret", &one).unwrap();
            let b = seal(keys.current(), own, "two secret", &two).unwrap();
            let mixed = Sealed { sealed: b.sealed.clone(), ..a.clone() };
            prop_assert_eq!(open(&keys, own, &mixed).unwrap_err(), NotOpened::Changed);
            let mut short = a;
            short.sealed.truncate(cut);
            prop_assert_eq!(open(&keys, own, &short).unwrap_err(), NotOpened::Changed);
        }

        #[test]
        fn another_key_is_told_apart_from_a_changed_row(
            one in any::<[u8; 32]>(), two in any::<[u8; 32]>(), random in random(), own in contexts(),
        ) {
            prop_assume!(one != two);
            let (keys, others) = (key(one), key(two));
            let sealed = seal(keys.current(), own, "a secret", &random).unwrap();
            let unknown = NotOpened::UnknownKey {
                wanted: keys.current().fingerprint().clone(),
                known: others.current().fingerprint().to_string(),
            };
            prop_assert_eq!(open(&others, own, &sealed).unwrap_err(), unknown);
            // The fingerprint is no proof: a row that names the wrong key is a changed row.
            let forged = Sealed { master_key_fingerprint: others.current().fingerprint().clone(), ..sealed.clone() };
            prop_assert_eq!(open(&others, own, &forged).unwrap_err(), NotOpened::Changed);
            let both = MasterKeys::before(others.into_current(), keys);
            prop_assert!(open(&both, own, &sealed).is_ok());
        }
    }
}
