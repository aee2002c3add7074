//! Addresses of model servers: what they look like, and which may be called for whom.
//!
//! One rule for all who ask: the settings when they are stored, the service when it starts, and every call. A host
//! that is a name is looked up when it is called; the addresses found are then held against [`is_public`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fluent_uri::Uri;

/// Longest address of a model server, in characters.
pub const URL_CHARS: usize = 500;

/// Which addresses may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// Any address, also plain HTTP: who runs the service named it.
    Any,
    /// Only HTTPS to public addresses: not this machine, not its network, not the metadata service of
    /// a cloud.
    Public,
}

/// Why a host is not called.
pub const NOT_PUBLIC: &str = "must have a public host; this one is this machine, in a private network or reserved. \
    Who runs the service can list it in MUSTER_PLANNER_HOSTS";

/// Why plain HTTP is not used.
const NOT_HTTPS: &str = "must start with https://. Who runs the service can list hosts that are called over plain \
    HTTP in MUSTER_PLANNER_HOSTS";

/// Scheme, host and port of an address. The host is a name of ASCII letters, digits, `-`, `_` and dots, or the
/// literal of an address.
#[derive(Debug, Clone, Copy)]
struct Parts<'a> {
    secure: bool,
    host: &'a str,
    port: u16,
}

fn parts(url: &str) -> Result<Parts<'_>, &'static str> {
    let secure = url.starts_with("https://");
    if !secure && !url.starts_with("http://") {
        return Err("must start with https:// or http://");
    }
    let uri = Uri::parse(url)
        .map_err(|_| "must be the address of a server, such as https://models.example.com/v1")?;
    let authority = uri.authority().filter(|authority| !authority.host().is_empty());
    let authority = authority.ok_or("must name a host")?;
    if authority.has_userinfo() || uri.fragment().is_some() {
        return Err("must have no user, password or fragment");
    }
    let host = authority.host();
    let named = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if literal(host).is_none() && !host.bytes().all(named) {
        return Err("must have a host of letters, digits, hyphens and dots, or an IP address");
    }
    let port =
        authority.port_to_u16().ok().map(|port| port.unwrap_or(if secure { 443 } else { 80 }));
    let port = port.filter(|port| *port > 0).ok_or("must have a port from 1 to 65535, or none")?;
    Ok(Parts { secure, host, port })
}

/// The IP address that a host is, without a look-up.
fn literal(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[') {
        Some(open) => open.strip_suffix(']')?.parse().ok().map(IpAddr::V6),
        None => host.strip_suffix('.').unwrap_or(host).parse().ok().map(IpAddr::V4),
    }
}

/// Checks that an address may be called, and returns its host as it is written.
///
/// # Errors
/// What must be otherwise: a sentence without its subject.
pub fn check(url: &str, reach: Reach) -> Result<&str, &'static str> {
    let parts = parts(url)?;
    if reach == Reach::Public {
        if is_private(parts.host) {
            return Err(NOT_PUBLIC);
        }
        if is_number(parts.host) {
            return Err("must have a host that is a name, or an IP address of four numbers");
        }
        if !parts.secure {
            return Err(NOT_HTTPS);
        }
    }
    Ok(parts.host)
}

/// Host of an address; `None` if it has none.
#[must_use]
pub fn host(url: &str) -> Option<&str> {
    parts(url).ok().map(|parts| parts.host)
}

/// Which addresses may be called for somebody who names this one. `listed`: hosts, with or without a port, that may
/// be called though they are not public.
#[must_use]
pub fn reach(url: &str, listed: &[String]) -> Reach {
    let Ok(Parts { host, port, .. }) = parts(url) else { return Reach::Public };
    let is = |entry: &String| {
        let (name, at) = split(entry);
        name.eq_ignore_ascii_case(host) && at.is_none_or(|at| at.parse() == Ok(port))
    };
    if listed.iter().any(is) { Reach::Any } else { Reach::Public }
}

/// Checks an entry of the list of hosts: a host, with or without a port.
///
/// # Errors
/// What must be otherwise: a sentence without its subject.
pub fn check_listed(entry: &str) -> Result<(), &'static str> {
    let (name, port) = split(entry);
    // Nothing but a host and a port leaves this as it is.
    let host = parts(&format!("http://{entry}/")).is_ok_and(|parts| parts.host == name);
    let port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    if host && port {
        return Ok(());
    }
    Err(
        "must be a host without scheme and path, with or without a port, as models.lan, 127.0.0.1:8099 or [::1]",
    )
}

/// Host and port of an entry of the list.
fn split(entry: &str) -> (&str, Option<&str>) {
    match entry.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        Some(_) | None => (entry, None),
    }
}

/// Whether a host is not public by its name alone.
fn is_private(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let last = name.rsplit('.').next().unwrap_or_default();
    last.eq_ignore_ascii_case("localhost") || literal(host).is_some_and(|ip| !is_public(ip))
}

/// Whether a resolver reads the name as an address in another notation, such as `127.1` or `0x7f000001`.
fn is_number(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let last = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    let digits = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    let hex =
        last.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    literal(host).is_none() && (digits || hex)
}

/// Whether an address is somebody's on the Internet: not this machine, its network, or anything reserved.
#[must_use]
pub fn is_public(ip: IpAddr) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_must_be_one() {
        for good in [
            "https://api.openai.com/v1",
            "http://10.0.0.7:11434",
            "https://[::1]:1/?a=b",
            "https://a_b.example./x/chat/completions?api-version=1",
        ] {
            assert!(check(good, Reach::Any).is_ok(), "{good}");
        }
        for bad in [
            "",
            "h",
            "/v1",
            "a.example",
            "ftp://a/",
            "https://",
            "https:///v1",
            "https://:8/",
            "https://u:p@host/",
            "https://@host/",
            "https://h/#f",
            "https://h/#",
            "https://h:0/",
            "https://h:65536/",
            "https://h:x/",
            "https://a b/",
            "https://h/a b",
            "https://h/\u{e9}",
            "https://\u{e9}.example/",
            "https://%31%32%37.0.0.1/",
            "https://[::1",
            "https://[v1.a]/",
            "https://[fe80::1%25eth0]/",
            "https://a,b/",
            "https://h\\@evil.example/",
        ] {
            assert!(check(bad, Reach::Any).is_err(), "{bad}");
        }
    }

    #[test]
    fn workspaces_reach_only_the_internet() {
        for bad in [
            "https://127.0.0.1/",
            "https://127.0.0.1./",
            "https://169.254.169.254/",
            "https://10.1.2.3/",
            "https://172.16.0.1:8443/v1",
            "https://192.168.1.1/",
            "https://[::1]/",
            "https://[::ffff:169.254.169.254]/",
            "https://[::ffff:7f00:1]/",
            "https://[::127.0.0.1]/",
            "https://[64:ff9b::7f00:1]/",
            "https://[fd00:ec2::254]/",
            "https://[fe80::1]/",
            "https://[2002:7f00:1::]/",
            "https://100.100.100.200/",
            "https://0.0.0.0/",
            "https://localhost/",
            "https://LOCALHOST.:8/",
            "https://models.localhost/",
            "http://127.0.0.1:8099/v1",
        ] {
            assert_eq!(check(bad, Reach::Public), Err(NOT_PUBLIC), "{bad}");
            assert!(check(bad, Reach::Any).is_ok(), "{bad}");
        }
        for bad in
            ["https://127.1/", "https://0x7f000001/", "https://2130706433/", "https://0177.0.0.1/"]
        {
            assert!(check(bad, Reach::Public).is_err(), "{bad}");
        }
        for bad in ["http://api.example.com/", "http://1.1.1.1/"] {
            assert_eq!(check(bad, Reach::Public), Err(NOT_HTTPS), "{bad}");
            assert!(check(bad, Reach::Any).is_ok(), "{bad}");
        }
        for good in ["https://api.example.com/", "https://1.1.1.1/", "https://[2606:4700::1111]/"] {
            assert!(check(good, Reach::Public).is_ok(), "{good}");
        }
    }

    #[test]
    fn only_listed_hosts_may_be_private() {
        let listed = ["models.lan", "127.0.0.1:8099", "[::1]", "tls.lan:443"].map(str::to_owned);
        for any in [
            "http://models.lan/v1",
            "https://MODELS.lan:8443",
            "http://127.0.0.1:8099/v1",
            "http://[::1]:9/x",
            "https://tls.lan/",
        ] {
            assert_eq!(reach(any, &listed), Reach::Any, "{any}");
        }
        for public in [
            "https://api.openai.com/v1",
            "http://127.0.0.1/v1",
            "http://127.0.0.1:80/",
            "http://a.models.lan/",
            "http://evil.example/models.lan",
            "http://evil.example/?a=//models.lan/",
            "http://models.lan@evil.example/",
            "http://[::2]:9/",
            "http://tls.lan/",
            "models.lan",
        ] {
            assert_eq!(reach(public, &listed), Reach::Public, "{public}");
        }
    }

    #[test]
    fn a_listed_host_must_be_one() {
        for good in ["models.lan", "127.0.0.1:8099", "[::1]", "[::1]:8099", "localhost"] {
            assert_eq!(check_listed(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "http://models.lan",
            "models.lan/v1",
            "::1",
            "a b",
            "u@h",
            "h:0",
            "h:",
            "h:x",
            "*.lan",
        ] {
            assert!(check_listed(bad).is_err(), "{bad}");
        }
    }
}
