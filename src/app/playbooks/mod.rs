//! Playbooks: storing versions, reading them, archiving, and putting those that an expansion needs on a shelf.
//!
//! A version is checked as a whole before it is stored, together with the playbooks it uses, and never changes
//! afterwards. The built-in playbooks have no rows: they are version 0 of their names. A stored playbook goes
//! before the built-in one of its name, so a team can adapt one without telling everybody a new name.

pub mod shelf;
pub mod views;

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    App, Result, Unit,
    caller::{Caller as _, OperatorCaller, ReaderCaller},
    caps,
    unit::idempotency::{Outcome, Request},
};
use crate::{
    domain::{
        cap::workspace::Holding,
        ids::PlaybookId,
        journal::{Kind, NewRow},
        plan::playbook::{Text, builtin, document, fault::Fault, shelf::BUILT_IN},
        refusal::{Code, Refusal},
        settings,
    },
    store::{self, Hold, Tx, playbooks::NewVersion},
};
use views::{NewPlaybook, Playbook, PlaybookVersion};

impl App {
    /// Stores a playbook, or another version of it. The same text as the latest version is that version.
    ///
    /// # Errors
    /// `invalid` with every fault of the document.
    pub async fn create_playbook(
        &self,
        caller: &OperatorCaller,
        new: &NewPlaybook,
        request: Option<&Request>,
    ) -> Result<Outcome<Playbook>> {
        self.create(caller.principal(), request, Hold::Share, async |unit| {
            let text = new.text()?;
            let refused = |faults: Vec<Fault>| new.refused(&text, &faults);
            let playbook = document::parse(&text.document).map_err(refused)?;
            let shelf = shelf::of(unit.tx(), &playbook.uses()).await?;
            crate::domain::plan::playbook::check(&playbook, &shelf).map_err(refused)?;
            caps::admit(unit, Holding::StoredBytes, 0).await?;
            write(unit, &playbook.name, &text).await?;
            read(unit.tx(), &playbook.name, None).await
        })
        .await
    }

    /// Reads one version of a playbook; without a number the latest.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn get_playbook(
        &self,
        caller: &ReaderCaller,
        name: &str,
        version: Option<i32>,
    ) -> Result<Playbook> {
        refuse_other(name)?;
        read(&mut self.reader(caller.principal().workspace).await?, name, version).await
    }

    /// Up to `rows` playbooks after the name `after`, by name: the workspace's own and the built-in ones.
    pub async fn list_playbooks(
        &self,
        caller: &ReaderCaller,
        archived: bool,
        after: Option<&str>,
        rows: u32,
    ) -> Result<Vec<Playbook>> {
        if after.is_some_and(|after| !document::is_name(after)) {
            return Err(Refusal::invalid_at("?cursor", "is not a cursor of this list").into());
        }
        let mut tx = self.reader(caller.principal().workspace).await?;
        let stored = store::playbooks::list(&mut tx, archived, after, rows).await?;
        let mut playbooks: Vec<Playbook> = stored.into_iter().map(Playbook::from).collect();
        if !archived {
            let built_in = builtin::all().iter();
            let names: Vec<String> =
                built_in.clone().map(|one| one.playbook.name.clone()).collect();
            let hidden = store::playbooks::shown(&mut tx, &names).await?;
            let later = |name: &str| after.is_none_or(|after| name > after);
            let shown = built_in
                .filter(|one| later(&one.playbook.name) && !hidden.contains(&one.playbook.name));
            playbooks.extend(shown.map(Playbook::built_in));
            playbooks.sort_by(|a, b| a.name.cmp(&b.name));
            playbooks.truncate(rows as usize);
        }
        Ok(playbooks.into_iter().map(Playbook::in_list).collect())
    }

    /// Versions of a playbook, latest first.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn list_playbook_versions(
        &self,
        caller: &ReaderCaller,
        name: &str,
        after: Option<i32>,
        rows: u32,
    ) -> Result<Vec<PlaybookVersion>> {
        refuse_other(name)?;
        let mut tx = self.reader(caller.principal().workspace).await?;
        let stored = store::playbooks::versions(&mut tx, name, after, rows).await?;
        let mut versions: Vec<PlaybookVersion> =
            stored.into_iter().map(PlaybookVersion::from).collect();
        if builtin::find(name).is_some() && after.is_none_or(|after| after > BUILT_IN) {
            versions.push(PlaybookVersion::built_in());
            versions.truncate(rows as usize);
        }
        if versions.is_empty() && after.is_none() {
            return Err(Refusal::not_found("playbook").into());
        }
        Ok(versions)
    }

    /// Archives a playbook. Archiving it again changes nothing.
    ///
    /// # Errors
    /// `not_found`; `wrong_state` for a built-in one.
    pub async fn archive_playbook(&self, caller: &OperatorCaller, name: &str) -> Result<Playbook> {
        self.put_playbook(caller, name, true).await
    }

    /// Puts an archived playbook back into the lists. Doing so again changes nothing.
    ///
    /// # Errors
    /// `not_found`; `wrong_state` for a built-in one.
    pub async fn unarchive_playbook(
        &self,
        caller: &OperatorCaller,
        name: &str,
    ) -> Result<Playbook> {
        self.put_playbook(caller, name, false).await
    }

    async fn put_playbook(
        &self,
        caller: &OperatorCaller,
        name: &str,
        archived: bool,
    ) -> Result<Playbook> {
        refuse_other(name)?;
        let principal = caller.principal();
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let Some(locked) = store::playbooks::lock(unit.tx(), name).await? else {
            return Err(match builtin::find(name) {
                Some(_) => Refusal::new(Code::WrongState, "a built-in playbook is always there"),
                None => Refusal::not_found("playbook"),
            }
            .into());
        };
        let before = read(unit.tx(), name, Some(locked.latest)).await?;
        if locked.archived == archived {
            self.undo(unit).await?;
            return Ok(before);
        }
        store::playbooks::set_archived(unit.tx(), locked.playbook_id, archived).await?;
        let after = read(unit.tx(), name, Some(locked.latest)).await?;
        let kind = if archived { Kind::PlaybookArchived } else { Kind::PlaybookUnarchived };
        unit.record(
            NewRow::new(kind)
                .before(&before)
                .after(&after)
                .data(json!({"playbook_id": locked.playbook_id, "name": name})),
        );
        self.commit(unit).await?;
        Ok(after)
    }
}

/// Refuses a path with what is no name of a playbook: no text of a path reaches the database unseen.
///
/// # Errors
/// `not_found`.
pub(in crate::app) fn refuse_other(name: &str) -> Result<()> {
    if document::is_name(name) { Ok(()) } else { Err(Refusal::not_found("playbook").into()) }
}

/// Stores the text, unless the latest version has it.
async fn write(unit: &mut Unit, name: &str, text: &Text) -> Result<()> {
    let sha256 = Sha256::new()
        .chain_update(text.source.as_deref().unwrap_or_default())
        .chain_update([0])
        .chain_update(text.document.to_string())
        .finalize();
    let by = unit.actor();
    let made: PlaybookId = unit.id();
    let count = store::playbooks::count(unit.tx()).await?;
    let new = store::playbooks::insert(unit.tx(), made, name, by).await?;
    let (playbook_id, version) = if new {
        if count >= settings::PLAYBOOKS {
            let detail = format!("the workspace has {count} playbooks and can have no more");
            return Err(Refusal::invalid_at("", detail).into());
        }
        (made, 1)
    } else {
        let locked = store::playbooks::lock(unit.tx(), name).await?;
        let locked = locked.ok_or_else(|| Refusal::not_found("playbook"))?;
        let latest = store::playbooks::sha256(unit.tx(), locked.playbook_id, locked.latest).await?;
        if latest.as_deref() == Some(sha256.as_slice()) {
            if locked.archived {
                store::playbooks::set_archived(unit.tx(), locked.playbook_id, false).await?;
                let data = json!({"playbook_id": locked.playbook_id, "name": name});
                let after = read(unit.tx(), name, Some(locked.latest)).await?;
                unit.record(NewRow::new(Kind::PlaybookUnarchived).after(&after).data(data));
            }
            return Ok(());
        }
        if locked.latest >= settings::PLAYBOOK_VERSIONS {
            let most = settings::PLAYBOOK_VERSIONS;
            let detail =
                format!("the playbook has {most} versions and can have no more: use another name");
            return Err(Refusal::invalid_at("", detail).into());
        }
        (locked.playbook_id, locked.latest + 1)
    };
    let version = NewVersion {
        playbook_id,
        version,
        document: &text.document,
        source: text.source.as_deref(),
        sha256: &sha256,
        by,
    };
    store::playbooks::insert_version(unit.tx(), &version).await?;
    store::playbooks::set_latest(unit.tx(), playbook_id, version.version).await?;
    let version = version.version;
    let after = read(unit.tx(), name, Some(version)).await?;
    let data = json!({"playbook_id": playbook_id, "name": name, "version": version});
    unit.record(NewRow::new(Kind::PlaybookStored).after(&after).data(data));
    Ok(())
}

/// Reads one version.
async fn read(tx: &mut Tx, name: &str, version: Option<i32>) -> Result<Playbook> {
    let wanted = [(name.to_owned(), version)];
    if let Some(row) = store::playbooks::find(tx, &wanted).await?.pop() {
        return Ok(Playbook::from(row));
    }
    let built_in =
        builtin::find(name).filter(|_| version.is_none_or(|version| version == BUILT_IN));
    Ok(built_in.map(Playbook::built_in).ok_or_else(|| Refusal::not_found("playbook"))?)
}
