//! 303 to another address, with cookies for the browser.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::set_header;
use crate::http::describe::{Describe, Description};

/// 303 with cookies.
#[derive(Debug)]
pub struct Redirected {
    /// Where the browser goes.
    pub location: String,
    /// The cookies.
    pub cookies: Vec<Cookie>,
}

/// A cookie that no script reads, and that another site does not send but with a link.
#[derive(Debug)]
pub struct Cookie {
    /// Its name.
    pub name: &'static str,
    /// Its value; empty to forget it.
    pub value: String,
    /// The paths it is for.
    pub path: &'static str,
    /// How long it lasts, in seconds.
    pub lasts: u64,
    /// Whether it is for TLS only.
    pub over_tls: bool,
}

impl Cookie {
    fn header(&self) -> String {
        let Self { name, value, path, lasts, over_tls } = self;
        let secure = if *over_tls { "; Secure" } else { "" };
        format!("{name}={value}; Path={path}; Max-Age={lasts}; HttpOnly; SameSite=Lax{secure}")
    }
}

impl IntoResponse for Redirected {
    fn into_response(self) -> Response {
        let mut response = StatusCode::SEE_OTHER.into_response();
        set_header(&mut response, header::LOCATION, &self.location);
        for cookie in &self.cookies {
            if let Ok(value) = HeaderValue::from_str(&cookie.header()) {
                response.headers_mut().append(header::SET_COOKIE, value);
            }
        }
        response
    }
}

impl Describe for Redirected {
    fn describe(doc: &mut Description<'_>) {
        let location = ("Location", "Where the browser goes.");
        let cookies = ("Set-Cookie", "Cookies of the browser, `HttpOnly` and `SameSite=Lax`.");
        doc.empty_response(303, "The browser goes to another address.", &[location, cookies]);
    }
}
