//! Lists, page by page, as one iterator.
//!
//! The cursor moves on only when a page has been read, so that [`Items::cursor`] is a place to begin again
//! from. An entry that cannot be read is one error; the list goes on behind it. A page that cannot be had
//! is the last thing that comes.

use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::vec;

use jiff::civil::Date;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Client;
use super::error::Error;
use super::exchange::{Answer, Call, Method};
use crate::id::UserId;

/// The most entries that Smile puts on a page.
pub const LARGEST_PAGE: u8 = 150;

/// What to list. Smile's days are whole days of creation, both ends included; for accounts, of linking.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this user. Not for users.
    pub user: Option<UserId>,
    /// From this day on.
    pub from: Option<Date>,
    /// To this day, included.
    pub to: Option<Date>,
    /// Of this account or archive. Only for tasks.
    pub source: Option<String>,
    /// Of this type, such as `PAYSLIP`. Only for archives.
    pub file_type: Option<String>,
}

impl Filter {
    /// Everything of one user.
    pub fn of_user(user: UserId) -> Self {
        Self { user: Some(user), ..Self::default() }
    }

    /// Everything from one day to another, both included.
    pub fn between(from: Date, to: Date) -> Self {
        Self { from: Some(from), to: Some(to), ..Self::default() }
    }

    pub(super) fn days(&self) -> Vec<(&'static str, String)> {
        let day = |name, date: Option<Date>| date.map(|date| (name, date.to_string()));
        [day("startDate", self.from), day("endDate", self.to)].into_iter().flatten().collect()
    }

    pub(super) fn user_and_days(&self) -> Vec<(&'static str, String)> {
        let user = self.user.as_ref().map(|user| ("userId", user.to_string()));
        user.into_iter().chain(self.days()).collect()
    }
}

/// The entries of a list. Asks for the next page when it is needed.
pub struct Items<'a, T> {
    client: &'a Client,
    name: &'static str,
    path: &'static str,
    query: Vec<(&'static str, String)>,
    size: u8,
    cursor: Option<String>,
    seen: BTreeSet<String>,
    is_over: bool,
    answer: Option<Answer>,
    page: vec::IntoIter<Box<RawValue>>,
    of: PhantomData<fn() -> T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    items: Vec<Box<RawValue>>,
    #[serde(default)]
    next_cursor: Option<String>,
}

impl<'a, T> Items<'a, T> {
    pub(super) fn new(
        client: &'a Client,
        name: &'static str,
        path: &'static str,
        query: Vec<(&'static str, String)>,
    ) -> Self {
        Self {
            client,
            name,
            path,
            query,
            size: LARGEST_PAGE,
            cursor: None,
            seen: BTreeSet::new(),
            is_over: false,
            answer: None,
            page: Vec::new().into_iter(),
            of: PhantomData,
        }
    }

    /// Asks for pages of this size, 1 to [`LARGEST_PAGE`], which is the default.
    #[must_use]
    pub fn size(mut self, size: u8) -> Self {
        self.size = size.clamp(1, LARGEST_PAGE);
        self
    }

    /// Begins where an earlier list had come to.
    #[must_use]
    pub fn starting_at(mut self, cursor: String) -> Self {
        self.cursor = Some(cursor);
        self
    }

    /// Where the next page begins; none before the first page and after the last.
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// Gets the next page.
    fn turn(&mut self) -> Result<(), Error> {
        // Over, unless this page says otherwise.
        self.is_over = true;
        let mut call = Call::new(self.name, Method::Get, self.path.to_owned());
        call.query.clone_from(&self.query);
        call.query.push(("size", self.size.to_string()));
        call.query.extend(self.cursor.clone().map(|cursor| ("cursor", cursor)));
        let answer = self.client.exchange.call(&call)?;
        let page: Page = answer.data()?;
        self.page = page.items.into_iter();
        let next = page.next_cursor.filter(|cursor| !cursor.is_empty());
        if let Some(next) = &next {
            if !self.seen.insert(next.clone()) {
                return Err(answer.unreadable("nextCursor, which leads back".to_owned()));
            }
            self.is_over = false;
        }
        self.cursor = next;
        self.answer = Some(answer);
        Ok(())
    }
}

impl<T: for<'de> Deserialize<'de>> Iterator for Items<'_, T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.page.next() {
                let answer = self.answer.as_ref()?;
                return Some(serde_json::from_str(item.get()).map_err(|error| {
                    let place = format!("an entry's line {}, column {}", error.line(), error.column());
                    answer.unreadable(place)
                }));
            }
            if self.is_over {
                return None;
            }
            if let Err(error) = self.turn() {
                self.page = Vec::new().into_iter();
                return Some(Err(error));
            }
        }
    }
}
