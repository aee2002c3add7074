//! The client of an identity provider: OpenID Connect, authorization code flow with PKCE.
//!
//! The metadata and keys of the provider are read at the first sign-in and then every hour. A token that is
//! signed with an unknown key makes muster read them again, at most once in [`KEYS_AGAIN`], because anybody
//! can make up a key. An ID token counts only with the signature of a key of the provider, the issuer, the
//! audience, the nonce of this sign-in, and before its expiry. Algorithms with a shared secret and unsigned
//! tokens never count.

use std::{pin::Pin, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use data_encoding::BASE64URL_NOPAD;
use openidconnect::{
    AsyncHttpClient, AuthType, AuthenticationFlow, AuthorizationCode, ClaimsVerificationError,
    ClientId, ClientSecret, CsrfToken, HttpRequest, HttpResponse, IdTokenVerifier, IssuerUrl,
    Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope,
    SignatureVerificationError, TokenResponse as _,
    core::{
        CoreClient, CoreClientAuthMethod, CoreErrorResponseType, CoreIdToken,
        CoreJwsSigningAlgorithm as Algorithm, CoreProviderMetadata, CoreResponseType,
    },
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use super::http::{HttpClient, HttpError, whole};
use crate::{
    clock::Stopwatch,
    domain::sign_in::{claims::Claims, flow::Flow},
};

/// Age at which metadata and keys are read again.
const KNOWN_FOR: Duration = Duration::from_secs(3600);
/// Shortest time between two reads because of unknown keys.
const KEYS_AGAIN: Duration = Duration::from_secs(60);
/// How far ahead the clock of a provider may be.
const AHEAD: Duration = Duration::from_secs(300);

/// Signatures that only the provider can make.
const ASYMMETRIC: [Algorithm; 9] = [
    Algorithm::RsaSsaPkcs1V15Sha256,
    Algorithm::RsaSsaPkcs1V15Sha384,
    Algorithm::RsaSsaPkcs1V15Sha512,
    Algorithm::RsaSsaPssSha256,
    Algorithm::RsaSsaPssSha384,
    Algorithm::RsaSsaPssSha512,
    Algorithm::EcdsaP256Sha256,
    Algorithm::EcdsaP384Sha384,
    Algorithm::EdDsa,
];

/// Why a sign-in ends here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OidcError {
    /// The provider does not answer, or not as a provider does. The same may work later.
    #[error("the identity provider: {0}")]
    Down(String),
    /// The code or the token is not good.
    #[error("{0}")]
    Refused(String),
    /// The settings cannot work.
    #[error("{0}")]
    Settings(String),
}

/// The provider, and muster as its client.
#[derive(Debug, Clone)]
pub struct OidcSettings {
    /// The issuer: the address below which the metadata of the provider is.
    pub issuer: String,
    /// The name of muster at the provider.
    pub client_id: String,
    /// The address to which the provider sends the browser back.
    pub redirect_url: String,
    /// Scopes beside `openid`.
    pub scopes: Vec<String>,
}

/// What is known of the provider.
#[derive(Debug)]
struct Known {
    metadata: CoreProviderMetadata,
    read: Stopwatch,
}

#[derive(Debug, Default)]
struct Memory {
    known: Option<Arc<Known>>,
    keys_again: Option<Stopwatch>,
}

/// A client of one provider.
#[derive(Debug)]
pub struct Oidc {
    http: HttpClient,
    issuer: IssuerUrl,
    client_id: ClientId,
    redirect: RedirectUrl,
    scopes: Vec<String>,
    memory: Mutex<Memory>,
}

impl Oidc {
    /// A client. Does not call the provider.
    ///
    /// # Errors
    /// When an address is none, or the machine has no certificates.
    pub fn new(settings: OidcSettings) -> Result<Self, OidcError> {
        let OidcSettings { issuer, client_id, redirect_url, scopes } = settings;
        let bad = |what: &str, error: &dyn std::fmt::Display| {
            OidcError::Settings(format!("{what} is no address: {error}"))
        };
        let http = HttpClient::new().map_err(|error| {
            OidcError::Settings(format!("the machine has no certificates to call out: {error}"))
        })?;
        Ok(Self {
            http,
            issuer: IssuerUrl::new(issuer).map_err(|error| bad("the issuer", &error))?,
            client_id: ClientId::new(client_id),
            redirect: RedirectUrl::new(redirect_url)
                .map_err(|error| bad("the address to return to", &error))?,
            scopes,
            memory: Mutex::default(),
        })
    }

    /// The issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.issuer.as_str()
    }

    /// The address at the provider where a person signs in.
    ///
    /// # Errors
    /// When the provider does not answer.
    pub async fn authorization_url(&self, flow: &Flow) -> Result<String, OidcError> {
        let known = self.known().await?;
        let client = CoreClient::from_provider_metadata(
            known.metadata.clone(),
            self.client_id.clone(),
            None,
        )
        .set_redirect_uri(self.redirect.clone());
        let (state, nonce) = (CsrfToken::new(flow.state()), Nonce::new(flow.nonce()));
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier(flow));
        let code = AuthenticationFlow::<CoreResponseType>::AuthorizationCode;
        let mut request = client.authorize_url(code, || state, || nonce);
        for scope in &self.scopes {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        let (url, ..) = request.set_pkce_challenge(challenge).url();
        Ok(url.to_string())
    }

    /// Redeems a code, and returns the verified claims of the ID token.
    ///
    /// # Errors
    /// When the provider does not answer, or the code or the token is not good.
    pub async fn redeem(
        &self,
        code: &str,
        flow: &Flow,
        secret: Option<&SecretString>,
        now: DateTime<Utc>,
    ) -> Result<Claims, OidcError> {
        let known = self.known().await?;
        let token = self.exchange(&known, code, flow, secret).await?;
        let nonce = Nonce::new(flow.nonce());
        let verified = match self.verify(&known, &token, &nonce, now) {
            Err(error) if is_unknown_key(&error) => {
                let known = self.known_again(&known).await?;
                self.verify(&known, &token, &nonce, now)
            }
            verified => verified,
        };
        verified.map_err(|error| OidcError::Refused(format!("the ID token: {error}")))?;
        self.claims(&token)
    }

    async fn exchange(
        &self,
        known: &Known,
        code: &str,
        flow: &Flow,
        secret: Option<&SecretString>,
    ) -> Result<CoreIdToken, OidcError> {
        let secret = secret.map(|secret| ClientSecret::new(secret.expose_secret().to_owned()));
        let metadata = &known.metadata;
        let client =
            CoreClient::from_provider_metadata(metadata.clone(), self.client_id.clone(), secret)
                .set_redirect_uri(self.redirect.clone())
                .set_auth_type(auth_type(metadata));
        let request = client.exchange_code(AuthorizationCode::new(code.to_owned()));
        let request = request.map_err(|error| OidcError::Down(error.to_string()))?;
        let answer = request.set_pkce_verifier(verifier(flow)).request_async(&self.http).await;
        let answer = answer.map_err(|error| match error {
            RequestTokenError::ServerResponse(refused)
                if matches!(
                    refused.error(),
                    CoreErrorResponseType::InvalidGrant | CoreErrorResponseType::InvalidRequest
                ) =>
            {
                OidcError::Refused("the code is not valid, or was used before".into())
            }
            RequestTokenError::ServerResponse(refused) => {
                let error: &str = refused.error().as_ref();
                OidcError::Down(format!("it refuses muster as its client: {error}"))
            }
            RequestTokenError::Request(error) => OidcError::Down(error.to_string()),
            RequestTokenError::Parse(_, body) if has_id_token(&body) => {
                OidcError::Refused("the ID token cannot be read".into())
            }
            // The error quotes the answer, which may have a token.
            RequestTokenError::Parse(error, _) => OidcError::Down(format!(
                "the answer of its token endpoint cannot be read at `{}`",
                error.path()
            )),
            RequestTokenError::Other(error) => OidcError::Down(error),
        })?;
        let token = answer.id_token().cloned();
        token.ok_or_else(|| OidcError::Down("it sends no ID token".into()))
    }

    fn verify(
        &self,
        known: &Known,
        token: &CoreIdToken,
        nonce: &Nonce,
        now: DateTime<Utc>,
    ) -> Result<(), ClaimsVerificationError> {
        let metadata = &known.metadata;
        let offered = metadata.id_token_signing_alg_values_supported();
        let allowed = ASYMMETRIC.into_iter().filter(|algorithm| offered.contains(algorithm));
        let issued = move |at: DateTime<Utc>| match at <= now + AHEAD {
            true => Ok(()),
            false => Err("it is from the future".to_owned()),
        };
        let (client, issuer) = (self.client_id.clone(), self.issuer.clone());
        let verifier = IdTokenVerifier::new_public_client(client, issuer, metadata.jwks().clone())
            .set_allowed_algs(allowed)
            .set_time_fn(move || now)
            .set_issue_time_verifier_fn(issued);
        token.claims(&verifier, nonce).map(|_| ())
    }

    /// The claims of a verified token, also those that the standard does not name.
    fn claims(&self, token: &CoreIdToken) -> Result<Claims, OidcError> {
        let unread = || OidcError::Refused("the ID token cannot be read".into());
        let text = token.to_string();
        let payload = text.split('.').nth(1).ok_or_else(unread)?;
        let payload = BASE64URL_NOPAD.decode(payload.as_bytes()).map_err(|_| unread())?;
        let all: Map<String, Value> = serde_json::from_slice(&payload).map_err(|_| unread())?;
        if all.get("azp").is_some_and(|party| party != self.client_id.as_str()) {
            return Err(OidcError::Refused("the ID token was issued to another client".into()));
        }
        let subject = all.get("sub").and_then(Value::as_str).ok_or_else(unread)?.to_owned();
        Ok(Claims { issuer: self.issuer.as_str().to_owned(), subject, all })
    }

    async fn known(&self) -> Result<Arc<Known>, OidcError> {
        // Held over the call: others wait for its answer and do not ask again.
        let mut memory = self.memory.lock().await;
        match &memory.known {
            Some(known) if known.read.elapsed() < KNOWN_FOR => Ok(Arc::clone(known)),
            Some(_) | None => self.discover(&mut memory).await,
        }
    }

    /// Reads the keys again after a token with a key that `stale` does not have.
    async fn known_again(&self, stale: &Arc<Known>) -> Result<Arc<Known>, OidcError> {
        let mut memory = self.memory.lock().await;
        match &memory.known {
            Some(known) if !Arc::ptr_eq(known, stale) => return Ok(Arc::clone(known)),
            Some(_) | None => {}
        }
        if memory.keys_again.is_some_and(|last| last.elapsed() < KEYS_AGAIN) {
            return Ok(Arc::clone(stale));
        }
        memory.keys_again = Some(Stopwatch::start());
        self.discover(&mut memory).await
    }

    async fn discover(&self, memory: &mut Memory) -> Result<Arc<Known>, OidcError> {
        let found = CoreProviderMetadata::discover_async(self.issuer.clone(), &self.http).await;
        let metadata = found.map_err(|error| OidcError::Down(whole(&error)))?;
        let known = Arc::new(Known { metadata, read: Stopwatch::start() });
        memory.known = Some(Arc::clone(&known));
        Ok(known)
    }
}

impl<'c> AsyncHttpClient<'c> for HttpClient {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

/// Whether an answer that cannot be read has an ID token: then it is the token that is not good.
fn has_id_token(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|answer| answer.get("id_token").is_some())
}

fn verifier(flow: &Flow) -> PkceCodeVerifier {
    PkceCodeVerifier::new(flow.verifier().expose_secret().to_owned())
}

/// The way to send the client secret: in a header, unless the provider takes it in the body only.
fn auth_type(metadata: &CoreProviderMetadata) -> AuthType {
    let methods = metadata.token_endpoint_auth_methods_supported();
    let takes = |method| methods.is_some_and(|methods| methods.contains(&method));
    let post = takes(CoreClientAuthMethod::ClientSecretPost);
    match post && !takes(CoreClientAuthMethod::ClientSecretBasic) {
        true => AuthType::RequestBody,
        false => AuthType::BasicAuth,
    }
}

fn is_unknown_key(error: &ClaimsVerificationError) -> bool {
    matches!(
        error,
        ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey)
    )
}
