//! Addresses of model servers: what is called, and what may not be.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    vec,
};

use hyper::Uri;
use hyper_util::client::legacy::connect::dns::Name;
use tower::Service;

use crate::domain::planning::{
    address::{NOT_PUBLIC, check, is_public},
    model::{ErrorKind, ModelError, ModelSettings},
};

/// The address that is called.
///
/// # Errors
/// `forbidden` if it is none, or may not be called.
pub(super) fn target(settings: &ModelSettings, endpoint: &str) -> Result<Uri, ModelError> {
    let forbidden = |why: &str| ModelError::new(ErrorKind::Forbidden, format!("the url {why}"));
    let host = check(&settings.url, settings.reach).map_err(forbidden)?;
    let base: Uri = settings.url.parse().map_err(|_| forbidden("is no address"))?;
    // What was checked is what is called, however either reads an address.
    if base.host() != Some(host) {
        return Err(forbidden("is no address"));
    }
    let path = base.path().trim_end_matches('/');
    let path = match path {
        "" => format!("/v1/{endpoint}"),
        whole if whole.ends_with(&format!("/{endpoint}")) => whole.to_owned(),
        above => format!("{above}/{endpoint}"),
    };
    let path = match base.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let mut parts = base.into_parts();
    parts.path_and_query = Some(path.parse().map_err(|_| forbidden("is no address"))?);
    Uri::from_parts(parts).map_err(|_| forbidden("is no address"))
}

/// Finds the addresses of hosts, without those that are not public.
///
/// The check is made on what is then connected to: a name cannot lead elsewhere between the two.
#[derive(Debug, Clone, Copy)]
pub(super) struct PublicOnly;

type Found = Result<vec::IntoIter<SocketAddr>, io::Error>;

impl Service<Name> for PublicOnly {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Found> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|at| is_public(at.ip())).collect();
            if public.is_empty() {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, NOT_PUBLIC));
            }
            Ok(public.into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::planning::{address::Reach, model::ModelApi};

    fn settings(api: ModelApi, url: &str, reach: Reach) -> ModelSettings {
        ModelSettings {
            api,
            url: url.into(),
            model: "m".into(),
            key: None,
            max_output_tokens: 1,
            timeout: Duration::from_secs(1),
            silence: Duration::from_secs(1),
            reach,
        }
    }

    #[test]
    fn the_endpoint_is_below_the_base() {
        let to = |api: ModelApi, url| {
            target(&settings(api, url, Reach::Any), api.endpoint()).unwrap().to_string()
        };
        let chat = ModelApi::OpenaiChat;
        assert_eq!(to(chat, "https://a.example"), "https://a.example/v1/chat/completions");
        assert_eq!(to(chat, "https://a.example/v1/"), "https://a.example/v1/chat/completions");
        assert_eq!(
            to(chat, "http://10.0.0.7:1/api/v1"),
            "http://10.0.0.7:1/api/v1/chat/completions"
        );
        let whole = "https://a.example/x/chat/completions?api-version=1";
        assert_eq!(to(chat, whole), whole);
        let base = "https://a.example/v1";
        assert_eq!(to(ModelApi::OpenaiResponses, base), "https://a.example/v1/responses");
        assert_eq!(to(ModelApi::Anthropic, base), "https://a.example/v1/messages");
        for bad in ["", "/v1", "ftp://a/", "https://u:p@a/", "https://", "a.example"] {
            let error = target(&settings(chat, bad, Reach::Any), chat.endpoint()).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Forbidden, "{bad}");
        }
    }

    /// The rule itself is tested where it is written.
    #[test]
    fn what_is_called_is_what_may_be() {
        let to =
            |url, reach| target(&settings(ModelApi::OpenaiChat, url, reach), "chat/completions");
        for bad in ["http://api.example.com/", "https://127.0.0.1/", "https://[::ffff:10.0.0.1]/"] {
            let error = to(bad, Reach::Public).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Forbidden, "{bad}");
            assert!(error.detail.contains("MUSTER_PLANNER_HOSTS"), "{error}");
            assert!(to(bad, Reach::Any).is_ok(), "{bad}");
        }
        for good in ["https://api.example.com/", "https://1.1.1.1/", "https://[2606:4700::1111]:8/"]
        {
            assert!(to(good, Reach::Public).is_ok(), "{good}");
        }
    }

    #[tokio::test]
    async fn a_name_of_this_machine_is_no_public_address() {
        let found = PublicOnly.call("localhost".parse().unwrap()).await;
        assert_eq!(found.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }
}
