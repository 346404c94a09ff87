//! Is this body the vendor's? HMAC-SHA512 over the exact bytes, checked in constant time.
//!
//! Smile signs the raw body with the secret given at registration and sends the code as lower-case
//! hex in `Smile-Signature`; no timestamp is signed (Smile, webhooks reference). Whoever holds a
//! [`Verified`] knows that the bytes passed this check: parsing takes nothing else.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha512;

/// The header that carries the signature, in lower case.
pub const SIGNATURE_HEADER: &str = "smile-signature";

/// A webhook secret, 1 to 64 characters. Prints as `Secret(..)`.
#[derive(Clone)]
#[cfg_attr(test, derive(PartialEq, Eq))]
pub struct Secret(Box<[u8]>);

/// A secret of no or of more than 64 characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a webhook secret has 1 to 64 characters, this one has {0}")]
pub struct SecretLength(usize);

impl Secret {
    /// Checks the length that Smile allows.
    pub fn new(secret: &str) -> Result<Self, SecretLength> {
        match secret.chars().count() {
            1..=64 => Ok(Self(secret.as_bytes().into())),
            other => Err(SecretLength(other)),
        }
    }

    /// The key itself, for other codes than the vendor's.
    #[cfg(feature = "session")]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A signature as it came: 64 bytes, well-formed, not yet compared with anything.
#[derive(Clone, Copy)]
pub struct Signature([u8; 64]);

impl Signature {
    /// Reads 128 hexadecimal digits. Smile sends lower case; upper case means the same bytes.
    /// Surrounding white space, prefixes and other lengths are refused.
    pub fn parse(header: &str) -> Result<Self, Refused> {
        fn nibble(digit: u8) -> Option<u8> {
            char::from(digit).to_digit(16).and_then(|n| u8::try_from(n).ok())
        }
        let digits: &[u8; 128] = header.as_bytes().try_into().map_err(|_| Refused::Malformed)?;
        let mut bytes = [0; 64];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let (Some(high), Some(low)) = (nibble(pair[0]), nibble(pair[1])) else {
                return Err(Refused::Malformed);
            };
            *byte = high << 4 | low;
        }
        Ok(Self(bytes))
    }
}

impl std::fmt::Display for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Signs a body as Smile does. The header's value is the result's `Display`.
pub fn sign(secret: &Secret, body: &[u8]) -> Signature {
    Signature(mac(secret, body).finalize().into_bytes().into())
}

/// Why a body was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No signature header.
    #[error("no signature")]
    Missing,
    /// Not 128 hexadecimal digits.
    #[error("the signature is not 128 hexadecimal digits")]
    Malformed,
    /// Well-formed, but made with none of the secrets, or over other bytes.
    #[error("the signature fits none of the secrets")]
    Mismatch,
}

/// Bytes that are known to be the vendor's.
#[derive(Clone, Copy)]
pub struct Verified<'a>(&'a [u8]);

impl<'a> Verified<'a> {
    /// The one door for bytes that were verified before they went through our own queue.
    /// Only the consumer may call it, on what SQS gave it: the queue's policy lets nobody but
    /// the webhook function and operators send to it.
    pub fn from_own_queue(body: &'a [u8]) -> Self {
        Self(body)
    }

    /// The bytes.
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }
}

impl std::fmt::Debug for Verified<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Verified({} bytes)", self.0.len())
    }
}

/// Accepts `body` when `header` is its signature under any of `secrets`.
pub fn verify<'a, 's>(
    body: &'a [u8],
    header: Option<&str>,
    secrets: impl IntoIterator<Item = &'s Secret>,
) -> Result<Verified<'a>, Refused> {
    let signature = Signature::parse(header.ok_or(Refused::Missing)?)?;
    secrets
        .into_iter()
        .any(|secret| mac(secret, body).verify_slice(&signature.0).is_ok())
        .then_some(Verified(body))
        .ok_or(Refused::Mismatch)
}

fn mac(secret: &Secret, body: &[u8]) -> Hmac<Sha512> {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mac = Hmac::<Sha512>::new_from_slice(&secret.0).expect("any key length");
    mac.chain_update(body)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text).unwrap()
    }

    /// RFC 4231, test case 2 (its key is text, so it fits [`Secret`]).
    #[test]
    fn signs_the_published_vector() {
        assert_eq!(
            sign(&secret("Jefe"), b"what do ya want for nothing?").to_string(),
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554\
             9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"
        );
    }

    #[test]
    fn says_what_is_wrong() {
        let key = secret("s3cret");
        let good = sign(&key, b"{}").to_string();
        let check = |header: Option<&str>| verify(b"{}", header, [&key]).map(|_| ()).err();
        assert_eq!(check(Some(&good)), None);
        assert_eq!(check(Some(&good.to_uppercase())), None);
        assert_eq!(check(None), Some(Refused::Missing));
        for malformed in [
            "",
            "00",
            &good[1..],
            &format!("{good}00"),
            &format!(" {}", &good[1..]),
            &"zz".repeat(64),
            &format!("sha512={good}"),
            &"é".repeat(64),
        ] {
            assert_eq!(check(Some(malformed)), Some(Refused::Malformed), "{malformed:?}");
        }
        assert_eq!(check(Some(&"0".repeat(128))), Some(Refused::Mismatch));
    }

    #[test]
    fn takes_any_of_several_secrets() {
        let (old, new) = (secret("old"), secret("new"));
        let header = sign(&new, b"x").to_string();
        assert!(verify(b"x", Some(&header), [&old, &new]).is_ok());
        assert!(verify(b"x", Some(&header), [&old]).is_err());
        assert!(verify(b"x", Some(&header), []).is_err());
    }

    #[test]
    fn prints_neither_secret_nor_body() {
        let printed = format!("{:?} {:?}", secret("hush"), Verified::from_own_queue(b"body"));
        assert_eq!(printed, "Secret(..) Verified(4 bytes)");
    }

    #[test]
    fn bounds_the_secret() {
        assert_eq!(Secret::new(""), Err(SecretLength(0)));
        assert!(Secret::new(&"é".repeat(64)).is_ok());
        assert_eq!(Secret::new(&"x".repeat(65)), Err(SecretLength(65)));
    }

    proptest! {
        #[test]
        fn any_flipped_bit_is_refused(
            key in "[ -~]{1,64}",
            mut body in proptest::collection::vec(any::<u8>(), 1..300),
            at in any::<prop::sample::Index>(),
            bit in 0_u8..8,
        ) {
            let key = secret(&key);
            let header = sign(&key, &body).to_string();
            prop_assert!(verify(&body, Some(&header), [&key]).is_ok());
            let mut forged: Vec<u8> = Signature::parse(&header).unwrap().0.into();
            let spot = at.index(forged.len());
            forged[spot] ^= 1 << bit;
            let forged = Signature(forged.try_into().unwrap()).to_string();
            prop_assert!(verify(&body, Some(&forged), [&key]).is_err());
            let spot = at.index(body.len());
            body[spot] ^= 1 << bit;
            prop_assert!(verify(&body, Some(&header), [&key]).is_err());
        }
    }
}
