//! One row of the page: a route, its documentation and its layers.

use axum::Extension;
use utoipa_axum::router::{UtoipaMethodRouter, UtoipaMethodRouterExt as _};

use crate::{
    domain::refusal::Code,
    http::{
        describe::{self, Documented, Extent},
        extract::body::BodyLimit,
        state::HttpState,
    },
};

/// A route in the making. Its methods are the words that a row may have after the handler.
pub struct Route(UtoipaMethodRouter<HttpState>);

impl Route {
    /// The route of a handler, documented by its signature. It belongs to the group `tag`, and its use
    /// case refuses with `codes`.
    pub fn new<Args, H: Documented<Args>>(
        mut routes: UtoipaMethodRouter<HttpState>,
        _handler: &H,
        tag: &str,
        codes: &[Code],
        extent: Extent,
    ) -> Self {
        let (schemas, paths) = (&mut routes.0, &mut routes.1);
        let schemas = (extent == Extent::Whole).then_some(schemas);
        describe::complete::<H, Args>(paths, schemas, tag, codes);
        Self(routes)
    }

    /// Requests may stay open for as long as their sender may ask to wait.
    pub fn long_poll(mut self) -> Self {
        describe::mark(&mut self.0.1, describe::LONG_POLL);
        self
    }

    /// Requests read a list, a few at a time.
    pub fn list(mut self) -> Self {
        describe::mark(&mut self.0.1, describe::LIST);
        self
    }

    /// Requests read much, very few at a time, and may take as long as a long poll.
    pub fn scan(mut self) -> Self {
        describe::mark(&mut self.0.1, describe::SCAN);
        self
    }

    /// Requests send or receive the bytes of an artifact, in places and with deadlines of their own.
    pub fn transfer(mut self) -> Self {
        describe::mark(&mut self.0.1, describe::TRANSFER);
        self
    }

    /// Requests are answered even while others are refused because of overload.
    pub fn always(mut self) -> Self {
        describe::mark(&mut self.0.1, describe::ALWAYS);
        self
    }

    /// Bodies have at most this many bytes.
    pub fn body_limit(self, bytes: usize) -> Self {
        Self(self.0.layer(Extension(BodyLimit(bytes))))
    }

    pub fn done(self) -> UtoipaMethodRouter<HttpState> {
        self.0
    }
}

/// The table of the page as a function `routes`, and as `PAGE` for the test.
macro_rules! operations {
    ($($tag:literal {$(
        $method:ident $path:literal => $module:ident::$handler:ident
        $([$($code:ident),+])? $(, $layer:ident $(= $value:expr)?)*;
    )+})+) => {
        /// The operations, and the OpenAPI document that describes them.
        pub fn routes(extent: Extent) -> OpenApiRouter<HttpState> {
            let router = OpenApiRouter::with_openapi(docs::preface());
            rows(extent).into_iter().fold(router, OpenApiRouter::routes)
        }

        /// The rows of the table, each with the schemas that it refers to. Joined to one document, of two schemas with
        /// one name only the last is left.
        fn rows(extent: Extent) -> Vec<UtoipaMethodRouter<HttpState>> {
            let mut rows = Vec::new();
            $($(
                let codes = &[$($(Code::$code),+)?];
                let handler = &$module::$handler;
                let route = Route::new(routes!($module::$handler), handler, $tag, codes, extent);
                rows.push(route $(.$layer($($value)?))* .done());
            )+)+
            rows
        }

        #[cfg(test)]
        const PAGE: &[(&str, &str, &str)] =
            &[$($((stringify!($method), $path, stringify!($handler)),)+)+];
    };
}
pub(super) use operations;
