//! What is revoked keeps no body: who has taken access back, and what follows for an event.
//!
//! An account or an archive is revoked when its state item has the register or the mark of a revocation. Every
//! revocation also leaves a tombstone under the subject's own key, `ACCOUNT#id` / `REVOKED`: events that name no user, and
//! those that come before anything else is known, find it there.
//!
//! A subject can also hide: in a member that could not be read, or in an event that does not say what it is about in a
//! form that is known. Then every text of the body is compared with the ids of what its users have revoked.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::KeysAndAttributes;
use jiff::Timestamp;

use super::event::found_by;
use super::fault::{Fault, Poison};
use super::read::{MAX_ITEMS, key_of};
use super::{Item, Table, fixed, text};
use crate::event::{EventType, Facts, Subject, strings};
use crate::id::{AccountId, ArchiveId, UserId};
use crate::state::{Entity, REVOCATION, REVOKED_UNDATED, Write, revoked};

/// The sort key of a tombstone.
const REVOKED: &str = "REVOKED";

/// The most subjects that are looked up one by one. Of more, the user's whole partition is read.
const MAX_LOOKUPS: usize = 50;

/// The most users whose partitions are read for one event.
const MAX_USERS: usize = 20;

/// The most texts of an event without a user that are taken for ids, and looked up in an index one by one.
const MAX_CANDIDATES: usize = 60;

/// The most texts of which it is asked whether there is a tombstone, a hundred a call.
const MAX_TOMBSTONES: usize = 1000;

/// What an event could carry something of.
pub(super) struct Carried {
    users: Vec<UserId>,
    /// Accounts and archives.
    owned: Vec<Subject>,
    /// Every text of the body, where a subject might hide.
    texts: Option<BTreeSet<String>>,
}

impl Carried {
    /// `is_understood` says that the event tells what it is about in a form that is known.
    pub(super) fn new(facts: &Facts, body: &[u8], is_understood: bool) -> Self {
        let mut carried = Self { users: Vec::new(), owned: Vec::new(), texts: None };
        for subject in &facts.subjects {
            match subject {
                Subject::User(user) => carried.users.push(user.clone()),
                Subject::Account(_) | Subject::Archive(_) => carried.owned.push(subject.clone()),
                Subject::Invite(_) | Subject::Record(_) | Subject::Verification(_) => {}
            }
        }
        // Records and verifications belong to no user and cannot be revoked.
        let is_apart = facts.unread.is_empty()
            && facts
                .subjects
                .iter()
                .all(|subject| matches!(subject, Subject::Record(_) | Subject::Verification(_)))
            && !facts.subjects.is_empty();
        if !is_apart && (!is_understood || !facts.unread.is_empty()) {
            carried.texts = Some(texts_of(body));
        }
        carried
    }

    /// Whether it can carry nothing but what these registers are about.
    pub(super) fn is_within(&self, writes: &[Write]) -> bool {
        let is_written = |subject: &Subject| {
            writes.iter().any(|write| match (&write.entity, subject) {
                (Entity::Account(_, id), Subject::Account(subject)) => id == subject,
                (Entity::Archive(_, id), Subject::Archive(subject)) => id == subject,
                _ => false,
            })
        };
        self.texts.is_none() && self.owned.iter().all(is_written)
    }

    fn ids(&self) -> BTreeSet<&str> {
        let owned = self.owned.iter().map(|subject| match subject {
            Subject::Account(id) => id.as_str(),
            Subject::Archive(id) => id.as_str(),
            _ => "",
        });
        owned.chain(self.texts.iter().flatten().map(String::as_str)).collect()
    }
}

/// Every text of a body but those of which every envelope consists.
fn texts_of(body: &[u8]) -> BTreeSet<String> {
    let mut texts = strings(&String::from_utf8_lossy(body));
    for name in ["id", "type", "version", "createdAt", "data"] {
        texts.remove(name);
    }
    texts
}

impl Table {
    /// Whether anything that the event could carry is revoked. State items that were created after a tombstone are then
    /// marked as revoked, too.
    pub(super) async fn any_revoked(&self, carried: &Carried, now: Timestamp) -> Result<bool, Fault> {
        let revoked = self.is_any_revoked(carried).await?;
        if revoked {
            self.mark_from_tombstones(carried, now).await?;
        }
        Ok(revoked)
    }

    async fn is_any_revoked(&self, carried: &Carried) -> Result<bool, Fault> {
        let Carried { users, owned, texts } = carried;
        if let ([user], None) = (users.as_slice(), texts)
            && owned.len() <= MAX_LOOKUPS
        {
            let user = Subject::User(user.clone()).to_string();
            let keys = owned.iter().map(|subject| (user.clone(), subject.to_string()));
            return self.revoked_in(keys.chain(tombstones(owned))).await;
        }
        let mut keys: BTreeSet<_> = tombstones(owned).collect();
        if let Some(texts) = texts.as_ref().filter(|texts| texts.len() <= MAX_TOMBSTONES) {
            keys.extend(tombstones(&candidates(texts)));
        }
        // Whose it is does not follow from the event, or may not be what it says. What was revoked by an older release
        // has no tombstone, and is found by an index only.
        if users.len() != 1 || texts.is_some() {
            for subject in owned.iter().take(MAX_LOOKUPS) {
                keys.extend(self.keys_by_own_id(&subject.to_string()).await?);
            }
        }
        if self.revoked_in(keys).await? {
            return Ok(true);
        }
        let ids = carried.ids();
        for user in users.iter().take(MAX_USERS) {
            if self.revoked_of(user).await?.iter().any(|id| ids.contains(id.as_str())) {
                return Ok(true);
            }
        }
        match texts {
            _ if users.len() > MAX_USERS => Err(Fault::Poison(Poison::Unattributed)),
            Some(texts) if users.is_empty() => {
                if texts.len() > MAX_CANDIDATES {
                    return Err(Fault::Poison(Poison::Unattributed));
                }
                let mut keys = BTreeSet::new();
                for subject in candidates(texts) {
                    keys.extend(self.keys_by_own_id(&subject.to_string()).await?);
                }
                self.revoked_in(keys).await
            }
            _ => Ok(false),
        }
    }

    /// Whether any of these items is marked as revoked.
    async fn revoked_in(&self, keys: impl IntoIterator<Item = (String, String)>) -> Result<bool, Fault> {
        let keys: Vec<_> = keys.into_iter().collect();
        for keys in keys.chunks(MAX_ITEMS) {
            let marks = KeysAndAttributes::builder()
                .projection_expression("pk, #revocation, #undated")
                .expression_attribute_names("#revocation", REVOCATION)
                .expression_attribute_names("#undated", REVOKED_UNDATED);
            if self.items("reading revocations", keys, marks).await?.iter().any(is_revoked) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The ids of the accounts and archives that a user has revoked.
    async fn revoked_of(&self, user: &UserId) -> Result<Vec<String>, Fault> {
        let items = self.marks_of(user).await?;
        let id = |item: &Item| Some(item.get("sk")?.as_s().ok()?.split_once('#')?.1.to_owned());
        Ok(items.iter().filter(|item| is_revoked(item)).filter_map(id).collect())
    }

    /// The keys and marks of a user's accounts and archives.
    async fn marks_of(&self, user: &UserId) -> Result<Vec<Item>, Fault> {
        let mut pages = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            // From ACCOUNT# to ARCHIVE#, and nothing that a browser said.
            .key_condition_expression("pk = :pk AND sk BETWEEN :from AND :until")
            .expression_attribute_values(":pk", text(Subject::User(user.clone()).to_string()))
            .expression_attribute_values(":from", text("ACCOUNT#"))
            .expression_attribute_values(":until", text("ARCHIVE$"))
            .projection_expression("pk, sk, #revocation, #undated")
            .expression_attribute_names("#revocation", REVOCATION)
            .expression_attribute_names("#undated", REVOKED_UNDATED)
            .into_paginator()
            .items()
            .send();
        let mut items = Vec::new();
        while let Some(item) = pages.next().await {
            items.push(item.map_err(|error| Fault::of("reading revocations", &error))?);
        }
        Ok(items)
    }

    /// Revokes what an event names, where no register can say so: since its date or its version cannot be believed, or
    /// it does not say whose the account is, or what it names stands where nobody looks for it. Fails as poison when
    /// nothing at all can be found that it could mean.
    pub async fn revoke(
        &self,
        kind: &EventType,
        facts: &Facts,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), Fault> {
        self.put_tombstones(kind, facts, now).await?;
        let mut keys: BTreeSet<_> = revoked(kind, facts).iter().map(Entity::keys).collect();
        if keys.is_empty() || !facts.unread.is_empty() {
            keys.extend(self.meant(kind, facts, body).await?);
        }
        if keys.is_empty() {
            return Err(Fault::Poison(Poison::Unattributed));
        }
        for (pk, sk) in keys {
            self.mark_revoked(&pk, &sk, now).await?;
        }
        Ok(())
    }

    /// Leaves a tombstone for what a revocation names, so that whatever comes later finds it: what is created after it,
    /// and what names no user. It comes before everything else that a revocation writes, and always fits.
    pub(super) async fn put_tombstones(
        &self,
        kind: &EventType,
        facts: &Facts,
        now: Timestamp,
    ) -> Result<(), Fault> {
        for subject in facts.named.iter().filter(|subject| is_meant(kind, subject)) {
            self.mark_revoked(&subject.to_string(), REVOKED, now).await?;
        }
        Ok(())
    }

    /// The keys of what a revocation means that does not say so in a form that is known: the items and the tombstone of
    /// what it names, whoever's that is; else whatever is known of which the id stands anywhere in its body; else a
    /// tombstone for each text that could be an id, since what it means may only be to come.
    async fn meant(
        &self,
        kind: &EventType,
        facts: &Facts,
        body: &[u8],
    ) -> Result<Vec<(String, String)>, Fault> {
        let prefix = of_kind(kind);
        let mut keys = Vec::new();
        for subject in facts.named.iter().filter(|subject| is_meant(kind, subject)) {
            keys.push((subject.to_string(), REVOKED.to_owned()));
            keys.extend(self.keys_by_own_id(&subject.to_string()).await?);
        }
        if !keys.is_empty() {
            return Ok(keys);
        }
        let texts = texts_of(body);
        let users = facts.subjects.iter().filter_map(|subject| match subject {
            Subject::User(user) => Some(user),
            _ => None,
        });
        for user in users.take(MAX_USERS) {
            for (pk, sk) in self.marks_of(user).await?.iter().filter_map(key_of) {
                if sk.strip_prefix(prefix).is_some_and(|id| texts.contains(id)) {
                    keys.push((pk, sk));
                }
            }
        }
        if keys.is_empty() && texts.len() <= MAX_CANDIDATES {
            for id in &texts {
                keys.extend(self.keys_by_own_id(&format!("{prefix}{id}")).await?);
            }
            if keys.is_empty() {
                keys.extend(texts.iter().map(|id| (format!("{prefix}{id}"), REVOKED.to_owned())));
            }
        }
        Ok(keys)
    }

    /// Marks an item as revoked at a time of ours, and as due for erasure.
    async fn mark_revoked(&self, pk: &str, sk: &str, now: Timestamp) -> Result<(), Fault> {
        let mut set = "SET #at = if_not_exists(#at, :at)".to_owned();
        let mut update = self
            .client
            .update_item()
            .table_name(&self.name)
            .key("pk", text(pk))
            .key("sk", text(sk))
            .expression_attribute_names("#at", REVOKED_UNDATED)
            .expression_attribute_values(":at", text(fixed(now)));
        // A tombstone stays, and there is nothing in it to erase. An item is due.
        if sk != REVOKED {
            set.push_str(", #erase = :erase, #due = :at");
            update = found_by(sk, update, &mut set)
                .expression_attribute_names("#erase", "erase")
                .expression_attribute_names("#due", "erase_due")
                .expression_attribute_values(":erase", text("DUE"));
        }
        update.update_expression(set).send().await.map_err(|error| Fault::of("revoking", &error))?;
        Ok(())
    }

    /// Marks the state items of what has a tombstone: they were created after it.
    async fn mark_from_tombstones(&self, carried: &Carried, now: Timestamp) -> Result<(), Fault> {
        let [user] = carried.users.as_slice() else { return Ok(()) };
        let pk = Subject::User(user.clone()).to_string();
        for subject in carried.owned.iter().take(MAX_LOOKUPS) {
            let tombstone = (subject.to_string(), REVOKED.to_owned());
            let item = (pk.clone(), subject.to_string());
            if self.revoked_in([tombstone]).await? && !self.revoked_in([item]).await? {
                self.mark_revoked(&pk, &subject.to_string(), now).await?;
            }
        }
        Ok(())
    }

    /// Whether something that a body carries is revoked, so that not even the quarantine may keep it. In doubt it may:
    /// whoever reads the quarantine decides.
    pub async fn is_body_revoked(&self, facts: &Facts, body: &[u8]) -> Result<bool, Fault> {
        match self.is_any_revoked(&Carried::new(facts, body, false)).await {
            Err(Fault::Poison(_)) => Ok(false),
            answer => answer,
        }
    }
}

/// Whether a revocation of this type ends it.
fn is_meant(kind: &EventType, subject: &Subject) -> bool {
    match subject {
        Subject::Account(_) => *kind == EventType::AccountDisconnected,
        Subject::Archive(_) => *kind == EventType::ArchiveRevoked,
        _ => false,
    }
}

/// What the own keys of what a revocation ends begin with.
fn of_kind(kind: &EventType) -> &'static str {
    if *kind == EventType::AccountDisconnected { "ACCOUNT#" } else { "ARCHIVE#" }
}

/// Every account and archive that a text could be the id of.
fn candidates(texts: &BTreeSet<String>) -> Vec<Subject> {
    let of = |id: &String| {
        let account = AccountId::new(id.as_str()).map(Subject::Account);
        [account, ArchiveId::new(id.as_str()).map(Subject::Archive)]
    };
    texts.iter().flat_map(of).flatten().collect()
}

fn tombstones(subjects: &[Subject]) -> impl Iterator<Item = (String, String)> + '_ {
    subjects.iter().map(|subject| (subject.to_string(), REVOKED.to_owned()))
}

pub(super) fn is_revoked(item: &Item) -> bool {
    item.contains_key(REVOCATION) || item.contains_key(REVOKED_UNDATED)
}
