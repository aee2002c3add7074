//! Lists, a page at a time.
//!
//! Paging is by key: a cursor says after which item to go on, so items that come and go meanwhile
//! never make others appear twice or be skipped, and page one thousand costs what page one costs.
//! A cursor is opaque: its form is versioned, belongs to one list, and may change; only muster
//! reads it.
//!
//! A handler takes [`Listing<F, K>`]: `F` are the list's own filters, `K` is the key of its
//! order. It asks the use case for [`Listing::rows`] items after [`Listing::after`], one more than
//! a page has, and hands them to [`Listing::page`], which knows from the one too many that there
//! is a next page.

use axum::{
    extract::FromRequestParts,
    http::{StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Response},
};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{
        ArrayBuilder, ObjectBuilder, Ref, RefOr,
        schema::{Schema, SchemaType, Type},
    },
};

use super::query::{self, Pair};
use crate::{
    domain::refusal::{Code, Refusal},
    http::{
        describe::{Describe, Description},
        problem::{Error, Result},
        reply::{json, set_header},
    },
};

/// The form of cursors. Cursors of another form are refused, not misread.
const CURSOR_VERSION: u8 = 1;
const DEFAULT_LIMIT: u32 = 50;
const LARGEST_LIMIT: u32 = 200;
/// The parameters that every list has.
const PAGING: [&str; 2] = ["limit", "cursor"];
const LONGEST_CURSOR: usize = 1024;

/// The key of a list's order: where the next page starts.
pub trait SortKey: Serialize + DeserializeOwned {
    /// The list it belongs to, for example `goals`.
    const LIST: &'static str;
}

/// Which page of a list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before this one. Keep the other parameters as they were.
    pub cursor: Option<String>,
}

/// A request for a page of a list with the filters `F` and the order `K`.
#[derive(Debug, Clone)]
pub struct Listing<F, K> {
    /// The list's own parameters.
    pub filter: F,
    /// The items after this one; from the start when absent.
    pub after: Option<K>,
    limit: u32,
    path: String,
    /// The query without its cursor.
    others: Vec<Pair>,
}

/// No filters.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct NoFilter {}

/// A page of a list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Page<T> {
    /// The items, in the order of the list.
    pub items: Vec<T>,
    /// Send this as `cursor` for the next page; `null` on the last.
    pub next_cursor: Option<String>,
}

/// 200 with a page, and a `Link` to the next.
#[derive(Debug, Clone)]
pub struct Paged<T> {
    page: Page<T>,
    link: Option<String>,
}

impl<F, K: SortKey> Listing<F, K> {
    /// How many rows to ask for: one more than the page has, which tells whether there is a next.
    #[must_use]
    pub fn rows(&self) -> u32 {
        self.limit + 1
    }

    /// How many items the page has at most.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// The page made of up to [`Self::rows`] items.
    ///
    /// # Errors
    /// `internal` when a key cannot be written as a cursor.
    pub fn page<T>(&self, mut items: Vec<T>, key: impl Fn(&T) -> K) -> Result<Paged<T>> {
        let limit = self.limit as usize;
        let more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = match items.last() {
            Some(last) if more => Some(write_cursor(&key(last))?),
            Some(_) | None => None,
        };
        let link = next_cursor.as_deref().map(|cursor| self.link(cursor));
        Ok(Paged { page: Page { items, next_cursor }, link })
    }

    fn link(&self, cursor: &str) -> String {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&self.others)
            .append_pair("cursor", cursor)
            .finish();
        format!("<{}?{query}>; rel=\"next\"", self.path)
    }
}

impl<T> Paged<T> {
    /// The page, and the `Link` to the next: for answers that say more than a page does.
    #[must_use]
    pub fn into_parts(self) -> (Page<T>, Option<String>) {
        let Self { page, link } = self;
        (page, link)
    }
}

impl<S, F, K> FromRequestParts<S> for Listing<F, K>
where
    S: Send + Sync,
    F: DeserializeOwned,
    K: SortKey,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        Ok(listing(&parts.uri)?)
    }
}

fn listing<F: DeserializeOwned, K: SortKey>(
    uri: &Uri,
) -> std::result::Result<Listing<F, K>, Refusal> {
    let pairs = query::pairs(uri)?;
    let others = pairs.iter().filter(|(name, _)| name != "cursor").cloned().collect();
    let (paging, filters) =
        pairs.into_iter().partition(|(name, _)| PAGING.contains(&name.as_str()));
    let paging: PageQuery = query::read(paging, &[])?;
    let limit = paging.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=LARGEST_LIMIT).contains(&limit) {
        return Err(Refusal::invalid_at("?limit", format!("must be 1 to {LARGEST_LIMIT}")));
    }
    let after = paging.cursor.as_deref().map(read_cursor).transpose()?;
    let path = uri.path().to_owned();
    Ok(Listing { filter: query::read(filters, &PAGING)?, after, limit, path, others })
}

impl<F: IntoParams, K> Describe for Listing<F, K> {
    fn describe(doc: &mut Description<'_>) {
        doc.query::<F>();
        doc.query::<PageQuery>();
        doc.refuses(&[Code::Invalid]);
    }
}

#[derive(Serialize, Deserialize)]
struct Cursor<K> {
    v: u8,
    l: String,
    k: K,
}

fn write_cursor<K: SortKey>(key: &K) -> Result<String> {
    let cursor = Cursor { v: CURSOR_VERSION, l: K::LIST.to_owned(), k: key };
    let bytes = serde_json::to_vec(&cursor)
        .map_err(|error| Error::internal(format!("a cursor cannot be written: {error}")))?;
    Ok(BASE64URL_NOPAD.encode(&bytes))
}

fn read_cursor<K: SortKey>(text: &str) -> std::result::Result<K, Refusal> {
    let refuse = || {
        Refusal::invalid_at(
            "?cursor",
            "this is not a cursor of this list; leave it out to start from the first page",
        )
    };
    if text.len() > LONGEST_CURSOR {
        return Err(refuse());
    }
    let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| refuse())?;
    // The same care as for bodies: what is in a cursor goes to the database.
    let cursor: Cursor<K> = super::json::read(&bytes).map_err(|_| refuse())?;
    if cursor.v != CURSOR_VERSION || cursor.l != K::LIST {
        return Err(refuse());
    }
    Ok(cursor.k)
}

impl<T: Serialize> IntoResponse for Paged<T> {
    fn into_response(self) -> Response {
        let mut response = json(StatusCode::OK, &self.page);
        if let Some(link) = &self.link {
            set_header(&mut response, header::LINK, link);
        }
        response
    }
}

impl<T: ToSchema> Describe for Paged<T> {
    fn describe(doc: &mut Description<'_>) {
        let link = ("Link", "The next page, with `rel=\"next\"`; absent on the last.");
        doc.json_response::<Page<T>>(200, "A page.", &[link]);
    }
}

impl<T: ToSchema> PartialSchema for Page<T> {
    fn schema() -> RefOr<Schema> {
        let items = ArrayBuilder::new()
            .items(RefOr::<Schema>::from(Ref::from_schema_name(T::name())))
            .description(Some("The items, in the order of the list."));
        let next_cursor = ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
            .description(Some("Send this as `cursor` for the next page; `null` on the last."));
        ObjectBuilder::new()
            .description(Some("A page of a list."))
            .property("items", items)
            .property("next_cursor", next_cursor)
            .required("items")
            .required("next_cursor")
            .into()
    }
}

impl<T: ToSchema> ToSchema for Page<T> {
    fn name() -> std::borrow::Cow<'static, str> {
        format!("{}Page", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
}
