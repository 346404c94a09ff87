//! Lists: filters, sizes, cursors. A cursor carries the filter of its first page, so that what a later
//! request says of filters does not count (Smile, `cursor`).

use jiff::civil::Date;
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};

use super::operation::Operation;
use super::wire::{Query, Refusal};
use super::world::{Account, Archive, Invite, Task, User, Webhook, World};

/// Where a page ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor {
    operation: Operation,
    filter: Filter,
    after: u64,
}

/// What a list is restricted to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Filter {
    user: Option<String>,
    source: Option<String>,
    file_type: Option<String>,
    from: Option<Date>,
    to: Option<Date>,
}

/// One entry, before it is decided whether it is on the page.
struct Entry<'a> {
    number: u64,
    at: Timestamp,
    user: Option<&'a str>,
    source: Option<&'a str>,
    file_type: Option<&'a str>,
}

impl Filter {
    /// Reads the parameters that this list has; it has no others.
    fn read(operation: Operation, query: &Query) -> Result<Self, Refusal> {
        use Operation as O;
        let text = |name: &str, lists: &[Operation]| {
            query.get(name).filter(|_| lists.contains(&operation)).map(str::to_owned)
        };
        let dated = [O::ListUsers, O::ListAccounts, O::ListTasks, O::ListArchives];
        let date = |name: &str| {
            text(name, &dated)
                .map(|text| {
                    let is_short = text.len() == "2026-03-01".len();
                    let date = text.parse().ok().filter(|_| is_short);
                    date.ok_or_else(|| Refusal::parameters(format!("{name} must be a date, YYYY-MM-DD")))
                })
                .transpose()
        };
        Ok(Self {
            user: text("userId", &dated[1..]),
            source: text("sourceId", &[O::ListTasks]),
            file_type: text("fileType", &[O::ListArchives]),
            from: date("startDate")?,
            to: date("endDate")?,
        })
    }

    fn takes(&self, entry: &Entry<'_>) -> bool {
        let day = TimeZone::UTC.to_datetime(entry.at).date();
        let is = |wanted: &Option<String>, is: Option<&str>| wanted.is_none() || wanted.as_deref() == is;
        is(&self.user, entry.user)
            && is(&self.source, entry.source)
            && is(&self.file_type, entry.file_type)
            && self.from.is_none_or(|from| day >= from)
            && self.to.is_none_or(|to| day <= to)
    }
}

impl World {
    /// One page of a list, oldest first. The specification does not say in which order.
    pub(super) fn page(&mut self, operation: Operation, query: &Query) -> Result<Value, Refusal> {
        let size: usize = match query.get("size").map(str::parse) {
            None => 10,
            Some(Ok(size @ 1..=150)) => size,
            Some(_) => return Err(Refusal::parameters("size must be a number from 1 to 150")),
        };
        let cursor = match query.get("cursor") {
            None => Cursor { operation, filter: Filter::read(operation, query)?, after: 0 },
            Some(cursor) => self
                .cursors
                .get(cursor)
                .filter(|cursor| cursor.operation == operation)
                .cloned()
                .ok_or_else(|| Refusal::parameters("cursor must be one that this list gave"))?,
        };
        let (items, last) = self.after(&cursor, size);
        let mut page = json!({ "items": items });
        if let Some(after) = last {
            let name = self.rng.u64(1_000_000_000..10_000_000_000).to_string();
            page["nextCursor"] = json!(name);
            self.cursors.insert(name, Cursor { after, ..cursor });
        }
        Ok(page)
    }

    /// The entries of a page, and the last one's number when there are more behind it.
    fn after(&self, cursor: &Cursor, size: usize) -> (Vec<Value>, Option<u64>) {
        match cursor.operation {
            Operation::ListUsers => taken(&self.users, cursor, size, |user| user.view(&self.accounts)),
            Operation::ListAccounts => taken(&self.accounts, cursor, size, Account::view),
            Operation::ListTasks => taken(&self.tasks, cursor, size, Task::view),
            Operation::ListArchives => taken(&self.archives, cursor, size, Archive::view),
            Operation::ListInvites => taken(&self.invites, cursor, size, Invite::view),
            _ => taken(&self.webhooks, cursor, size, Webhook::view),
        }
    }
}

fn taken<T: Listed>(
    all: &[T],
    cursor: &Cursor,
    size: usize,
    view: impl Fn(&T) -> Value,
) -> (Vec<Value>, Option<u64>) {
    let is_on = |item: &&T| {
        let entry = item.entry();
        entry.number > cursor.after && cursor.filter.takes(&entry)
    };
    let mut found = all.iter().filter(is_on);
    let page: Vec<&T> = found.by_ref().take(size).collect();
    let last = found.next().and(page.last()).map(|item| item.entry().number);
    (page.into_iter().map(view).collect(), last)
}

/// What lists go by.
trait Listed {
    fn entry(&self) -> Entry<'_>;
}

impl Entry<'_> {
    fn plain(number: u64, at: Timestamp) -> Self {
        Self { number, at, user: None, source: None, file_type: None }
    }
}

impl Listed for Webhook {
    fn entry(&self) -> Entry<'_> {
        Entry::plain(self.number, self.created_at)
    }
}

impl Listed for User {
    fn entry(&self) -> Entry<'_> {
        Entry::plain(self.number, self.created_at)
    }
}

impl Listed for Account {
    fn entry(&self) -> Entry<'_> {
        // By the day of linking, or of creation while it is not linked.
        let at = self.linked_at.unwrap_or(self.created_at);
        Entry { user: Some(&self.user), ..Entry::plain(self.number, at) }
    }
}

impl Listed for Task {
    fn entry(&self) -> Entry<'_> {
        let plain = Entry::plain(self.number, self.started_at);
        Entry { user: Some(&self.user), source: Some(&self.source), ..plain }
    }
}

impl Listed for Archive {
    fn entry(&self) -> Entry<'_> {
        let plain = Entry::plain(self.number, self.created_at);
        Entry { user: Some(&self.user), file_type: Some(&self.file_type), ..plain }
    }
}

impl Listed for Invite {
    fn entry(&self) -> Entry<'_> {
        Entry::plain(self.number, self.created_at)
    }
}
