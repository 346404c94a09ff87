//! Entity tags (RFC 9110, section 8.8.3): what a representation is known by, and whether the caller has it.

use crate::state::BodyHash;

/// The tag of these bytes, in its quotation marks: the same as long as they are.
pub fn of(bytes: &[u8]) -> String {
    format!("\"{}\"", &BodyHash::of(bytes).as_str()[..32])
}

/// Whether any value of `If-None-Match` names this tag, compared weakly (RFC 9110, section 13.1.2).
pub fn is_named<'a>(values: impl IntoIterator<Item = &'a str>, tag: &str) -> bool {
    let mut tags = values.into_iter().flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_named_weakly_or_by_a_star() {
        let tag = of(b"");
        assert_eq!(tag, "\"e3b0c44298fc1c149afbf4c8996fb924\"");
        let weak = format!("\"x\", W/{tag}");
        for named in [tag.as_str(), "*", &weak] {
            assert!(is_named([named], &tag), "{named}");
        }
        assert!(!is_named(["\"x\"", "e3b0c44298fc1c149afbf4c8996fb924"], &tag) && !is_named([], &tag));
    }
}
