//! What can be asked for, and by which path.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::refusal::Refusal;

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident = $path:literal,)*) => {
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

            /// Its name, for logs.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }
    };
}

operations! {
    /// The OpenAPI document.
    OpenApi = "/v1/openapi.json",
    /// Everything known of a user.
    User = "/v1/users/{id}",
    /// The events of a user.
    UserEvents = "/v1/users/{id}/events",
    /// An account by its own id.
    Account = "/v1/accounts/{id}",
    /// An archive by its own id.
    Archive = "/v1/archives/{id}",
    /// An invite by its own id.
    Invite = "/v1/invites/{id}",
    /// A record.
    Record = "/v1/records/{id}",
    /// A verification.
    Verification = "/v1/verifications/{id}",
    /// All events by the time at which they were stored.
    Events = "/v1/events",
    /// One event.
    Event = "/v1/events/{id}",
    /// What lies in quarantine.
    Quarantine = "/v1/quarantine",
}

/// How the place of an id is written in a path.
const ID: &str = "{id}";

impl Operation {
    /// The operation, and the id in its path; an empty one where it has none. `route` is the one that the gateway has
    /// found: it decodes a path before it hands it over, so that a slash can belong to an id. What has no routes
    /// hands the path over as it came.
    pub fn find<'a>(route: Option<&str>, path: &'a str) -> Result<(Self, Cow<'a, str>), Refusal> {
        let route = route.filter(|route| *route != "$default").and_then(|route| route.split(' ').nth(1));
        if let Some(route) = route {
            let operation = Self::ALL.iter().find(|operation| operation.path() == route);
            let found = operation.and_then(|operation| Some((*operation, operation.id_in(path)?.into())));
            return found.ok_or(Refusal::NoRoute);
        }
        let found = Self::ALL.iter().find_map(|operation| {
            let id = operation.id_in(path).filter(|id| !id.contains('/'))?;
            Some((*operation, id))
        });
        let (operation, id) = found.ok_or(Refusal::NoRoute)?;
        Ok((operation, percent_decode_str(id).decode_utf8().map_err(|_| Refusal::NotUtf8)?))
    }

    /// The id in a path, an empty one where its form has none; `None` when it is not this path.
    fn id_in(self, path: &str) -> Option<&str> {
        match self.path().split_once(ID) {
            None => (path == self.path()).then_some(""),
            Some((before, after)) => {
                let id = path.strip_prefix(before)?.strip_suffix(after)?;
                (!id.is_empty()).then_some(id)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(route: &str, path: &str) -> Result<(Operation, String), Refusal> {
        let route = Some(route).filter(|route| !route.is_empty());
        Operation::find(route, path).map(|(operation, id)| (operation, id.into_owned()))
    }

    #[test]
    fn paths_lead_to_operations() {
        for (path, operation, id) in [
            ("/v1/openapi.json", Operation::OpenApi, ""),
            ("/v1/users/u-1", Operation::User, "u-1"),
            ("/v1/users/a%2Fb%20%C3%A9", Operation::User, "a/b é"),
            ("/v1/users/u-1/events", Operation::UserEvents, "u-1"),
            ("/v1/users/events", Operation::User, "events"),
            ("/v1/events", Operation::Events, ""),
            ("/v1/events/et-1", Operation::Event, "et-1"),
            ("/v1/quarantine", Operation::Quarantine, ""),
        ] {
            for route in ["", "$default"] {
                assert_eq!(find(route, path), Ok((operation, id.to_owned())), "{path}");
            }
        }
        for path in
            ["", "/", "/v1", "/v1/users", "/v1/users/", "/v1/users/a/b", "/v1/users//events", "/v1/events/"]
        {
            assert_eq!(find("", path), Err(Refusal::NoRoute), "{path}");
        }
        assert_eq!(find("", "/v1/users/%ff"), Err(Refusal::NotUtf8));
    }

    #[test]
    fn what_the_gateway_has_decoded_stays_as_it_is() {
        let user = "GET /v1/users/{id}";
        assert_eq!(find(user, "/v1/users/50%25"), Ok((Operation::User, "50%25".to_owned())));
        assert_eq!(find(user, "/v1/users/a/events"), Ok((Operation::User, "a/events".to_owned())));
        let events = "GET /v1/users/{id}/events";
        assert_eq!(find(events, "/v1/users/a/b/events"), Ok((Operation::UserEvents, "a/b".to_owned())));
        assert_eq!(find("GET /v1/other", "/v1/other"), Err(Refusal::NoRoute));
    }
}
