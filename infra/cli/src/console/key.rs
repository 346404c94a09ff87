//! The key that opens the page: random for each start, compared in constant time, never printed by accident.

use anyhow::anyhow;
use base64_simd::URL_SAFE_NO_PAD as BASE64;
use sha2::{Digest, Sha256};

/// How many random bytes it is made of.
const BYTES: usize = 32;

/// A key.
pub(super) struct Key(String);

impl Key {
    /// A key that nobody had before.
    pub(super) fn fresh() -> anyhow::Result<Self> {
        let mut bytes = [0; BYTES];
        getrandom::getrandom(&mut bytes).map_err(|_| anyhow!("the machine gives nothing random"))?;
        Ok(Self(BASE64.encode_to_string(bytes)))
    }

    /// As it stands in the address.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// Whether somebody has it. The hashes are compared: how much of a guess was right does not show in the
    /// time that it takes.
    pub(super) fn is(&self, offered: &str) -> bool {
        Sha256::digest(offered) == Sha256::digest(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_for_itself_alone() {
        let (key, other) = (Key::fresh().unwrap(), Key::fresh().unwrap());
        assert_eq!(key.text().len(), 43);
        assert!(key.is(key.text()) && !key.is(other.text()) && !key.is("") && !key.is(&key.text()[1..]));
    }
}
