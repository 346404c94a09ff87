//! Cursors: where a reader goes on, in a form that says nothing to it.
//!
//! A cursor is base64url (RFC 4648, section 5, without padding) of a version, a check and the place. The check is
//! over place and list, so that a cursor of another list, and one that was cut or altered on its way, is told
//! from a right one. It is no secret: whoever forges a cursor only chooses where to begin to read what may be read
//! anyhow. What stands in it is not taken on trust, either; see [`Place`](crate::follow::Place).

use base64_simd::URL_SAFE_NO_PAD as BASE64;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

/// This version of the form.
const VERSION: u8 = 1;

/// How many bytes of the check there are.
const CHECK: usize = 8;

/// The longest cursor that is looked at, in bytes. The longest that is made has twice an event's order, of which
/// each byte can take six in JSON.
const MAX_BYTES: usize = 8192;

/// Not a cursor, or not one of this list.
#[derive(Debug, PartialEq, Eq)]
pub struct BadCursor;

/// Makes the cursor of a place in a list.
///
/// # Panics
///
/// Never: a place is texts.
#[expect(clippy::expect_used, reason = "see above")]
pub fn encode(list: &str, place: &impl Serialize) -> String {
    let place = serde_json::to_vec(place).expect("a place is texts");
    let mut bytes = vec![VERSION];
    bytes.extend(check(list, &place));
    bytes.extend(place);
    BASE64.encode_to_string(bytes)
}

/// Reads a cursor of this list back.
pub fn decode<P: DeserializeOwned>(list: &str, cursor: &str) -> Result<P, BadCursor> {
    if cursor.len() > MAX_BYTES {
        return Err(BadCursor);
    }
    let bytes = BASE64.decode_to_vec(cursor).map_err(|_| BadCursor)?;
    // One text for each cursor: bits that nobody reads are none that may differ.
    if BASE64.encode_to_string(&bytes) != cursor {
        return Err(BadCursor);
    }
    match bytes.split_first() {
        Some((&VERSION, rest)) if rest.len() > CHECK => {
            let (checked, place) = rest.split_at(CHECK);
            if checked != check(list, place) {
                return Err(BadCursor);
            }
            serde_json::from_slice(place).map_err(|_| BadCursor)
        }
        _ => Err(BadCursor),
    }
}

fn check(list: &str, place: &[u8]) -> [u8; CHECK] {
    let hash = Sha256::new().chain_update(list).chain_update([0]).chain_update(place).finalize();
    std::array::from_fn(|at| hash[at])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_form_is_frozen() {
        // Readers keep cursors for days: a newer function must read them.
        assert_eq!(encode("list", &"2026-03-01"), "Afqyr6eZ1ZIwIjIwMjYtMDMtMDEi");
    }

    #[test]
    fn only_a_whole_cursor_of_this_list_is_read() {
        let cursor = encode("list", &"place");
        assert_eq!(decode::<String>("list", &cursor), Ok("place".to_owned()));
        assert_eq!(decode::<String>("list of another", &cursor), Err(BadCursor));
        let padded = format!("{cursor}=");
        for wrong in ["", "A", "AQ", "AAAAAAAAAAAA", "not base64!", &cursor[1..], &padded, &"A".repeat(9000)]
        {
            assert_eq!(decode::<String>("list", wrong), Err(BadCursor), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_change_is_seen(place in ".{0,40}", at in any::<prop::sample::Index>(), other in "[A-Za-z0-9_-]") {
            let cursor = encode("list", &place);
            prop_assert_eq!(decode::<String>("list", &cursor), Ok(place));
            let at = at.index(cursor.len());
            let altered = format!("{}{other}{}", &cursor[..at], &cursor[at + 1..]);
            prop_assume!(altered != cursor);
            prop_assert_eq!(decode::<String>("list", &altered), Err(BadCursor));
        }
    }
}
