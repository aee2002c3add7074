//! Sign-in with an identity provider, from the settings of the service.

use std::sync::Arc;

use super::{failure::Failure, given};
use crate::{
    app::{
        App,
        sign_in::{Later, Provider, ProviderError, Redemption, SignIn},
    },
    config::SignInConfig,
    domain::sign_in::{
        claims::{Claims, Mapping},
        flow::Flow,
    },
    outbound::{
        http::is_here,
        oidc::{Oidc, OidcError, OidcSettings},
    },
};

/// The path of [`crate::http::api::sign_in::finish_sign_in`].
const CALLBACK: &str = "/v1/sign-in/oidc/callback";

/// The client of the provider, as the use cases call it.
#[derive(Debug)]
pub struct Client(pub Oidc);

impl From<OidcError> for ProviderError {
    fn from(error: OidcError) -> Self {
        match error {
            OidcError::Down(why) | OidcError::Settings(why) => Self::Down(why),
            OidcError::Refused(why) => Self::Refused(why),
        }
    }
}

impl Provider for Client {
    fn issuer(&self) -> &str {
        self.0.issuer()
    }

    fn authorization_url<'a>(&'a self, flow: &'a Flow) -> Later<'a, String> {
        Box::pin(async { Ok(self.0.authorization_url(flow).await?) })
    }

    fn redeem<'a>(&'a self, redemption: Redemption<'a>) -> Later<'a, Claims> {
        let Redemption { code, flow, client_secret, now } = redemption;
        Box::pin(async move { Ok(self.0.redeem(code, flow, client_secret, now).await?) })
    }
}

/// The app with sign-in, if the settings name a provider.
pub async fn configured(app: App, config: &SignInConfig) -> Result<App, Failure> {
    let Some(issuer) = given::text(config.oidc_issuer.as_deref()) else { return Ok(app) };
    let needed = |value: Option<&str>, name: &str| {
        let value = given::text(value).map(str::to_owned);
        value.ok_or_else(|| format!("MUSTER_OIDC_ISSUER is set, but {name} is not"))
    };
    let client_id = needed(config.oidc_client_id.as_deref(), "MUSTER_OIDC_CLIENT_ID")?;
    let roles = needed(config.oidc_role_map.as_deref(), "MUSTER_OIDC_ROLE_MAP")?;
    let public_url = needed(config.public_url.as_deref(), "MUSTER_PUBLIC_URL")?;
    let over_tls = over_tls("MUSTER_PUBLIC_URL", &public_url)?;
    self::over_tls("MUSTER_OIDC_ISSUER", issuer)?;
    let mapping = Mapping::parse(&config.oidc_person_claim, &config.oidc_role_claim, &roles);
    let mapping = mapping.map_err(|error| format!("MUSTER_OIDC_ROLE_MAP: {error}"))?;
    let scopes = config.oidc_scopes.split_whitespace().map(str::to_owned).collect();
    let redirect_url = format!("{}{CALLBACK}", public_url.trim_end_matches('/'));
    let settings = OidcSettings { issuer: issuer.to_owned(), client_id, redirect_url, scopes };
    let secret = config.oidc_client_secret.as_ref();
    let secret_file = config.oidc_client_secret_file.as_deref();
    let sign_in = SignIn {
        provider: Arc::new(Client(Oidc::new(settings)?)),
        workspace: app.local_admin(config.oidc_workspace).await?.workspace_id(),
        mapping,
        trust_person: config.oidc_trust_person_claim,
        client_secret: given::secret("MUSTER_OIDC_CLIENT_SECRET", secret, secret_file)?,
        over_tls,
    };
    tracing::info!(issuer, workspace = %sign_in.workspace, "people sign in with an identity provider");
    Ok(app.with_sign_in(sign_in))
}

/// Whether an address is HTTPS. Plain HTTP is only for this machine.
fn over_tls(name: &str, url: &str) -> Result<bool, Failure> {
    let parsed = url.parse::<hyper::Uri>().ok();
    let host = parsed.as_ref().and_then(|url| url.host()).unwrap_or_default();
    match parsed.as_ref().and_then(|url| url.scheme_str()) {
        Some("https") => Ok(true),
        Some("http") if is_here(host) => Ok(false),
        Some(_) | None => Err(format!("{name} must be an https:// address, not {url}").into()),
    }
}
