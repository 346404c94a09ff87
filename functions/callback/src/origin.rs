//! Which pages may send: their origins, compared letter by letter.

use lambda_http::http::Uri;

/// The origins that may send.
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

/// As browsers write them (RFC 6454, section 6.2): no path, no upper case; `null` is what pages of a file say.
fn is_origin(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    let whole = || {
        let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
        let is_web = matches!(scheme, "https" | "http") && !authority.as_str().contains('@');
        (is_web && text == format!("{scheme}://{authority}") && text == text.to_ascii_lowercase())
            .then_some(())
    };
    text == "null" || whole().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_exact() {
        let list: Origins = "https://app.example.com,http://localhost:3000,null".parse().unwrap();
        for good in ["https://app.example.com", "http://localhost:3000", "null"] {
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
    fn what_is_no_origin_is_refused_at_the_start() {
        for wrong in [
            "*",
            "app.example.com",
            "https://App.example.com",
            "https://a.example/x",
            "ftp://a.example",
            "https://u@a.example",
            "https://",
        ] {
            assert!(wrong.parse::<Origins>().is_err(), "{wrong}");
        }
    }
}
