//! Secrets of others: what muster must send in clear and therefore cannot store as a hash.
//!
//! A value is encrypted (XChaCha20-Poly1305) under a data key of its own, the data key under the master
//! key. Both layers are bound to workspace, id and purpose, so a row copied over another does not open.
//! The master key is in a file outside of the database.

mod envelope;
mod master;

pub use envelope::{Context, NotOpened, Randomness, Sealed, open, seal};
pub use master::{MasterKey, MasterKeyFingerprint, MasterKeys, NoMasterKey};

use super::{check::Checks, settings, words::words};

words! {
    /// For what a secret is sent to somebody else.
    pub enum Purpose {
        /// The key of a planner's model.
        PlannerKey => "planner_key",
        /// The secret that signs the deliveries of a webhook.
        WebhookSecret => "webhook_secret",
        /// The secret of muster as a client of an identity provider.
        OidcClientSecret => "oidc_client_secret",
    }
}

/// Checks the name and the value of a new secret.
pub fn check(checks: &mut Checks, name: &str, value: &str) {
    checks.line("/name", name, settings::NAME_CHARS);
    checks.ensure(!value.is_empty(), "/value", "must not be empty");
    checks.bytes("/value", value, settings::SECRET_BYTES);
}
