//! Lists, in pages.
//!
//! Paging is by key: a cursor names the last item of a page. So items that are created or deleted in
//! between never repeat or hide others, and every page costs the same. A cursor is opaque: only muster
//! reads it, its form is versioned and may change, and it belongs to the path that issued it.
//!
//! A handler takes [`Listing<F, K>`]: `F` are the filters of the list, `K` is the sort key of an item.
//! It asks the use case for [`Listing::rows`] items after [`Listing::after`], one more than a page has.
//! [`Listing::page`] makes the page; the extra item shows that there is a next one.

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

use super::{
    bounds::of_parameter,
    query::{self, Pair},
};
use crate::{
    domain::refusal::{Code, Refusal},
    http::{
        describe::{Describe, Description},
        problem::{Error, Result},
        reply::{json, set_header},
    },
};

/// The form of cursors. A cursor of another form is refused.
const CURSOR_VERSION: u8 = 1;
const DEFAULT_LIMIT: u32 = 50;
const LARGEST_LIMIT: u32 = 200;
/// The parameters of every list.
const PAGING: [&str; 2] = ["limit", "cursor"];
const LONGEST_CURSOR: usize = 1024;

/// The page of a list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// The most items of a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub limit: Option<u32>,
    /// `next_cursor` of the previous page; absent for the first. Send all other parameters unchanged.
    pub cursor: Option<String>,
}

/// A request for a page of a list with the filters `F` and the sort key `K`.
#[derive(Debug, Clone)]
pub struct Listing<F, K> {
    /// The filters of the list.
    pub filter: F,
    /// The last item of the previous page; `None` for the first page.
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
    /// Send this as `cursor` for the next page; `null` on the last page.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// The same page of other items.
    pub fn map<U>(self, item: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(item).collect(), next_cursor: self.next_cursor }
    }
}

/// 200 with a page, and a `Link` to the next.
pub type Paged<T> = Linked<Page<T>>;

/// 200 with a body that holds a page, and a `Link` to the next.
#[derive(Debug, Clone)]
pub struct Linked<B> {
    body: B,
    link: Option<String>,
}

impl<B> Linked<B> {
    /// The same page in another body: for lists that return more than their items.
    pub fn map<C>(self, body: impl FnOnce(B) -> C) -> Linked<C> {
        Linked { body: body(self.body), link: self.link }
    }
}

impl<F, K: Serialize> Listing<F, K> {
    /// The number of rows to ask for: one more than a page has, to see whether there is a next.
    #[must_use]
    pub fn rows(&self) -> u32 {
        self.limit + 1
    }

    /// The page of up to [`Self::rows`] items, and how to read the sort key of an item.
    ///
    /// # Errors
    /// `internal` if a key cannot be written as a cursor.
    pub fn page<T>(&self, items: Vec<T>, key: impl Fn(&T) -> K) -> Result<Paged<T>> {
        self.page_of(items, key, None)
    }

    /// The same of a list that examines a bounded part at a time: `goes_on` is the key to go on after if
    /// the page is short.
    ///
    /// # Errors
    /// `internal` if a key cannot be written as a cursor.
    pub fn page_of<T>(
        &self,
        mut items: Vec<T>,
        key: impl Fn(&T) -> K,
        goes_on: Option<K>,
    ) -> Result<Paged<T>> {
        let limit = self.limit as usize;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(key).or(goes_on);
        let next_cursor = next.map(|next| write_cursor(&self.path, &next)).transpose()?;
        let link = next_cursor.as_deref().map(|cursor| self.link(cursor));
        Ok(Linked { body: Page { items, next_cursor }, link })
    }

    fn link(&self, cursor: &str) -> String {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&self.others)
            .append_pair("cursor", cursor)
            .finish();
        format!("<{}?{query}>; rel=\"next\"", self.path)
    }
}

impl<S, F, K> FromRequestParts<S> for Listing<F, K>
where
    S: Send + Sync,
    F: DeserializeOwned + IntoParams,
    K: DeserializeOwned,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        Ok(listing(&parts.uri)?)
    }
}

fn listing<F: DeserializeOwned + IntoParams, K: DeserializeOwned>(
    uri: &Uri,
) -> std::result::Result<Listing<F, K>, Refusal> {
    let pairs = query::pairs(uri)?;
    let others = pairs.iter().filter(|(name, _)| name != "cursor").cloned().collect();
    let (paging, filters) =
        pairs.into_iter().partition(|(name, _)| PAGING.contains(&name.as_str()));
    let paging: PageQuery = query::read(paging, &[], of_parameter::<PageQuery>)?;
    let limit = paging.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=LARGEST_LIMIT).contains(&limit) {
        return Err(Refusal::invalid_at("?limit", format!("must be 1 to {LARGEST_LIMIT}")));
    }
    let path = uri.path().to_owned();
    let after = paging.cursor.map(|cursor| read_cursor(&path, &cursor)).transpose()?;
    let filter = query::read(filters, &PAGING, of_parameter::<F>)?;
    Ok(Listing { filter, after, limit, path, others })
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

fn write_cursor<K: Serialize>(path: &str, key: &K) -> Result<String> {
    let cursor = Cursor { v: CURSOR_VERSION, l: path.to_owned(), k: key };
    let bytes = serde_json::to_vec(&cursor)
        .map_err(|error| Error::internal(format!("a cursor cannot be written: {error}")))?;
    Ok(BASE64URL_NOPAD.encode(&bytes))
}

fn read_cursor<K: DeserializeOwned>(path: &str, text: &str) -> std::result::Result<K, Refusal> {
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
    // As strict as for bodies: the key goes to the database.
    let cursor: Cursor<K> = super::json::read(&bytes).map_err(|_| refuse())?;
    if cursor.v != CURSOR_VERSION || cursor.l != path {
        return Err(refuse());
    }
    Ok(cursor.k)
}

impl<B: Serialize> IntoResponse for Linked<B> {
    fn into_response(self) -> Response {
        let mut response = json(StatusCode::OK, &self.body);
        if let Some(link) = &self.link {
            set_header(&mut response, header::LINK, link);
        }
        response
    }
}

impl<B: ToSchema> Describe for Linked<B> {
    fn describe(doc: &mut Description<'_>) {
        let link = ("Link", "The next page, with `rel=\"next\"`; absent on the last page.");
        doc.json_response::<B>(200, "A page.", &[link]);
    }
}

impl<T: ToSchema> PartialSchema for Page<T> {
    fn schema() -> RefOr<Schema> {
        let items = ArrayBuilder::new()
            .items(RefOr::<Schema>::from(Ref::from_schema_name(T::name())))
            .description(Some("The items, in the order of the list."));
        let next_cursor = ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
            .description(Some("Send this as `cursor` for the next page; `null` on the last page."));
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
