//! What can be asked for, and by which path.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::refusal::Refusal;

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident = $path:literal $(or $by_query:literal)?,)*) => {
        /// One operation of the API. All are `GET`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Operation {
            $($(#[$doc])* $name,)*
        }

        impl Operation {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its path, as the gateway's routes and the OpenAPI document have it.
            pub const fn path(self) -> &'static str {
                match self {
                    $(Self::$name => $path,)*
                }
            }

            /// The path that takes the same id in the query, as the parameter [`ID`]: for ids that a path cannot carry.
            pub const fn by_query(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => operations!(@optional $($by_query)?),)*
                }
            }

            /// Its name, for logs.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }
    };
    (@optional) => { None };
    (@optional $path:literal) => { Some($path) };
}

operations! {
    /// The OpenAPI document.
    OpenApi = "/v1/openapi.json",
    /// Everything known of a user.
    User = "/v1/users/{id}" or "/v1/users",
    /// The events of a user.
    UserEvents = "/v1/timeline",
    /// An account by its own id.
    Account = "/v1/accounts/{id}" or "/v1/accounts",
    /// An archive by its own id.
    Archive = "/v1/archives/{id}" or "/v1/archives",
    /// An invite by its own id.
    Invite = "/v1/invites/{id}" or "/v1/invites",
    /// A record.
    Record = "/v1/records/{id}" or "/v1/records",
    /// A verification.
    Verification = "/v1/verifications/{id}" or "/v1/verifications",
    /// All events by the time at which they were stored.
    Events = "/v1/events",
    /// One event.
    Event = "/v1/events/{id}" or "/v1/event",
    /// What lies in quarantine.
    Quarantine = "/v1/quarantine",
}

/// The query's parameter that carries an id.
pub const ID: &str = "id";

/// The query's parameter that carries the id of the user whose events are asked for.
pub const USER: &str = "user";

/// How the place of an id is written in a path.
const IN_PATH: &str = "{id}";

/// Where a request has its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdPlace<'a> {
    /// This operation takes none.
    Nowhere,
    /// In the path, decoded.
    Path(Cow<'a, str>),
    /// In the query, as this parameter.
    Query(&'static str),
}

impl Operation {
    /// Both of its paths, or the one that it has.
    pub fn paths(self) -> impl Iterator<Item = &'static str> {
        [Some(self.path()), self.by_query()].into_iter().flatten()
    }

    /// The operation, and where its id is. `route` is the route that the gateway has chosen.
    ///
    /// An HTTP API decodes a path before it chooses the route, and hands it over decoded, `%25` excepted. So a slash may
    /// have been `%2F`, and a percent sign cannot be decoded with certainty: an id with one of them is refused here
    /// rather than taken for another id. No route has a second part after an id, so that no id can lead to another
    /// route. What has no routes, such as a function URL, hands the path over as it came.
    pub fn find<'a>(route: Option<&str>, path: &'a str) -> Result<(Self, IdPlace<'a>), Refusal> {
        let route = route.filter(|route| *route != "$default").and_then(|route| route.split(' ').nth(1));
        let asked = route.unwrap_or(path);
        if let Some(operation) = Self::ALL.iter().find(|operation| operation.by_query() == Some(asked)) {
            return Ok((*operation, IdPlace::Query(ID)));
        }
        if asked == Self::UserEvents.path() {
            return Ok((Self::UserEvents, IdPlace::Query(USER)));
        }
        let is_routed = |operation: &&Self| route.is_none_or(|route| operation.path() == route);
        let found = Self::ALL.iter().filter(is_routed).find_map(|operation| {
            let id = operation.id_in(path).filter(|id| route.is_some() || !id.contains('/'))?;
            Some((*operation, id))
        });
        let (operation, id) = found.ok_or(Refusal::NoRoute)?;
        let place = match id {
            "" => IdPlace::Nowhere,
            id if route.is_none() => {
                IdPlace::Path(percent_decode_str(id).decode_utf8().map_err(|_| Refusal::NotUtf8)?)
            }
            id if id.contains(['/', '%']) => return Err(Refusal::IdInPath),
            id => IdPlace::Path(id.into()),
        };
        Ok((operation, place))
    }

    /// The id in a path, an empty one where its form has none; `None` when it is not this path.
    fn id_in(self, path: &str) -> Option<&str> {
        match self.path().strip_suffix(IN_PATH) {
            None => (path == self.path()).then_some(""),
            Some(before) => path.strip_prefix(before).filter(|id| !id.is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find<'a>(route: &str, path: &'a str) -> Result<(Operation, IdPlace<'a>), Refusal> {
        Operation::find(Some(route).filter(|route| !route.is_empty()), path)
    }

    fn in_path(id: &str) -> IdPlace<'_> {
        IdPlace::Path(id.into())
    }

    #[test]
    fn paths_lead_to_operations() {
        for (path, operation, place) in [
            ("/v1/openapi.json", Operation::OpenApi, IdPlace::Nowhere),
            ("/v1/users/u-1", Operation::User, in_path("u-1")),
            ("/v1/users/a%2Fb%20%C3%A9%2525", Operation::User, in_path("a/b é%25")),
            ("/v1/users/x%2Fevents", Operation::User, in_path("x/events")),
            ("/v1/users/events", Operation::User, in_path("events")),
            ("/v1/users", Operation::User, IdPlace::Query("id")),
            ("/v1/timeline", Operation::UserEvents, IdPlace::Query("user")),
            ("/v1/events", Operation::Events, IdPlace::Nowhere),
            ("/v1/events/et-1", Operation::Event, in_path("et-1")),
            ("/v1/event", Operation::Event, IdPlace::Query("id")),
            ("/v1/quarantine", Operation::Quarantine, IdPlace::Nowhere),
        ] {
            for route in ["", "$default"] {
                assert_eq!(find(route, path), Ok((operation, place.clone())), "{path}");
            }
        }
        for path in ["", "/", "/v1", "/v1/users/", "/v1/users/a/b", "/v1/users/a/events", "/v1/events/"] {
            assert_eq!(find("", path), Err(Refusal::NoRoute), "{path}");
        }
        assert_eq!(find("", "/v1/users/%ff"), Err(Refusal::NotUtf8));
    }

    #[test]
    fn a_route_decides_and_an_id_that_may_have_been_decoded_is_refused() {
        let user = "GET /v1/users/{id}";
        assert_eq!(find(user, "/v1/users/ü ?"), Ok((Operation::User, in_path("ü ?"))));
        for id in ["50%25", "50%", "%41", "a/events", "a/b"] {
            assert_eq!(find(user, &format!("/v1/users/{id}")), Err(Refusal::IdInPath), "{id}");
        }
        assert_eq!(find("GET /v1/users", "/v1/users"), Ok((Operation::User, IdPlace::Query("id"))));
        let timeline = Ok((Operation::UserEvents, IdPlace::Query("user")));
        assert_eq!(find("GET /v1/timeline", "/v1/timeline"), timeline);
        assert_eq!(find(user, "/v1/events/x"), Err(Refusal::NoRoute));
        assert_eq!(find("GET /v1/other", "/v1/other"), Err(Refusal::NoRoute));
    }

    /// A gateway that decodes before it chooses a route must not find another one.
    #[test]
    fn no_id_leads_to_another_route() {
        let paths: Vec<&str> = Operation::ALL.iter().flat_map(|operation| operation.paths()).collect();
        for with_id in paths.iter().filter(|path| path.contains('{')) {
            let before = with_id.strip_suffix(IN_PATH).expect("an id is the last part of its path");
            for other in paths.iter().filter(|other| *other != with_id) {
                assert!(!other.starts_with(before), "{other} is {with_id} with an id");
            }
        }
    }
}
