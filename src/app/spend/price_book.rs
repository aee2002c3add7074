//! The price book: adding prices, importing price files, and finding the valid price.
//!
//! Prices are never changed. A correction is another price; spend computed earlier changes only
//! when an operator re-rates it ([`super::rerate`]). An implausible price needs `force`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::openapi::schema::{ArrayBuilder, Object, ObjectBuilder, OneOfBuilder, Schema, Type};

use super::{
    model_price::{ModelPrice, row, view},
    pricing,
    rerate::{RerateAnswer, RerateRequest},
};
use crate::{
    app::{
        App, Result, Unit,
        caller::{Caller as _, OperatorCaller, ReaderCaller},
        unit::idempotency::{Outcome, Request},
    },
    domain::{
        check::Checks,
        ids::PriceId,
        journal::{Kind, NewRow},
        plan::check_instant,
        price::{
            self, Imported, ImportedPrice, NewPrice, PriceDisagreement, PriceSource, Sifted,
            SkipCount, Skipped, Terms, absurdities,
        },
        refusal::{FieldError, Refusal},
        span::{Ends, Span, check_year},
        words::words,
    },
    store::{self, Hold, spend::prices::PriceRow},
};

words! {
    /// The format of a price file.
    pub enum PriceFormat {
        /// LiteLLM's `model_prices_and_context_window.json`.
        Litellm => "litellm",
        /// genai-prices' `data.json`.
        GenaiPrices => "genai_prices",
    }
}

/// Most skipped entries and disagreements that an answer lists.
const SHOWN: usize = 100;

/// A price file to import.
#[derive(Debug, Clone, PartialEq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceImport {
    /// Format of the document, by its publisher.
    pub format: PriceFormat,
    /// The file itself, as JSON: LiteLLM's is an object, that of genai-prices a list. At most 16 MiB.
    #[schema(schema_with = document)]
    pub document: Value,
    /// Start of validity of prices that the file does not date; default: now.
    #[serde(default)]
    pub effective_from: Option<DateTime<Utc>>,
    /// Also imports prices that differ from the previous ones by more than a factor of a hundred. A
    /// price of zero is imported without it.
    #[serde(default)]
    pub force: bool,
    /// Only reports what would be imported, and stores nothing.
    #[serde(default)]
    pub dry_run: bool,
}

fn document() -> Schema {
    OneOfBuilder::new()
        .item(ObjectBuilder::new().schema_type(Type::Object))
        .item(ArrayBuilder::new().items(Object::new()))
        .description(Some(
            "The file itself, as JSON: LiteLLM's is an object, that of genai-prices a list.",
        ))
        .build()
        .into()
}

/// Outcome of an import.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ImportAnswer {
    /// Number of prices that were added.
    pub added: usize,
    /// Number of prices that the book already has.
    pub unchanged: usize,
    /// Number of entries that were not imported.
    pub skipped: usize,
    /// Their number by reason: rare and serious reasons first.
    #[serde(default)]
    pub skipped_by_reason: Vec<SkipCount>,
    /// The first hundred skipped entries in that order, with the reason.
    pub examples: Vec<Skipped>,
    /// Number of prices that differ from what another book says: an operator, another file, or the
    /// built-in table. The newest price of one's own applies.
    pub disagreements: usize,
    /// The first hundred of them, with what the other book says.
    pub disagreeing: Vec<PriceDisagreement>,
}

impl App {
    /// Adds a price.
    ///
    /// # Errors
    /// `invalid`, also for an implausible price without `force`.
    pub async fn create_price(
        &self,
        caller: &OperatorCaller,
        new: &NewPrice,
        request: Option<&Request>,
    ) -> Result<Outcome<ModelPrice>> {
        let price = new.price()?;
        self.create(caller.principal(), request, Hold::Share, async |unit| {
            let at = new.effective_from.unwrap_or(unit.now());
            let names = price::names(&new.model);
            let book = pricing::book(unit.tx(), &names).await?;
            let before = pricing::find_named(&book, Some(&new.provider), &new.model, at);
            refuse_absurd(&absurdities(&price, before), new.force)?;
            let made =
                row(unit, new.provider.trim(), new.model.trim(), at, &price, PriceSource::Operator);
            let made = PriceRow { note: new.note.clone(), ..made };
            add(unit, std::slice::from_ref(&made)).await?;
            let data = json!({"price_id": made.price_id, "provider": made.provider,
                              "model": made.model, "effective_from": at});
            let shown = view(made);
            unit.record(NewRow::new(Kind::PriceCreated).after(&shown).data(data));
            Ok(shown)
        })
        .await
    }

    /// Imports the prices of a file that the book does not have.
    ///
    /// # Errors
    /// `invalid` for a file without prices.
    pub async fn import_prices(
        &self,
        caller: &OperatorCaller,
        file: &PriceImport,
    ) -> Result<ImportAnswer> {
        if let Some(at) = file.effective_from {
            let mut checks = Checks::new();
            check_instant(&mut checks, "/effective_from", at);
            checks.finish()?;
        }
        let (imported, source) = match file.format {
            PriceFormat::Litellm => {
                (price::import::litellm::read(&file.document), PriceSource::Litellm)
            }
            PriceFormat::GenaiPrices => {
                (price::import::genai_prices::read(&file.document), PriceSource::GenaiPrices)
            }
        };
        if imported.prices.is_empty() {
            let detail = format!("has no price in it that a file of {} would have", file.format);
            return Err(Refusal::invalid_at("/document", detail).into());
        }
        let principal = caller.principal();
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let (rows, answer) = sift(&mut unit, imported, source, file).await?;
        if file.dry_run {
            self.undo(unit).await?;
            return Ok(answer);
        }
        for chunk in rows.chunks(1000) {
            add(&mut unit, chunk).await?;
        }
        let data = json!({"source": source, "added": answer.added});
        let shown = rows.into_iter().map(view).collect::<Vec<ModelPrice>>();
        unit.record(NewRow::new(Kind::PriceCreated).after(&shown).data(data));
        self.commit(unit).await?;
        Ok(answer)
    }

    /// Recomputes spend with the present price book.
    ///
    /// # Errors
    /// `invalid`.
    pub async fn rerate_spend(
        &self,
        caller: &OperatorCaller,
        request: &RerateRequest,
    ) -> Result<RerateAnswer> {
        let mut checks = Checks::new();
        let span = Span { from: Some(request.from), to: Some(request.to) };
        span.check(&mut checks, Ends("/from", "/to"));
        if let Some(model) = &request.model {
            checks.line("/model", model, 200);
        }
        checks.finish()?;
        let principal = caller.principal();
        self.rerate_all(principal.workspace, &principal.actor(), request).await
    }

    /// Up to `rows` of the workspace's own prices after `after`, newest first.
    pub async fn list_prices(
        &self,
        caller: &ReaderCaller,
        provider: Option<&str>,
        model: Option<&str>,
        after: Option<PriceId>,
        rows: u32,
    ) -> Result<Vec<ModelPrice>> {
        let workspace = caller.principal().workspace;
        let mut tx = self.reader(workspace).await?;
        let rows = store::spend::prices::list(&mut tx, provider, model, after, rows.into()).await?;
        Ok(rows.into_iter().map(view).collect())
    }

    /// The price of a model that is valid at an instant.
    ///
    /// # Errors
    /// `invalid`; `not_found` without one.
    pub async fn find_price(
        &self,
        caller: &ReaderCaller,
        provider: Option<&str>,
        model: &str,
        at: Option<DateTime<Utc>>,
    ) -> Result<ModelPrice> {
        if let Some(at) = at {
            let mut checks = Checks::new();
            check_year(&mut checks, "?at", at);
            checks.finish()?;
        }
        let workspace = caller.principal().workspace;
        let mut tx = self.reader(workspace).await?;
        let at = at.unwrap_or(tx.now);
        let names = price::names(model);
        let own = store::spend::prices::named(&mut tx, &names).await?;
        pricing::holding(own, provider, model, at)
    }
}

fn refuse_absurd(found: &[String], force: bool) -> Result<()> {
    if force || found.is_empty() {
        return Ok(());
    }
    let detail = format!("{}; when it is meant so, send `force: true`", found.join("; "));
    let errors = vec![FieldError::new("/force", &detail)];
    Err(Refusal::invalid(errors).into())
}

async fn add(unit: &mut Unit, rows: &[PriceRow]) -> Result<()> {
    Ok(store::spend::prices::insert(unit.tx(), rows).await?)
}

/// Splits the prices of a file into new rows and the answer about the rest.
async fn sift(
    unit: &mut Unit,
    imported: Imported,
    source: PriceSource,
    file: &PriceImport,
) -> Result<(Vec<PriceRow>, ImportAnswer)> {
    let names: std::collections::BTreeSet<String> =
        imported.prices.iter().map(|price| price.model.to_lowercase()).collect();
    let book = pricing::book(unit.tx(), &names.into_iter().collect::<Vec<_>>()).await?;
    let from = file.effective_from.unwrap_or(unit.now());
    let terms = Terms { source, from, force: file.force };
    let Sifted { added, unchanged, mut skipped, reasons, mut disagreements } =
        price::sift(imported, book.own(), price::builtin(), terms);
    let mut answer = ImportAnswer {
        added: added.len(),
        unchanged,
        skipped: skipped.len(),
        skipped_by_reason: reasons,
        disagreements: disagreements.len(),
        ..ImportAnswer::default()
    };
    skipped.truncate(SHOWN);
    disagreements.truncate(SHOWN);
    (answer.examples, answer.disagreeing) = (skipped, disagreements);
    let ids: Vec<PriceId> = unit.ids(added.len());
    let rows = added.into_iter().zip(ids).map(|((new, at), price_id)| {
        let ImportedPrice { provider, model, effective_from: _, price, notes } = new;
        let note = (!notes.is_empty()).then(|| notes.join("; "));
        let made = row(unit, &provider, &model, at, &price, source);
        PriceRow { price_id, note, ..made }
    });
    Ok((rows.collect(), answer))
}
