//! Addresses of model servers: what is called, and what may not be.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
    vec,
};

use hyper::Uri;
use hyper_util::client::legacy::connect::dns::Name;
use tower::Service;

use crate::domain::planning::model::{ErrorKind, ModelError, ModelSettings, Reach};

/// The address that is called.
///
/// # Errors
/// `forbidden` if it is none, or may not be called.
pub(super) fn target(settings: &ModelSettings) -> Result<Uri, ModelError> {
    let forbidden = |why: &str| ModelError::new(ErrorKind::Forbidden, why);
    let base: Uri = settings.url.parse().map_err(|_| forbidden("the url is no address"))?;
    let host = base.host().ok_or_else(|| forbidden("the url names no host"))?;
    if base.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(forbidden("the url must have no user and password"));
    }
    match (base.scheme_str(), settings.reach) {
        (Some("https"), _) | (Some("http"), Reach::Any) => {}
        (Some("http"), Reach::Public) => {
            return Err(forbidden(
                "the url must be https://, or its host listed in MUSTER_PLANNER_HOSTS",
            ));
        }
        (_, _) => return Err(forbidden("the url must be https:// or http://")),
    }
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    if settings.reach == Reach::Public && literal.is_ok_and(|ip| !is_public(ip)) {
        return Err(forbidden(NOT_PUBLIC));
    }
    let endpoint = settings.api.endpoint();
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
    parts.path_and_query = Some(path.parse().map_err(|_| forbidden("the url is no address"))?);
    Uri::from_parts(parts).map_err(|_| forbidden("the url is no address"))
}

/// Why an address is not called.
pub(super) const NOT_PUBLIC: &str = "the host of the url is not a public address; who runs the service can \
    list it in MUSTER_PLANNER_HOSTS";

/// Whether an address is somebody's on the Internet: not this machine, its network, or anything reserved.
pub(super) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(mapped) => is_public_v4(mapped),
            None => is_public_v6(ip),
        },
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let reserved = a == 0
        || a >= 224
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19));
    !(reserved
        || ip.is_loopback()
        || ip.is_private()
        || ip.is_link_local()
        || ip.is_documentation())
}

/// Global unicast, without what embeds or tunnels IPv4, and documentation.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    let tunnelled = a == 0x2002 || (a == 0x2001 && b < 0x0200);
    let documentation = (a == 0x2001 && b == 0x0db8) || (a == 0x3fff && b < 0x1000);
    (a & 0xe000) == 0x2000 && !tunnelled && !documentation
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
    use crate::domain::planning::model::ModelApi;

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
        let to = |api, url| target(&settings(api, url, Reach::Any)).unwrap().to_string();
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
            let error = target(&settings(chat, bad, Reach::Any)).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Forbidden, "{bad}");
        }
    }

    #[test]
    fn workspaces_reach_only_the_internet() {
        for bad in [
            "http://api.example.com/",
            "https://127.0.0.1/",
            "https://169.254.169.254/",
            "https://10.1.2.3/",
            "https://[::1]/",
            "https://[::ffff:169.254.169.254]/",
            "https://[fd00:ec2::254]/",
            "https://100.100.100.200/",
            "https://0.0.0.0/",
            "https://[fe80::1]/",
            "https://[2002:7f00:1::]/",
        ] {
            let error = target(&settings(ModelApi::OpenaiChat, bad, Reach::Public)).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Forbidden, "{bad}");
            if !bad.starts_with("ftp") {
                assert!(target(&settings(ModelApi::OpenaiChat, bad, Reach::Any)).is_ok(), "{bad}");
            }
        }
        for good in ["https://api.example.com/", "https://1.1.1.1/", "https://[2606:4700::1111]/"] {
            assert!(target(&settings(ModelApi::OpenaiChat, good, Reach::Public)).is_ok(), "{good}");
        }
    }

    #[tokio::test]
    async fn a_name_of_this_machine_is_no_public_address() {
        let found = PublicOnly.call("localhost".parse().unwrap()).await;
        assert_eq!(found.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }
}
