//! Who may read bodies.
//!
//! The gateway decides who may ask at all: by IAM, or by a JWT with a scope (the stack's parameter `JwtReadScope`). A
//! route's scopes cannot depend on its query, so that the one for bodies (`JwtBodiesScope`) is looked for here, in what
//! the gateway's authorizer has checked. Who comes by IAM may read bodies: there a policy is what says who may call
//! `GET /v1/events/*` and `GET /v1/event`.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The scope that a JWT needs to read bodies, beside the one to read anything, where the stack says no other.
pub const BODIES: &str = "smile:read:bodies";

/// What the gateway says of the caller.
#[derive(Debug, Default, Deserialize)]
pub struct Authorizer {
    #[serde(default)]
    jwt: Option<Jwt>,
}

#[derive(Debug, Deserialize)]
struct Jwt {
    #[serde(default)]
    claims: Option<BTreeMap<String, serde_json::Value>>,
    #[serde(default)]
    scopes: Option<Vec<String>>,
}

impl Authorizer {
    /// Whether the caller may have bodies, for which a JWT needs this scope.
    pub fn may_have_bodies(&self, needed: &str) -> bool {
        let Some(jwt) = &self.jwt else { return true };
        // `scope` (RFC 8693, section 4.2) or `scp`, as the gateway itself looks for them. Of a claim that is a list,
        // the gateway makes a text in brackets.
        let claimed = ["scope", "scp"].iter().filter_map(|name| jwt.claims.as_ref()?.get(*name)?.as_str());
        let claimed = claimed.flat_map(|scopes| scopes.trim_matches(['[', ']']).split([' ', ',']));
        let granted = jwt.scopes.iter().flatten().map(String::as_str);
        claimed.chain(granted).any(|scope| scope == needed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_need_their_own_scope() {
        let authorizer = |text: &str| serde_json::from_str::<Authorizer>(text).unwrap();
        let may = |text: &str| authorizer(text).may_have_bodies(BODIES);
        let of_cognito = r#"{"jwt":{"claims":{"scope":"smile/read smile/bodies"},"scopes":["smile/read"]}}"#;
        assert!(authorizer(of_cognito).may_have_bodies("smile/bodies") && !may(of_cognito));
        for (authorizer, expected) in [
            (r#"{"iam":{"userArn":"arn:aws:iam::1:user/u"}}"#, true),
            ("{}", true),
            (r#"{"jwt":{"claims":{"scope":"smile:read smile:read:bodies"},"scopes":["smile:read"]}}"#, true),
            (r#"{"jwt":{"claims":{"scp":"[smile:read, smile:read:bodies]"},"scopes":null}}"#, true),
            (r#"{"jwt":{"claims":{},"scopes":["smile:read:bodies"]}}"#, true),
            (r#"{"jwt":{"claims":{"scope":"smile:read"},"scopes":["smile:read"]}}"#, false),
            (r#"{"jwt":{"claims":{"scope":"smile:read:bodies-not"},"scopes":[]}}"#, false),
            (r#"{"jwt":{"claims":{"sub":"smile:read:bodies"}}}"#, false),
            (r#"{"jwt":{"claims":{"scope":7},"scopes":null}}"#, false),
            (r#"{"jwt":{"claims":null}}"#, false),
            (r#"{"jwt":{}}"#, false),
        ] {
            assert_eq!(may(authorizer), expected, "{authorizer}");
        }
    }
}
