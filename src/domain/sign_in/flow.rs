//! One sign-in, from the redirect to the provider to the return.
//!
//! Everything that must be remembered is in a cookie of the browser: a random secret, the time, and the
//! path to return to. State, nonce and the verifier of PKCE derive from all of it by HMAC-SHA256. So a
//! return that another browser began, or that was changed, does not fit, and the service stores nothing
//! for a sign-in that nobody ends. The holder of the cookie can only end a sign-in of their own.

use std::time::Duration;

use chrono::{DateTime, Utc};
use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::domain::{
    refusal::{Code, Refusal},
    settings,
};

/// Longest path to return to, in bytes.
const LONGEST_PATH: usize = 500;
/// Difference of clocks that a time in the future may have.
const AHEAD: Duration = Duration::from_secs(60);

/// One sign-in.
#[derive(Debug)]
pub struct Flow {
    secret: SecretBox<[u8; 32]>,
    began: i64,
    return_to: String,
}

impl Flow {
    /// A sign-in that begins now. `return_to`: a path of this service.
    ///
    /// # Errors
    /// `invalid` if `return_to` leads elsewhere.
    pub fn begin(
        now: DateTime<Utc>,
        random: [u8; 32],
        return_to: Option<&str>,
    ) -> Result<Self, Refusal> {
        let return_to = return_to.unwrap_or("/");
        if !is_path(return_to) {
            let detail =
                "must be a path of this service that begins with one `/`, at most 500 bytes";
            return Err(Refusal::invalid_at("?return_to", detail));
        }
        let secret = SecretBox::new(Box::new(random));
        Ok(Self { secret, began: now.timestamp(), return_to: return_to.to_owned() })
    }

    /// Reads a cookie; `None` if it is not that of a sign-in.
    #[must_use]
    pub fn parse(cookie: &str) -> Option<Self> {
        let mut parts = cookie.split('.');
        let (secret, began, path) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || cookie.len() > 2 * LONGEST_PATH {
            return None;
        }
        let secret = BASE32_NOPAD.decode(secret.to_ascii_uppercase().as_bytes()).ok()?;
        let secret = SecretBox::new(Box::new(secret.try_into().ok()?));
        let path = BASE64URL_NOPAD.decode(path.as_bytes()).ok()?;
        let return_to = String::from_utf8(path).ok()?;
        is_path(&return_to).then_some(Self { secret, began: began.parse().ok()?, return_to })
    }

    /// The cookie.
    #[must_use]
    pub fn cookie(&self) -> SecretString {
        let secret = BASE32_NOPAD.encode(self.secret.expose_secret()).to_ascii_lowercase();
        let path = BASE64URL_NOPAD.encode(self.return_to.as_bytes());
        SecretString::from(format!("{secret}.{}.{path}", self.began))
    }

    /// The path of this service to return to.
    #[must_use]
    pub fn return_to(&self) -> &str {
        &self.return_to
    }

    /// What the provider sends back with the code.
    #[must_use]
    pub fn state(&self) -> String {
        self.derive(b"state")
    }

    /// What the provider puts into the ID token.
    #[must_use]
    pub fn nonce(&self) -> String {
        self.derive(b"nonce")
    }

    /// The verifier of PKCE: its hash goes to the provider first, the verifier with the code.
    #[must_use]
    pub fn verifier(&self) -> SecretString {
        SecretString::from(self.derive(b"verifier"))
    }

    /// Names the sign-in, so that it is completed once. Not secret.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(self.state().as_bytes()).into()
    }

    /// Checks what came back.
    ///
    /// # Errors
    /// `sign_in_refused` if the state is another one, or the sign-in began too long ago.
    pub fn check(&self, state: &str, now: DateTime<Utc>) -> Result<(), Refusal> {
        let same: bool = self.state().as_bytes().ct_eq(state.as_bytes()).into();
        if !same {
            return Err(refused("the answer belongs to another sign-in; sign in again"));
        }
        let within = settings::SIGN_IN_WITHIN.as_secs().cast_signed();
        let age = now.timestamp().saturating_sub(self.began);
        if age > within || age < -AHEAD.as_secs().cast_signed() {
            return Err(refused("the sign-in took too long; sign in again"));
        }
        Ok(())
    }

    fn derive(&self, label: &[u8]) -> String {
        let mac = <Hmac<Sha256>>::new_from_slice(self.secret.expose_secret());
        // HMAC takes a key of any length.
        let Ok(mut mac) = mac else { return String::new() };
        for part in [label, &self.began.to_be_bytes(), self.return_to.as_bytes()] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        BASE64URL_NOPAD.encode(&mac.finalize().into_bytes().0)
    }
}

/// Whether a text is a path of the same host to every browser.
fn is_path(text: &str) -> bool {
    let bytes = text.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_graphic() && *byte != b'\\';
    bytes.first() == Some(&b'/')
        && bytes.get(1) != Some(&b'/')
        && bytes.len() <= LONGEST_PATH
        && bytes.iter().all(plain)
}

fn refused(detail: &str) -> Refusal {
    Refusal::new(Code::SignInRefused, detail)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    proptest! {
        #[test]
        fn a_cookie_carries_the_sign_in(random: [u8; 32], began in 0i64..4_000_000_000, path in "/[a-z?=&%.-]{0,40}") {
            let flow = Flow::begin(at(began), random, Some(&path)).unwrap();
            let read = Flow::parse(flow.cookie().expose_secret()).unwrap();
            prop_assert_eq!(read.return_to(), path.as_str());
            prop_assert_eq!(read.state(), flow.state());
            prop_assert_eq!(read.fingerprint(), flow.fingerprint());
            prop_assert!(read.check(&flow.state(), at(began + 600)).is_ok());
            prop_assert!(read.check(&flow.state(), at(began + 601)).is_err());
            let all = [flow.state(), flow.nonce(), flow.verifier().expose_secret().to_owned()];
            prop_assert!(all.iter().all(|text| text.len() == 43));
            prop_assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2]);
            let cookie = flow.cookie().expose_secret().to_owned();
            prop_assert!(all.iter().all(|text| !cookie.contains(text.as_str())));
        }

        #[test]
        fn a_changed_cookie_is_another_sign_in(random: [u8; 32], later in 1i64..1000) {
            let flow = Flow::begin(at(1000), random, Some("/docs")).unwrap();
            let cookie = flow.cookie().expose_secret().replace(".1000.", &format!(".{}.", 1000 + later));
            let changed = Flow::parse(&cookie).unwrap();
            prop_assert!(changed.check(&flow.state(), at(1000 + later)).is_err());
        }

        #[test]
        fn no_text_is_too_strange_to_read(text in "\\PC{0,200}") {
            let _ = Flow::parse(&text);
        }
    }

    #[test]
    fn only_paths_of_this_service_are_returned_to() {
        let long = format!("/{}", "a".repeat(500));
        for bad in [
            "",
            "docs",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/a\nb",
            "/a b",
            "/\t/evil.example",
            "/\u{e9}",
            &long,
        ] {
            assert!(Flow::begin(at(0), [7; 32], Some(bad)).is_err(), "{bad:?}");
        }
        assert_eq!(Flow::begin(at(0), [7; 32], None).unwrap().return_to(), "/");
    }
}
