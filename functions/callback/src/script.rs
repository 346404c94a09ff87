//! The scripts that pages load, `wink-events` and `wink-live`, each in two builds. They are public code: any page may
//! have them.

use std::sync::LazyLock;

use lambda_http::http::{HeaderName, header};
use lambda_http::{Body, Request};
use shared::etag;

/// One build of a script.
#[derive(Debug)]
pub struct File {
    path: &'static str,
    plain: &'static str,
    packed: &'static [u8],
    tag: LazyLock<String>,
}

macro_rules! dist {
    ($name:literal) => {
        File {
            path: concat!("/v1/", $name),
            plain: include_str!(concat!("../wink-events/dist/", $name)),
            packed: include_bytes!(concat!("../wink-events/dist/", $name, ".gz")),
            tag: LazyLock::new(|| etag::of(include_bytes!(concat!("../wink-events/dist/", $name)))),
        }
    };
}

static FILES: [File; 4] =
    [dist!("wink-events.js"), dist!("wink-events.mjs"), dist!("wink-live.js"), dist!("wink-live.mjs")];

/// How long a browser keeps it, in seconds: an hour, after which it asks whether it is still the same.
const MAX_AGE: &str = "public, max-age=3600";

/// The build at this path.
pub fn find(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}

/// What a request for it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    takes_gzip: bool,
    has: Vec<String>,
}

impl Wanted {
    /// Reads `Accept-Encoding` and `If-None-Match`.
    pub fn of(request: &Request) -> Self {
        let all = |name: HeaderName| {
            let values = request.headers().get_all(name).iter().filter_map(|value| value.to_str().ok());
            values.flat_map(|value| value.split(',')).map(|part| part.trim().to_owned()).collect::<Vec<_>>()
        };
        let is_gzip = |coding: &String| {
            let mut parts = coding.split(';').map(str::trim);
            let refused = coding.contains("q=0") && !coding.contains("q=0.");
            parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip")) && !refused
        };
        Self { takes_gzip: all(header::ACCEPT_ENCODING).iter().any(is_gzip), has: all(header::IF_NONE_MATCH) }
    }

    /// Whether the browser has this build already.
    pub fn has(&self, file: &File) -> bool {
        etag::is_named(self.has.iter().map(String::as_str), &file.tag)
    }
}

impl File {
    pub(crate) fn headers(&self, wanted: &Wanted, mut set: impl FnMut(HeaderName, &str)) {
        // Both encodings share the tag, hence weak.
        set(header::ETAG, &format!("W/{}", *self.tag));
        set(header::CACHE_CONTROL, MAX_AGE);
        set(header::VARY, "Accept-Encoding");
        // Integrity is only checked of what may be read.
        set(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
        set(HeaderName::from_static("cross-origin-resource-policy"), "cross-origin");
        if !wanted.has(self) {
            set(header::CONTENT_TYPE, "text/javascript; charset=utf-8");
            if wanted.takes_gzip {
                set(header::CONTENT_ENCODING, "gzip");
            }
        }
    }

    pub(crate) fn body(&self, wanted: &Wanted) -> Body {
        match (wanted.has(self), wanted.takes_gzip) {
            (true, _) => Body::Empty,
            (false, true) => Body::Binary(self.packed.to_vec()),
            (false, false) => Body::Text(self.plain.to_owned()),
        }
    }
}
