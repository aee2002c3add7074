//! The address of a client.
//!
//! Without a proxy it is the address of the connection. Behind a trusted proxy it is the rightmost
//! address of `Forwarded` (RFC 7239), else of `X-Forwarded-For`, that is no trusted proxy itself: what
//! stands further left was written by the client. Clients of one IPv6 network of 64 bits count as one.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use axum::http::{HeaderMap, header};
use ipnet::IpNet;

/// The address at the other end of the connection: an extension of every request over TCP.
#[derive(Debug, Clone, Copy)]
pub struct PeerAddress(pub IpAddr);

/// The networks whose proxies are trusted to name their clients.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Arc<[IpNet]>);

impl TrustedProxies {
    /// Trusts these networks.
    #[must_use]
    pub fn new(networks: &[IpNet]) -> Self {
        Self(networks.into())
    }

    /// Whether this is the address of a trusted proxy.
    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The address of the client of a request that came from `peer`.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.contain(peer) {
            return peer;
        }
        let forwarded = named(headers, header::FORWARDED.as_str(), |part| {
            let pairs = part.split(';').map(str::trim);
            let mut pairs = pairs.filter_map(|pair| pair.split_once('='));
            pairs.find(|(name, _)| name.eq_ignore_ascii_case("for")).map(|(_, value)| value)
        });
        let hops = forwarded.or_else(|| named(headers, "x-forwarded-for", whole));
        let mut nearest = peer;
        for hop in hops.unwrap_or_default().into_iter().rev() {
            // An unreadable hop hides who is behind it; the last readable one stands for them.
            let Some(hop) = hop else { return nearest };
            nearest = hop;
            if !self.contain(hop) {
                return hop;
            }
        }
        nearest
    }
}

/// The addresses of all lines of a header, in order; `None` if the header is absent.
fn named(
    headers: &HeaderMap,
    name: &str,
    value: impl Fn(&str) -> Option<&str>,
) -> Option<Vec<Option<IpAddr>>> {
    let mut lines = headers.get_all(name).iter().peekable();
    lines.peek()?;
    let mut found = Vec::new();
    for line in lines {
        let line = line.to_str().unwrap_or_default();
        found.extend(line.split(',').map(|part| value(part).and_then(address)));
    }
    Some(found)
}

fn whole(part: &str) -> Option<&str> {
    Some(part)
}

/// An address with or without quotes, brackets and port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let parsed: Option<IpAddr> = bare.parse().ok();
    let parsed = parsed.or_else(|| text.parse::<SocketAddr>().ok().map(|with| with.ip()));
    parsed.map(|address| address.to_canonical())
}

/// What counts as one client: the address, or its IPv6 network.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, headers: &[(&'static str, &str)]) -> String {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap());
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        TrustedProxies::new(&trusted).client(peer.parse().unwrap(), &map).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_names_its_client() {
        let header = [("x-forwarded-for", "1.1.1.1")];
        assert_eq!(client("9.9.9.9", &header), "9.9.9.9");
        assert_eq!(client("10.0.0.1", &header), "1.1.1.1");
        assert_eq!(client("::ffff:10.0.0.1", &header), "1.1.1.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn the_client_cannot_choose_its_address() {
        let header = [("x-forwarded-for", "6.6.6.6, 2.2.2.2, 10.0.0.2")];
        assert_eq!(client("10.0.0.1", &header), "2.2.2.2");
        let lines = [("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "2.2.2.2")];
        assert_eq!(client("10.0.0.1", &lines), "2.2.2.2");
        let hidden = [("x-forwarded-for", "6.6.6.6, unknown, 10.0.0.2")];
        assert_eq!(client("10.0.0.1", &hidden), "10.0.0.2");
    }

    #[test]
    fn forwarded_goes_before_the_older_header() {
        let both = [
            ("forwarded", "for=6.6.6.6;proto=http, FOR=\"[2001:db8::1]:4711\";by=10.0.0.3"),
            ("x-forwarded-for", "1.1.1.1"),
        ];
        assert_eq!(client("10.0.0.1", &both), "2001:db8::1");
        assert_eq!(client("fd00::1", &[("forwarded", "for=\"2.2.2.2:99\"")]), "2.2.2.2");
    }

    #[test]
    fn a_network_of_version_6_is_one_client() {
        let one: IpAddr = "2001:db8:1:2:3:4:5:6".parse().unwrap();
        let two: IpAddr = "2001:db8:1:2:ffff::1".parse().unwrap();
        assert_eq!(network(one), network(two));
    }
}
