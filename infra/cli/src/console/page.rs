//! The files of the page, and what it may load. None of them holds anything secret: data come with the key.

use crate::loopback::{Answer, origin};

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// A file of the page, by its path.
pub(super) fn file(path: &str) -> Option<Answer> {
    let (kind, text) = match path {
        "/" => ("text/html; charset=utf-8", include_str!("page/index.html")),
        "/console.css" => ("text/css; charset=utf-8", include_str!("page/console.css")),
        "/console.js" => (SCRIPT, include_str!("page/console.js")),
        "/api.js" => (SCRIPT, include_str!("page/api.js")),
        "/dom.js" => (SCRIPT, include_str!("page/dom.js")),
        "/act.js" => (SCRIPT, include_str!("page/act.js")),
        "/event.js" => (SCRIPT, include_str!("page/event.js")),
        "/feed.js" => (SCRIPT, include_str!("page/feed.js")),
        "/health.js" => (SCRIPT, include_str!("page/health.js")),
        "/mask.js" => (SCRIPT, include_str!("page/mask.js")),
        "/operate.js" => (SCRIPT, include_str!("page/operate.js")),
        "/state.js" => (SCRIPT, include_str!("page/state.js")),
        "/timeline.js" => (SCRIPT, include_str!("page/timeline.js")),
        _ => return None,
    };
    Some(Answer::file(kind, text))
}

/// What the page may load and ask: itself, and in a frame the customer's site. Nobody may frame it.
pub(super) fn policy(site: Option<&str>) -> String {
    let frames = site.and_then(origin).unwrap_or("'none'");
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; frame-src {frames}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_only_files_that_are_there() {
        let mut named = 0;
        for path in ["/", "/console.js", "/operate.js", "/timeline.js", "/feed.js", "/event.js", "/act.js"] {
            let text = String::from_utf8(file(path).unwrap().body.to_vec()).unwrap();
            assert!(!text.contains("https://") && !text.contains("@import"), "{path}");
            let is_file = |path: &&str| [".js", ".css"].iter().any(|kind| path.ends_with(kind));
            let paths = text.split(['"', '\'']).filter(is_file);
            for path in paths {
                assert!(file(path.trim_start_matches('.')).is_some(), "{path}");
                named += 1;
            }
        }
        assert!(named > 10, "{named}");
    }

    #[test]
    fn only_the_site_is_framed() {
        assert!(policy(None).contains("frame-src 'none';"));
        assert!(policy(Some("http://127.0.0.1:4570")).contains("frame-src http://127.0.0.1:4570;"));
        assert!(!policy(None).contains("unsafe"));
    }
}
