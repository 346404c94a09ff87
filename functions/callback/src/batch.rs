//! A batch as browsers send it: `{"callbacks":[…]}`, 1 to 50 items.

use serde::Deserialize;
use serde_json::value::RawValue;

/// The most items of a batch.
pub const MAX_ITEMS: usize = 50;

/// Why a batch cannot be read at all. Says where, never what stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadBatch {
    /// Not JSON, or not this object.
    #[error(
        "the body must be JSON, {{\"callbacks\":[…]}}; what is wrong stands at line {line}, column {column}"
    )]
    Shape {
        /// Line of the first error, from 1.
        line: usize,
        /// Column of the first error, from 1.
        column: usize,
    },
    /// None or too many.
    #[error("callbacks must have 1 to {MAX_ITEMS} items, not {0}")]
    Count(usize),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    #[serde(borrow)]
    callbacks: Vec<&'a RawValue>,
}

/// Takes a batch apart. Items are not read yet: one that is wrong must not spoil its neighbours.
pub fn read(body: &[u8]) -> Result<Vec<&RawValue>, BadBatch> {
    let shape = |error: serde_json::Error| BadBatch::Shape { line: error.line(), column: error.column() };
    // An array would do for a struct, too.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(BadBatch::Shape { line: 1, column: 1 });
    }
    let wire: Wire<'_> = serde_json::from_slice(body).map_err(shape)?;
    match wire.callbacks.len() {
        1..=MAX_ITEMS => Ok(wire.callbacks),
        other => Err(BadBatch::Count(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_wrong_and_where() {
        let of = |items: usize| format!(r#"{{"callbacks":[{}]}}"#, vec!["{}"; items].join(","));
        assert_eq!(read(of(50).as_bytes()).unwrap().len(), 50);
        assert_eq!(read(br#"{"callbacks":[1,"x",null,{"a":1}]}"#).unwrap().len(), 4);
        assert_eq!(read(of(0).as_bytes()).unwrap_err(), BadBatch::Count(0));
        assert_eq!(read(of(51).as_bytes()).unwrap_err(), BadBatch::Count(51));
        for (body, column) in [
            (&b""[..], 1),
            (b"[]", 1),
            (b"\xff", 1),
            (b"{}", 2),
            (br#"{"callbacks":{}}"#, 13),
            (br#"{"callbacks":[{]}"#, 16),
            (br#"{"callbacks":[],"callbacks":[]}"#, 27),
            (br#"{"callbacks":[],"__proto__":1}"#, 27),
        ] {
            let BadBatch::Shape { line, column: at } = read(body).unwrap_err() else { panic!("{body:?}") };
            assert_eq!((line, at), (1, column), "{}", String::from_utf8_lossy(body));
        }
    }
}
