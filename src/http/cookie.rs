//! Cookies of a browser: their names, and when they are for TLS only.

/// The cookie of a session.
pub const SESSION: &str = "muster_session";
/// The cookie of a sign-in that began.
pub const SIGN_IN: &str = "muster_sign_in";

/// Whether the request came over TLS, as a proxy says. A sender who lies about it only gets a cookie
/// that their browser does not keep.
#[derive(Debug, Clone, Copy)]
pub struct OverTls(pub bool);
