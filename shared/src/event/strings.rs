//! Every text and number of a body, wherever it stands: what a revoked id is looked for in when the shape of an
//! event is not understood.

use std::collections::BTreeSet;

use super::member::Name;
use crate::id::MAX_ID_BYTES;

/// How many texts that contain JSON are opened inside each other.
const MAX_DEPTH: u8 = 3;

/// Every text (names of members included) and every number of 1 to 256 bytes in a JSON text, at any depth, and
/// inside texts that contain JSON. The structure is not read, so that any depth and any shape will do.
pub fn strings(json: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect(json, MAX_DEPTH, &mut found);
    found
}

fn collect(json: &str, depth: u8, found: &mut BTreeSet<String>) {
    let bytes = json.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let end = match byte {
            b'"' => text_end(bytes, at),
            b'-' | b'0'..=b'9' => number_end(bytes, at),
            _ => {
                at += 1;
                continue;
            }
        };
        let token = &json[at..end];
        at = end;
        let text = if *byte == b'"' { unescaped(token) } else { token.to_owned() };
        if depth > 0 && text.contains('"') {
            collect(&text, depth - 1, found);
        }
        if (1..=MAX_ID_BYTES).contains(&text.len()) {
            found.insert(text);
        }
    }
}

/// Where the text that begins at `start` ends, its closing quote included.
fn text_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn number_end(bytes: &[u8], start: usize) -> usize {
    let length = bytes[start..].iter().take_while(|byte| b"+-.eE0123456789".contains(byte)).count();
    start + length
}

/// The text of a token; half a character in it makes no difference to the rest.
fn unescaped(token: &str) -> String {
    let text = serde_json::from_str::<Name<'_>>(token).map(|Name(text)| text.into_owned());
    text.unwrap_or_else(|_| token.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_and_number_is_found() {
        let json = r#"{"a-1":["b\u002d2",{"x":-1.5e3}],"c":"{\"d\":\"e\"}","\ud800f":7,"":null}"#;
        let found = strings(json);
        for expected in ["a-1", "b-2", "x", "-1.5e3", "c", "d", "e", "7"] {
            assert!(found.contains(expected), "{expected}: {found:?}");
        }
    }

    #[test]
    fn half_a_character_hides_nothing() {
        assert!(strings(r#"{"data":"{\"sourceId\":\"a-1\",\"x\":\"\ud800\"}"}"#).contains("a-1"));
    }

    #[test]
    fn any_depth_and_any_text_is_read() {
        let deep = format!("{}\"a-1\"{}", "[".repeat(200_000), "]".repeat(200_000));
        assert!(strings(&deep).contains("a-1"));
        for odd in ["", "\"", "\"\\", "{\"a", "\u{e9}\"\u{e9}\"", "\"\\\u{e9}"] {
            strings(odd);
        }
    }
}
