//! The session token: lets one user's browser deliver callbacks and hear of changes, and nothing else.
//!
//! A JWT (RFC 7519), HS256, with a signing secret of its own. `link` mints it for the user of the link
//! token; `callback` and `live` check it. HS256 is the only algorithm that is known here, so that no header
//! can talk a check into another one or into none. The secrets are a [`SecretSet`]: while it is rotated,
//! tokens of the previous secret stay valid until its time is up.
//!
//! | claim | value |
//! |---|---|
//! | `iss`, `aud` | `smile-receiver`, `smile-session` |
//! | `sub` | Smile's id of the user |
//! | `iat`, `exp` | seconds since 1970; not valid at `exp` or later |
//! | `jti` | 32 hexadecimal digits, random: the session's own id, for logs |

use std::sync::Once;

use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result as JwtResult};
use jsonwebtoken::signature::{self, Signer, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::id::UserId;
use crate::secrets::SecretSet;
use crate::verify::Secret;

const ISSUER: &str = "smile-receiver";
const AUDIENCE: &str = "smile-session";

/// The longest token that is looked at, in bytes. An id of 256 bytes makes one of about 600.
const MAX_TOKEN_BYTES: usize = 2048;

/// The most random bytes that name a session.
pub const SESSION_ID_BYTES: usize = 16;

/// Proof that a token was minted by us and is valid now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    user: UserId,
    id: String,
    expires_at: Timestamp,
}

/// Why a token is not accepted. Never quotes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No token of ours: another form, algorithm, issuer or audience, or claims that are missing.
    #[error("the session token is not one of this receiver's")]
    Malformed,
    /// Signed with none of the secrets. After a rotation a newer document of secrets may know it.
    #[error("the session token's signature fits none of the secrets")]
    Signature,
    /// Its time is up.
    #[error("the session token has expired")]
    Expired,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: UserId,
    iat: i64,
    exp: i64,
    jti: String,
}

/// A token and when it ends.
#[derive(Clone)]
pub struct Minted {
    /// The token. Whoever has it can deliver callbacks for its user, and hear of its changes.
    pub token: String,
    /// From when on it is not accepted. Whole seconds.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for Minted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Minted(.., until {})", self.expires_at)
    }
}

/// Makes a token for a user. `id` is random.
pub fn mint(
    user: &UserId,
    id: [u8; SESSION_ID_BYTES],
    lifetime: SignedDuration,
    now: Timestamp,
    secret: &Secret,
) -> Minted {
    install();
    let issued = now.as_second();
    let expires = issued.saturating_add(lifetime.as_secs());
    let claims = Claims {
        iss: ISSUER.to_owned(),
        aud: AUDIENCE.to_owned(),
        sub: user.clone(),
        iat: issued,
        exp: expires,
        jti: crate::state::base16(&id),
    };
    Minted {
        token: signed(&claims, secret),
        expires_at: Timestamp::from_second(expires).unwrap_or(Timestamp::MAX),
    }
}

fn signed(claims: &Claims, secret: &Secret) -> String {
    let key = EncodingKey::from_secret(secret.bytes());
    #[expect(clippy::expect_used, reason = "these claims are plain JSON, and HMAC takes any key")]
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).expect("a token")
}

/// Why a request shows no session.
#[cfg(feature = "secret-store")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoSession {
    /// The token is not accepted.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// There is no secret to check it with: nobody can tell.
    #[error("there is no secret to check the session token with")]
    SecretUnavailable,
}

impl Session {
    /// Accepts a token as [`Session::check`] does, and looks for newer secrets when it fits none of those at hand.
    #[cfg(feature = "secret-store")]
    pub async fn look(
        token: &str,
        secrets: &crate::secret_cache::Secrets,
        now: Timestamp,
    ) -> Result<Self, NoSession> {
        use crate::secret_cache::SecondLook;
        let set = secrets.current(now).await.ok_or(NoSession::SecretUnavailable)?;
        match Self::check(token, &set, now) {
            Err(Refused::Signature) => {}
            checked => return Ok(checked?),
        }
        match secrets.look_again(now).await {
            SecondLook::Fetched(set) => Ok(Self::check(token, &set, now)?),
            SecondLook::NothingNewer => Err(Refused::Signature.into()),
            SecondLook::Unavailable => Err(NoSession::SecretUnavailable),
        }
    }

    /// Accepts a token that was signed with a secret that is valid now and has not expired.
    pub fn check(token: &str, secrets: &SecretSet, now: Timestamp) -> Result<Self, Refused> {
        install();
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Refused::Malformed);
        }
        let mut refused = Refused::Malformed;
        for secret in secrets.at(now) {
            match jsonwebtoken::decode(token, &DecodingKey::from_secret(secret.bytes()), &rules()) {
                Ok(read) => return Self::of(read.claims, now),
                Err(error) if *error.kind() == ErrorKind::InvalidSignature => refused = Refused::Signature,
                Err(_) => return Err(Refused::Malformed),
            }
        }
        Err(refused)
    }

    fn of(claims: Claims, now: Timestamp) -> Result<Self, Refused> {
        let expires_at = Timestamp::from_second(claims.exp).map_err(|_| Refused::Malformed)?;
        if now >= expires_at {
            return Err(Refused::Expired);
        }
        Ok(Self { user: claims.sub, id: claims.jti, expires_at })
    }

    /// Whose session it is.
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// The session's own id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// From when on it is not accepted.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}

/// What a token must be, besides signed. The end is checked by ourselves: the crate would ask the clock.
fn rules() -> Validation {
    let mut rules = Validation::new(Algorithm::HS256);
    rules.validate_exp = false;
    rules.set_issuer(&[ISSUER]);
    rules.set_audience(&[AUDIENCE]);
    rules.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
    rules
}

/// The crate's own cryptography would bring RSA and elliptic curves along; a session needs one HMAC.
fn install() {
    static ONCE: Once = Once::new();
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: |algorithm, key| Ok(Box::new(Hs256::new(*algorithm, key.as_bytes())?)),
        verifier_factory: |algorithm, key| Ok(Box::new(Hs256::new(*algorithm, key.try_get_as_bytes()?)?)),
        key_utils: KeyUtils::new_unimplemented(),
    };
    // An error says that one is installed already, which only this function does.
    ONCE.call_once(|| {
        let _ = PROVIDER.install_default();
    });
}

struct Hs256(Hmac<Sha256>);

impl Hs256 {
    fn new(algorithm: Algorithm, key: &[u8]) -> JwtResult<Self> {
        if algorithm != Algorithm::HS256 {
            return Err(ErrorKind::InvalidAlgorithm.into());
        }
        Hmac::new_from_slice(key).map(Self).map_err(|_| ErrorKind::InvalidKeyFormat.into())
    }

    fn mac(&self, message: &[u8]) -> Hmac<Sha256> {
        self.0.clone().chain_update(message)
    }
}

impl Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(self.mac(message).finalize().into_bytes().to_vec())
    }
}

impl Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        self.mac(message).verify_slice(signature).map_err(|_| signature::Error::new())
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

#[cfg(test)]
mod tests {
    use base64_simd::URL_SAFE_NO_PAD as BASE64;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const NOW: &str = "2026-03-01T10:00:00Z";

    fn now() -> Timestamp {
        NOW.parse().unwrap()
    }

    fn secrets(document: &str) -> SecretSet {
        SecretSet::from_document(document).unwrap()
    }

    fn token(secret: &str) -> String {
        let user = UserId::new("tenant-1").unwrap();
        mint(&user, [7; 16], SignedDuration::from_mins(60), now(), &Secret::new(secret).unwrap()).token
    }

    /// A token of any header and claims, signed as it should be.
    fn forged(header: &serde_json::Value, claims: &serde_json::Value, secret: &str) -> String {
        let part = |value: &serde_json::Value| BASE64.encode_to_string(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let mac = Hs256::new(Algorithm::HS256, secret.as_bytes()).unwrap().mac(message.as_bytes());
        format!("{message}.{}", BASE64.encode_to_string(mac.finalize().into_bytes()))
    }

    fn claims() -> serde_json::Value {
        json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": "u", "iat": now().as_second(),
                "exp": now().as_second() + 60, "jti": "0" })
    }

    #[test]
    fn a_token_names_its_user_until_its_time_is_up() {
        let token = token("one");
        let check = |at: &str| Session::check(&token, &secrets("one"), at.parse().unwrap());
        let session = check("2026-03-01T10:59:59Z").unwrap();
        assert_eq!((session.user().as_str(), session.id()), ("tenant-1", "07".repeat(16).as_str()));
        assert_eq!(session.expires_at().to_string(), "2026-03-01T11:00:00Z");
        assert_eq!(check("2026-03-01T11:00:00Z"), Err(Refused::Expired));
    }

    #[test]
    fn rotation_keeps_what_was_minted_before_for_a_while() {
        let rotated = r#"{"current":"two","previous":{"secret":"one","not_after":"2026-03-01T10:30:00Z"}}"#;
        let check =
            |token: &str, at: &str| Session::check(token, &secrets(rotated), at.parse().unwrap()).map(|_| ());
        assert_eq!(check(&token("two"), "2026-03-01T10:31:00Z"), Ok(()));
        assert_eq!(check(&token("one"), "2026-03-01T10:30:00Z"), Ok(()));
        assert_eq!(check(&token("one"), "2026-03-01T10:31:00Z"), Err(Refused::Signature));
        assert_eq!(check(&token("three"), NOW), Err(Refused::Signature));
    }

    #[test]
    fn nothing_but_our_own_form_is_accepted() {
        let good = json!({ "alg": "HS256", "typ": "JWT" });
        let check = |token: &str| Session::check(token, &secrets("one"), now()).map(|_| ()).err();
        assert_eq!(check(&forged(&good, &claims(), "one")), None);
        let unsigned = forged(&json!({ "alg": "none" }), &claims(), "one");
        let unsigned_too = format!("{}.", unsigned.rsplit_once('.').unwrap().0);
        let mut bad =
            vec![unsigned, unsigned_too, String::new(), "a.b".into(), "a.b.c".into(), "é.é.é".into()];
        for alg in ["None", "HS384", "HS512", "RS256", "ES256", "EdDSA", "hs256"] {
            bad.push(forged(&json!({ "alg": alg }), &claims(), "one"));
        }
        for (claim, value) in [
            ("iss", json!("somebody")),
            ("aud", json!("smile-other")),
            ("sub", json!("")),
            ("sub", json!("x".repeat(257))),
            ("sub", json!(7)),
            ("exp", json!("soon")),
            ("exp", json!(i64::MAX)),
        ] {
            let mut changed = claims();
            changed[claim] = value;
            bad.push(forged(&good, &changed, "one"));
        }
        for claim in ["iss", "aud", "sub", "exp", "iat", "jti"] {
            let mut without = claims();
            without.as_object_mut().unwrap().remove(claim);
            bad.push(forged(&good, &without, "one"));
        }
        bad.push(format!("{}{}", token("one"), "x".repeat(MAX_TOKEN_BYTES)));
        for token in bad {
            assert_eq!(check(&token), Some(Refused::Malformed), "{token}");
        }
    }

    #[test]
    fn prints_no_token() {
        let minted = mint(
            &UserId::new("u").unwrap(),
            [0; 16],
            SignedDuration::from_mins(1),
            now(),
            &Secret::new("s").unwrap(),
        );
        assert_eq!(format!("{minted:?}"), "Minted(.., until 2026-03-01T10:01:00Z)");
    }

    proptest! {
        #[test]
        fn any_changed_character_is_refused(at in any::<prop::sample::Index>(), other in "[A-Za-z0-9_.-]") {
            let token = token("one");
            let at = at.index(token.len());
            let mut changed = token.clone();
            changed.replace_range(at..=at, &other);
            // The last digit of base64 has bits that say nothing.
            prop_assume!(changed != token && at != token.len() - 1);
            prop_assert!(Session::check(&changed, &secrets("one"), now()).is_err());
        }
    }
}
