//! An identity provider in this process: metadata, keys, and a token endpoint that redeems a code once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Form, Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing,
};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use muster::clock::ManualClock;
use openidconnect::{
    JsonWebKeyId, PrivateSigningKey,
    core::{
        CoreEdDsaPrivateSigningKey, CoreJsonWebKey, CoreJsonWebKeySet, CoreJwsSigningAlgorithm,
        CoreRsaPrivateSigningKey,
    },
};
use rsa::pkcs1::EncodeRsaPrivateKey as _;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

pub const CLIENT_ID: &str = "muster";
pub const CLIENT_SECRET: &str = "a client secret";
/// What the provider gives out beside ID tokens.
pub const ACCESS_TOKEN: &str = "access-token-of-the-provider";
/// How long a code is good.
pub const CODE_SECONDS: i64 = 60;
pub const CALLBACK: &str = "http://127.0.0.1:8080/v1/sign-in/oidc/callback";

/// A key of the provider.
enum Signer {
    EdDsa(CoreEdDsaPrivateSigningKey),
    Rsa(CoreRsaPrivateSigningKey),
}

impl Signer {
    fn ed25519(kid: &str) -> Self {
        // PKCS#8 of an Ed25519 key is a fixed head and the seed.
        let head = data_encoding::HEXLOWER.decode(b"302e020100300506032b657004220420").unwrap();
        let seed: [u8; 32] = rand::random();
        let body = BASE64.encode(&[head.as_slice(), &seed].concat());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
        let kid = Some(JsonWebKeyId::new(kid.to_owned()));
        Self::EdDsa(CoreEdDsaPrivateSigningKey::from_ed25519_pem(&pem, kid).unwrap())
    }

    fn rsa(kid: &str) -> Self {
        let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
        let pem = key.to_pkcs1_pem(rsa::pkcs1::LineEnding::LF).unwrap();
        let kid = Some(JsonWebKeyId::new(kid.to_owned()));
        Self::Rsa(CoreRsaPrivateSigningKey::from_pem(&pem, kid).unwrap())
    }

    fn public(&self) -> CoreJsonWebKey {
        match self {
            Self::EdDsa(key) => key.as_verification_key(),
            Self::Rsa(key) => key.as_verification_key(),
        }
    }

    fn sign(&self, text: &[u8]) -> (&'static str, Vec<u8>) {
        match self {
            Self::EdDsa(key) => ("EdDSA", key.sign(&CoreJwsSigningAlgorithm::EdDsa, text).unwrap()),
            Self::Rsa(key) => {
                let algorithm = CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256;
                ("RS256", key.sign(&algorithm, text).unwrap())
            }
        }
    }

    fn algorithm(&self) -> &'static str {
        self.sign(b"").0
    }
}

/// What is wrong with the ID tokens of a provider.
#[derive(Clone, Default)]
pub enum Twist {
    /// Nothing.
    #[default]
    None,
    /// Claims are replaced; null removes one.
    Claims(Value),
    /// Not signed: `alg` is `none`.
    Unsigned,
    /// Signed with the client secret: `alg` is `HS256`.
    SharedSecret,
    /// Signed by somebody else, under the name of the provider's key.
    Forged,
    /// The payload was changed after it was signed.
    Changed,
    /// Signed with the public key of the provider as a shared secret: `alg` is `HS256`.
    PublicKey,
    /// There is no token.
    Missing,
    /// The answer with the tokens cannot be read.
    Garbled,
    /// The metadata are those of another issuer.
    Impostor,
    /// Metadata and token endpoint lead elsewhere.
    Moved,
    /// The metadata are larger than anybody needs.
    Huge,
}

struct Inner {
    issuer: String,
    clock: ManualClock,
    signer: Signer,
    kid: String,
    /// Claims of the person who signs in.
    person: Map<String, Value>,
    twist: Twist,
    /// Codes that were not redeemed, with the time of their making and their requests.
    codes: HashMap<String, (i64, HashMap<String, String>)>,
    nonces: Vec<String>,
    key_reads: usize,
    token_calls: usize,
    elsewhere_calls: usize,
    down: bool,
}

#[derive(Clone)]
pub struct LocalProvider(Arc<Mutex<Inner>>);

impl LocalProvider {
    /// A provider on a port of this machine. Signs in Alice, an operator.
    pub async fn start(clock: &ManualClock) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let person = json!({"sub": "alice-1", "email": "alice@example.com", "email_verified": true,
                            "groups": ["ops"]});
        let provider = Self(Arc::new(Mutex::new(Inner {
            issuer,
            clock: clock.clone(),
            signer: Signer::ed25519("key-1"),
            kid: "key-1".to_owned(),
            person: person.as_object().unwrap().clone(),
            twist: Twist::None,
            codes: HashMap::new(),
            nonces: Vec::new(),
            key_reads: 0,
            token_calls: 0,
            elsewhere_calls: 0,
            down: false,
        })));
        let router = Router::new()
            .route("/.well-known/openid-configuration", routing::get(metadata))
            .route("/jwks", routing::get(keys))
            .route("/token", routing::post(token))
            .route("/elsewhere", routing::any(elsewhere))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        provider
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    pub fn issuer(&self) -> String {
        self.inner().issuer.clone()
    }

    /// Sets claims of the person; null removes one.
    pub fn person(&self, claims: Value) {
        replace(&mut self.inner().person, &claims);
    }

    pub fn twist(&self, twist: Twist) {
        self.inner().twist = twist;
    }

    pub fn down(&self, down: bool) {
        self.inner().down = down;
    }

    /// Another key, under another name.
    pub fn rotate_keys(&self, kid: &str) {
        let mut inner = self.inner();
        (inner.signer, inner.kid) = (Signer::ed25519(kid), kid.to_owned());
    }

    pub fn use_rsa(&self) {
        let mut inner = self.inner();
        (inner.signer, inner.kid) = (Signer::rsa("rsa-1"), "rsa-1".to_owned());
    }

    pub fn key_reads(&self) -> usize {
        self.inner().key_reads
    }

    pub fn token_calls(&self) -> usize {
        self.inner().token_calls
    }

    /// Calls to the address that redirects lead to.
    pub fn elsewhere_calls(&self) -> usize {
        self.inner().elsewhere_calls
    }

    /// The person signs in at the address that muster sent the browser to: the path to which the provider
    /// sends the browser back.
    pub fn approve(&self, location: &str) -> String {
        let (code, state) = self.code(location);
        format!("/v1/sign-in/oidc/callback?code={code}&state={state}&session_state=x")
    }

    /// Another code for an address that was used before, as from a provider that does not keep count.
    pub fn again(&self, location: &str) -> String {
        self.inner().nonces.clear();
        let (code, _) = self.code(location);
        self.inner().codes.get(&code).unwrap();
        code
    }

    /// The code and the state for an address.
    pub fn code(&self, location: &str) -> (String, String) {
        let mut inner = self.inner();
        let (address, query) = location.split_once('?').unwrap();
        assert_eq!(address, format!("{}/authorize", inner.issuer));
        let asked: HashMap<String, String> =
            form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        assert_eq!(asked["response_type"], "code");
        assert_eq!(asked["client_id"], CLIENT_ID);
        assert_eq!(asked["redirect_uri"], CALLBACK);
        assert_eq!(asked["code_challenge_method"], "S256");
        assert_eq!(asked["scope"], "openid email profile");
        assert!(!inner.nonces.contains(&asked["nonce"]), "a nonce is used twice");
        inner.nonces.push(asked["nonce"].clone());
        let (code, state) =
            (format!("code-{:016x}", rand::random::<u64>()), asked["state"].clone());
        let now = inner.clock.now().timestamp();
        inner.codes.insert(code.clone(), (now, asked));
        (code, state)
    }
}

fn hs256(secret: &[u8], text: &str) -> Vec<u8> {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let mut mac = <Hmac<Sha256>>::new_from_slice(secret).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn replace(claims: &mut Map<String, Value>, others: &Value) {
    for (name, value) in others.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.remove(name)),
            value => drop(claims.insert(name.clone(), value.clone())),
        }
    }
}

fn unavailable() -> Response {
    (StatusCode::BAD_GATEWAY, "<html>down</html>").into_response()
}

fn moved(issuer: &str) -> Response {
    let location = format!("{issuer}/elsewhere");
    (StatusCode::TEMPORARY_REDIRECT, [("location", location)]).into_response()
}

async fn elsewhere(State(provider): State<LocalProvider>) {
    provider.inner().elsewhere_calls += 1;
}

async fn metadata(State(provider): State<LocalProvider>) -> Response {
    let inner = provider.inner();
    if inner.down {
        return unavailable();
    }
    let issuer = &inner.issuer;
    let (named, padding) = match inner.twist {
        Twist::Moved => return moved(issuer),
        Twist::Impostor => ("https://evil.example", 0),
        Twist::Huge => (issuer.as_str(), 2 * 1024 * 1024),
        _ => (issuer.as_str(), 0),
    };
    Json(json!({
        "issuer": named,
        "padding": "x".repeat(padding),
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [inner.signer.algorithm(), "HS256", "none"],
    }))
    .into_response()
}

async fn keys(State(provider): State<LocalProvider>) -> Response {
    let mut inner = provider.inner();
    if inner.down {
        return unavailable();
    }
    inner.key_reads += 1;
    Json(CoreJsonWebKeySet::new(vec![inner.signer.public()])).into_response()
}

async fn token(
    State(provider): State<LocalProvider>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let mut inner = provider.inner();
    inner.token_calls += 1;
    if inner.down {
        return unavailable();
    }
    if matches!(inner.twist, Twist::Moved) {
        return moved(&inner.issuer);
    }
    let expected = format!("{CLIENT_ID}:{}", CLIENT_SECRET.replace(' ', "+"));
    let expected = format!("Basic {}", BASE64.encode(expected.as_bytes()));
    if headers["authorization"] != expected.as_str() {
        let error = json!({"error": "invalid_client"});
        return (StatusCode::UNAUTHORIZED, Json(error)).into_response();
    }
    let now = inner.clock.now().timestamp();
    let made = inner.codes.remove(&form["code"]);
    let asked = made.filter(|(at, _)| now - at <= CODE_SECONDS).map(|(_, asked)| asked);
    let challenge = BASE64URL_NOPAD.encode(&Sha256::digest(form["code_verifier"].as_bytes()));
    let Some(asked) = asked.filter(|asked| {
        asked["code_challenge"] == challenge && asked["redirect_uri"] == form["redirect_uri"]
    }) else {
        return (StatusCode::BAD_REQUEST, Json(json!({"error": "invalid_grant"}))).into_response();
    };
    if matches!(inner.twist, Twist::Garbled) {
        let answer =
            json!({"access_token": "a", "token_type": "Bearer", "expires_in": ACCESS_TOKEN});
        return Json(answer).into_response();
    }
    let mut answer =
        json!({"access_token": ACCESS_TOKEN, "token_type": "Bearer", "expires_in": 300});
    if !matches!(inner.twist, Twist::Missing) {
        answer["id_token"] = inner.id_token(&asked["nonce"]).into();
    }
    Json(answer).into_response()
}

impl Inner {
    fn id_token(&self, nonce: &str) -> String {
        let now = self.clock.now().timestamp();
        let mut claims = self.person.clone();
        let standard = json!({"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300,
                              "nonce": nonce});
        replace(&mut claims, &standard);
        if let Twist::Claims(others) = &self.twist {
            replace(&mut claims, others);
        }
        let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let unsigned = |algorithm: &str| {
            let head = json!({"alg": algorithm, "kid": self.kid, "typ": "JWT"});
            format!("{}.{}", part(&head), part(&Value::Object(claims.clone())))
        };
        let signed = |text: String, signature: &[u8]| {
            format!("{text}.{}", BASE64URL_NOPAD.encode(signature))
        };
        match &self.twist {
            Twist::Unsigned => signed(unsigned("none"), b""),
            Twist::SharedSecret => {
                let text = unsigned("HS256");
                let tag = hs256(CLIENT_SECRET.as_bytes(), &text);
                signed(text, &tag)
            }
            Twist::PublicKey => {
                let public = serde_json::to_value(self.signer.public()).unwrap();
                let public = BASE64URL_NOPAD.decode(public["x"].as_str().unwrap().as_bytes());
                let text = unsigned("HS256");
                let tag = hs256(&public.unwrap(), &text);
                signed(text, &tag)
            }
            Twist::Forged => {
                let text = unsigned("EdDSA");
                let (_, signature) = Signer::ed25519(&self.kid).sign(text.as_bytes());
                signed(text, &signature)
            }
            Twist::Changed => {
                let text = unsigned(self.signer.algorithm());
                let (_, signature) = self.signer.sign(text.as_bytes());
                let mut richer = claims.clone();
                richer.insert("groups".to_owned(), json!(["admins"]));
                let (head, _) = text.split_once('.').unwrap();
                signed(format!("{head}.{}", part(&Value::Object(richer))), &signature)
            }
            Twist::None
            | Twist::Claims(_)
            | Twist::Missing
            | Twist::Garbled
            | Twist::Impostor
            | Twist::Moved
            | Twist::Huge => {
                let text = unsigned(self.signer.algorithm());
                let (_, signature) = self.signer.sign(text.as_bytes());
                signed(text, &signature)
            }
        }
    }
}
