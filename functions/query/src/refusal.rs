//! Why there is no answer, in words and status. Nothing of a request is quoted.

use shared::id::MAX_ID_BYTES;
use shared::problem::Problem;

use crate::operation::ID;
use crate::parameters::{LIMIT_DEFAULT, LIMIT_MAX};

/// The most bytes that an answer may have when Lambda hands it over: its limit is 6 MB (AWS Lambda, "quotas"),
/// and answer and headers are one JSON document there.
pub const MAX_ANSWER_BYTES: usize = 5_900_000;

/// After this many seconds it is worth trying again.
pub const WAIT: u64 = 5;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No such path.
    NoRoute,
    /// The path is there, for `GET` alone.
    NotGet,
    /// What stands in path or query is no UTF-8, percent-encoded.
    NotUtf8,
    /// An id that is empty or too long.
    Id,
    /// An id that a path cannot carry.
    IdInPath,
    /// The query has no id; under which name it should be there.
    IdMissing(&'static str),
    /// A parameter that this operation has not; these it has.
    UnknownParameter(&'static [&'static str]),
    /// A parameter stands there twice.
    Repeated,
    /// No number of entries.
    Limit,
    /// A cursor that is not one of this list.
    Cursor,
    /// No type.
    Type,
    /// No source.
    Source,
    /// No instant; which parameter.
    Time(&'static str),
    /// No day.
    Day,
    /// Neither yes nor no.
    Body,
    /// The caller may read, but no bodies.
    ScopeMissing,
    /// Nothing is known under this id.
    NotFound,
    /// There is more than an answer can carry.
    TooLarge,
    /// The table does not answer, or not in time.
    Unavailable,
}

impl Refusal {
    /// One of each, for the document and for tests.
    pub const ALL: &'static [Self] = &[
        Self::NoRoute,
        Self::NotGet,
        Self::NotUtf8,
        Self::Id,
        Self::IdInPath,
        Self::IdMissing(ID),
        Self::UnknownParameter(&[]),
        Self::Repeated,
        Self::Limit,
        Self::Cursor,
        Self::Type,
        Self::Source,
        Self::Time("from"),
        Self::Day,
        Self::Body,
        Self::ScopeMissing,
        Self::NotFound,
        Self::TooLarge,
        Self::Unavailable,
    ];

    /// The status for each refusal: the one place that decides it.
    pub fn status(self) -> u16 {
        match self {
            Self::NotUtf8
            | Self::Id
            | Self::IdInPath
            | Self::IdMissing(_)
            | Self::UnknownParameter(_)
            | Self::Repeated
            | Self::Limit
            | Self::Cursor
            | Self::Type
            | Self::Source
            | Self::Time(_)
            | Self::Day
            | Self::Body => 400,
            Self::ScopeMissing => 403,
            Self::NoRoute | Self::NotFound => 404,
            Self::NotGet => 405,
            Self::TooLarge => 422,
            Self::Unavailable => 503,
        }
    }

    /// The code that programs go by.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoRoute => "no_such_path",
            Self::NotGet => "method_not_allowed",
            Self::NotUtf8 => "bad_encoding",
            Self::Id => "bad_id",
            Self::IdInPath => "id_in_path",
            Self::IdMissing(_) => "missing_id",
            Self::UnknownParameter(_) => "unknown_parameter",
            Self::Repeated => "repeated_parameter",
            Self::Limit => "bad_limit",
            Self::Cursor => "bad_cursor",
            Self::Type => "bad_type",
            Self::Source => "bad_source",
            Self::Time(_) => "bad_time",
            Self::Day => "bad_day",
            Self::Body => "bad_body",
            Self::ScopeMissing => "scope_missing",
            Self::NotFound => "not_found",
            Self::TooLarge => "too_large",
            Self::Unavailable => "unavailable",
        }
    }

    fn detail(self) -> String {
        let detail = match self {
            Self::NoRoute => "There is no such path. GET /v1/openapi.json says which there are.",
            Self::NotGet => "This path takes GET alone.",
            Self::NotUtf8 => "Path and query must be UTF-8, percent-encoded.",
            Self::Id => return format!("An id has 1 to {MAX_ID_BYTES} characters."),
            Self::IdInPath => {
                "A path cannot carry an id with a slash or a percent sign. Give it in the query, such as /v1/users?id=a%2Fb."
            }
            Self::IdMissing(name) => return format!("The query must have the parameter {name}."),
            Self::UnknownParameter([]) => "This path takes no parameters.",
            Self::UnknownParameter(known) => {
                return format!("A parameter is not known here. Known are: {}.", known.join(", "));
            }
            Self::Repeated => "A parameter may stand there once.",
            Self::Limit => {
                return format!(
                    "limit must be a whole number from 1 to {LIMIT_MAX}; it is {LIMIT_DEFAULT} when left out."
                );
            }
            Self::Cursor => {
                "after must be what next was in an answer to this same path with these same parameters, but for limit."
            }
            Self::Type => return format!("type must be an event type, of 1 to {MAX_ID_BYTES} characters."),
            Self::Source => "source must be webhook, reconcile or callback.",
            Self::Time(name) => {
                return format!(
                    "{name} must be a time as in RFC 3339, such as 2026-03-01T10:00:00Z (a plus sign is %2B)."
                );
            }
            Self::Day => "day must be a date, such as 2026-03-01.",
            Self::Body => "body must be true or false.",
            Self::ScopeMissing => {
                "Bodies need a scope of their own, which the stack's parameter JwtBodiesScope names."
            }
            Self::NotFound => "Nothing is known under this id.",
            Self::TooLarge => {
                "There is more of this than an answer can carry. The operator's tool, smile show, reads it."
            }
            Self::Unavailable => "The table cannot be read just now. Try again.",
        };
        detail.to_owned()
    }

    /// The body of the answer.
    pub fn problem(self) -> Problem {
        Problem::new(self.status(), self.code(), self.detail())
    }
}
