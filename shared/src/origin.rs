//! Which pages may send and listen: their origins, compared letter by letter.

use std::net::Ipv6Addr;

/// The origins that may.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins(Vec<String>);

impl Origins {
    /// The listed origin that a request's `Origin` header names.
    pub fn find(&self, header: &str) -> Option<&str> {
        self.0.iter().map(String::as_str).find(|origin| *origin == header)
    }
}

impl std::str::FromStr for Origins {
    type Err = String;

    fn from_str(list: &str) -> Result<Self, Self::Err> {
        let origins = list.split(',').filter(|origin| !origin.is_empty());
        let check = |origin: &str| {
            is_origin(origin).then(|| origin.to_owned()).ok_or_else(|| {
                format!("{origin:?} is no origin; write scheme://host or scheme://host:port, in lower case, or null")
            })
        };
        origins.map(check).collect::<Result<_, _>>().map(Self)
    }
}

/// Whether a browser or a web view writes an origin like this (RFC 6454, section 6.2): no path, no upper case. `null` is
/// the origin of pages from a file. Any scheme will do, since an app chooses its own: pages of hybrid apps have origins
/// such as `capacitor://localhost` and `ionic://localhost` (Ionic, "CORS Errors").
fn is_origin(text: &str) -> bool {
    text == "null"
        || text
            .split_once("://")
            .is_some_and(|(scheme, authority)| is_scheme(scheme) && is_authority(authority))
}

/// RFC 3986, section 3.1, in lower case.
fn is_scheme(text: &str) -> bool {
    let is_later = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '+' | '-' | '.');
    text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(is_later)
}

fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-');
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_host = match address {
        Some(address) => address.parse::<Ipv6Addr>().is_ok() && !address.contains(char::is_uppercase),
        None => !host.is_empty() && host.chars().all(is_name),
    };
    is_host && port.is_none_or(|port| port.parse::<u16>().is_ok() && !port.starts_with('+'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_exact() {
        let list: Origins =
            "https://app.example.com,http://localhost:3000,http://[::1]:3000,null".parse().unwrap();
        for good in ["https://app.example.com", "http://localhost:3000", "http://[::1]:3000", "null"] {
            assert_eq!(list.find(good), Some(good));
        }
        for foreign in [
            "https://app.example.com.evil.example",
            "https://evil.example",
            "http://app.example.com",
            "https://app.example.com:8443",
            "https://APP.example.com",
            "https://app.example.com/",
            "",
            "*",
        ] {
            assert_eq!(list.find(foreign), None, "{foreign}");
        }
        assert_eq!("".parse::<Origins>().unwrap().find("null"), None);
    }

    #[test]
    fn hybrid_apps_are_listed_by_their_own_scheme() {
        let listed =
            ["capacitor://localhost", "ionic://localhost", "app://com.example.lender", "tauri://localhost"];
        let list: Origins = listed.join(",").parse().unwrap();
        for good in listed {
            assert_eq!(list.find(good), Some(good));
        }
        // The scheme is part of the origin: the same host by another scheme is another page.
        for foreign in ["http://localhost", "https://localhost", "capacitor://evil", "capacitor://localhost/"]
        {
            assert_eq!(list.find(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused_at_the_start() {
        for wrong in [
            "*",
            "app.example.com",
            "https://App.example.com",
            "https://a.example/x",
            "://a.example",
            "1app://localhost",
            "Capacitor://localhost",
            "capacitor://Localhost",
            "capacitor:localhost",
            "capacitor://",
            "file:///",
            "a b://localhost",
            "capacitor://localhost/index.html",
            "https://u@a.example",
            "https://",
            "https://a.example:",
            "https://a.example:65536",
            "https://a.example:+80",
            "https://a b.example",
            "https://[::1",
            "https://[a.example]",
            "https://[::FF]",
        ] {
            assert!(wrong.parse::<Origins>().is_err(), "{wrong}");
        }
    }
}
