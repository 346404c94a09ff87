//! One request, as the gateway hands it over.
//!
//! HTTP API payload 2.0 (API Gateway developer guide, "Lambda proxy integration payload format"). What is not
//! needed is not read.

use std::collections::BTreeMap;

use serde::Deserialize;
use shared::etag;
use shared::gateway::behind_stage;

use crate::scope::Authorizer;

/// One request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    #[serde(default)]
    route_key: Option<String>,
    #[serde(default)]
    raw_path: String,
    #[serde(default)]
    raw_query_string: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default, rename = "requestContext")]
    context: Context,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Context {
    #[serde(default)]
    http: Http,
    #[serde(default)]
    stage: Option<String>,
    #[serde(default)]
    request_id: Option<String>,
    #[serde(default)]
    authorizer: Option<Authorizer>,
}

#[derive(Debug, Deserialize, Default)]
struct Http {
    #[serde(default)]
    method: String,
}

impl Request {
    /// What somebody on this side of the gateway asks, who may have everything: a path as it stands in a URL, and
    /// its query.
    pub fn get(path: impl Into<String>, query: impl Into<String>) -> Self {
        let http = Http { method: "GET".to_owned() };
        Self {
            route_key: None,
            raw_path: path.into(),
            raw_query_string: Some(query.into()),
            headers: BTreeMap::new(),
            context: Context { http, ..Context::default() },
        }
    }

    /// The gateway's id of this request.
    pub fn id(&self) -> Option<&str> {
        self.context.request_id.as_deref().filter(|id| !id.is_empty())
    }

    /// The method.
    pub fn method(&self) -> &str {
        &self.context.http.method
    }

    /// The route that the gateway has found.
    pub fn route(&self) -> Option<&str> {
        self.route_key.as_deref()
    }

    /// The path, behind the stage.
    pub fn path(&self) -> &str {
        behind_stage(&self.raw_path, self.context.stage.as_deref())
    }

    /// The query, as it stood in the URL.
    pub fn query(&self) -> &str {
        self.raw_query_string.as_deref().unwrap_or_default()
    }

    /// Whether the caller has this representation already.
    pub fn has(&self, tag: &str) -> bool {
        let named = self.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("if-none-match"));
        etag::is_named(named.map(|(_, value)| value.as_str()), tag)
    }

    /// Whether the caller may have bodies, for which a JWT needs this scope.
    pub fn may_have_bodies(&self, needed: &str) -> bool {
        self.context.authorizer.as_ref().is_none_or(|authorizer| authorizer.may_have_bodies(needed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope::BODIES;

    fn request(json: &str) -> Request {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn reads_what_the_gateway_hands_over() {
        let read = request(
            r#"{"version":"2.0","routeKey":"GET /v1/users/{id}","rawPath":"/prod/v1/users/u-1","rawQueryString":"a=b",
                "headers":{"If-None-Match":"\"x\", W/\"y\""},"isBase64Encoded":false,
                "requestContext":{"stage":"prod","requestId":"r-1","http":{"method":"GET","path":"/prod/v1/users/u-1"},
                    "authorizer":{"jwt":{"claims":{"scope":"smile:read"},"scopes":["smile:read"]}}}}"#,
        );
        assert_eq!((read.method(), read.path(), read.query()), ("GET", "/v1/users/u-1", "a=b"));
        assert_eq!((read.route(), read.id()), (Some("GET /v1/users/{id}"), Some("r-1")));
        assert!(read.has("\"x\"") && read.has("\"y\"") && !read.has("\"z\"") && !read.has("y"));
        assert!(!read.may_have_bodies(BODIES));
    }

    #[test]
    fn one_of_our_own_may_have_everything() {
        let own = Request::get("/v1/users/a%2Fb", "limit=1");
        assert_eq!((own.method(), own.path(), own.query()), ("GET", "/v1/users/a%2Fb", "limit=1"));
        assert!(own.route().is_none() && own.id().is_none() && own.may_have_bodies(BODIES));
    }

    #[test]
    fn lives_with_little() {
        let read =
            request(r#"{"rawPath":"/v1/events","requestContext":{"stage":"$default","authorizer":null}}"#);
        assert_eq!((read.method(), read.path(), read.query(), read.id()), ("", "/v1/events", "", None));
        assert!(read.may_have_bodies(BODIES) && !read.has("\"x\""));
        assert!(request(r#"{"headers":{"if-none-match":"*"}}"#).has("\"x\""));
    }
}
