//! The read API on the deployed template, without Smile's API: a system asks with a request signed as every AWS
//! request is (SigV4), and is told what webhooks have brought.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{Deployed, ask, until};

/// An answer: status, headers and body.
type Answer = (u16, http::HeaderMap, Value);

/// A customer's system.
struct System<'a> {
    deployed: &'a Deployed,
}

impl<'a> System<'a> {
    fn new(deployed: &'a Deployed) -> Self {
        Self { deployed }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.deployed.stack().back_end_url().unwrap())
    }

    async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.deployed.ask_signed("execute-api", "GET", self.url(path), headers, String::new()).await
    }

    /// Asks with a JWT.
    async fn get_by_jwt(&self, path: &str, token: &str) -> Answer {
        let headers = vec![("authorization".to_owned(), format!("Bearer {token}"))];
        ask("GET", self.url(path), headers, String::new()).await
    }

    async fn cognito(&self, call: &str, asked: Value) -> Value {
        let target = format!("AWSCognitoIdentityProviderService.{call}");
        self.deployed.aws("cognito-idp", &target, asked).await
    }

    /// The problem in an answer that must be one: its status and its code.
    async fn problem(&self, path: &str) -> (u16, Value) {
        let (status, headers, problem) = self.get(path).await;
        assert_eq!(headers["content-type"], "application/problem+json", "{path}: {status} {problem}");
        assert_eq!(problem["status"], status, "{path}");
        (status, problem["code"].clone())
    }
}

/// A webhook about an account of u-1.
fn event(id: &str, kind: &str) -> String {
    let data = json!({ "userId": "u-1", "accountId": "a-1", "sourceId": "a-1", "sourceType": "ACCOUNT", "providerId": "sss_ph" });
    json!({ "id": id, "version": 1, "type": kind, "createdAt": "2026-03-01T10:00:00Z", "data": data })
        .to_string()
}

fn ids(page: &Value) -> Vec<&str> {
    let events = page["events"].as_array().unwrap_or_else(|| panic!("{page}"));
    events.iter().map(|event| event["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_system_is_told_what_webhooks_have_brought() {
    let deployed = Deployed::start("query").await;
    let system = System::new(&deployed);
    let bodies = [
        ("et-1", event("et-1", "USER_CREATED")),
        ("et-2", event("et-2", "ACCOUNT_CONNECTED")),
        ("et-3", event("et-3", "INCOMES_ADDED")),
    ];
    for (_, body) in &bodies {
        assert_eq!(deployed.send(body.as_bytes()).await.0, 200);
    }
    let all = until("all events of the user", async || {
        let (status, _, page) = system.get("/v1/timeline?user=u-1&limit=10").await;
        assert_eq!(status, 200, "{page}");
        (ids(&page).len() == bodies.len()).then_some(page)
    })
    .await;
    for (id, _) in &bodies {
        assert!(ids(&all).contains(id), "{all}");
    }
    what_is_known_is_told(&system, &bodies).await;
    an_id_is_never_taken_for_another(&system).await;
    nobody_is_told_without_credentials(&system).await;
    each_statement_is_needed(&system).await;
    deployed.stop().await;
}

async fn what_is_known_is_told(system: &System<'_>, bodies: &[(&str, String)]) {
    let (status, headers, user) = system.get("/v1/users/u-1").await;
    assert_eq!((status, &user["user"]), (200, &json!("u-1")), "{user}");
    let account = &user["accounts"][0];
    assert_eq!((&account["account"], &account["status"]), (&json!("a-1"), &json!("CONNECTED")), "{user}");
    assert_eq!(headers["cache-control"], "private, no-cache");

    // Who has it already is told so, and gets it no second time.
    let tag = headers["etag"].to_str().unwrap();
    let (status, headers, nothing) = system.get_with("/v1/users/u-1", &[("if-none-match", tag)]).await;
    assert_eq!((status, &nothing, headers["etag"].to_str().unwrap()), (304, &json!(""), tag));
    assert_eq!(system.get_with("/v1/users/u-1", &[("if-none-match", "\"another\"")]).await.0, 200);

    for (id, body) in bodies {
        let (status, headers, event) = system.get(&format!("/v1/events/{id}?body=true")).await;
        assert_eq!((status, &event["id"]), (200, &json!(id)), "{event}");
        assert_eq!(event["body"], serde_json::from_str::<Value>(body).unwrap());
        assert_eq!(headers["cache-control"], "no-store", "what holds a body is not kept");
        let (status, _, event) = system.get(&format!("/v1/events/{id}")).await;
        assert_eq!((status, event.get("body")), (200, None));
    }
    // Page by page, and of one type only.
    let (_, _, first) = system.get("/v1/events?limit=2").await;
    assert_eq!((ids(&first).len(), &first["more"]), (2, &json!(true)), "{first}");
    let next = first["next"].as_str().unwrap();
    let (_, _, second) = system.get(&format!("/v1/events?limit=2&after={next}")).await;
    let mut read = [ids(&first), ids(&second)].concat();
    read.sort_unstable();
    assert_eq!((read, &second["more"]), (bodies.iter().map(|(id, _)| *id).collect(), &json!(false)));
    let (_, _, of_type) = system.get("/v1/events?type=INCOMES_ADDED").await;
    assert_eq!(ids(&of_type), ["et-3"]);
    let (_, _, accounts) = system.get("/v1/accounts/a-1").await;
    assert_eq!(accounts["accounts"][0]["account"], "a-1", "{accounts}");

    // The document that is served names every path that is.
    let (status, _, document) = system.get("/v1/openapi.json").await;
    assert_eq!(status, 200);
    for path in query::operation::Operation::ALL.iter().flat_map(|operation| operation.paths()) {
        assert!(document["paths"][path]["get"].is_object(), "{path}");
    }
    assert_eq!(document["servers"][0]["url"], system.url(""), "{}", document["servers"]);
    assert_eq!(system.problem("/v1/users/nobody").await, (404, json!("not_found")));
    assert_eq!(system.problem("/v1/events?limit=0").await, (400, json!("bad_limit")));
}

/// Through the gateway, which decodes a path before it chooses the route.
async fn an_id_is_never_taken_for_another(system: &System<'_>) {
    let odd = ["u-1/events", "a/b", "100%", "100%25", "u+1 &?#ü"];
    for id in odd {
        let body = json!({ "id": format!("et-{id}"), "version": 1, "type": "USER_CREATED",
            "createdAt": "2026-03-01T10:00:00Z", "data": { "userId": id } });
        assert_eq!(system.deployed.send(body.to_string().as_bytes()).await.0, 200);
    }
    for id in odd {
        let encoded = utf8_percent_encode(id, NON_ALPHANUMERIC);
        let user = until("the user", async || {
            let (status, _, user) = system.get(&format!("/v1/users?id={encoded}")).await;
            (status == 200).then_some(user)
        })
        .await;
        assert_eq!(user["user"], id);
        let (_, _, page) = system.get(&format!("/v1/timeline?user={encoded}")).await;
        assert_eq!((&page["user"], ids(&page)), (&json!(id), vec![format!("et-{id}").as_str()]));
        let of_event = utf8_percent_encode(ids(&page)[0], NON_ALPHANUMERIC).to_string();
        let (_, _, event) = system.get(&format!("/v1/event?id={of_event}&body=true")).await;
        assert_eq!(event["body"]["data"]["userId"], id);
        // In the path: this very user, or none.
        let (status, _, answer) = system.get(&format!("/v1/users/{encoded}")).await;
        assert!(
            status == 200 && answer["user"] == id || matches!(status, 400 | 404),
            "{id}: {status} {answer}"
        );
        assert!(id != "u-1/events" || status == 404, "{answer}");
    }
}

async fn nobody_is_told_without_credentials(system: &System<'_>) {
    for path in
        ["/v1/users/u-1", "/v1/events", "/v1/events/et-1?body=true", "/v1/quarantine", "/v1/openapi.json"]
    {
        let (status, _, answer) =
            ask("GET", system.url(path), Vec::<(String, String)>::new(), String::new()).await;
        assert_eq!(status, 403, "{path}: {answer}");
        assert!(!answer.to_string().contains("et-1"), "{path}: {answer}");
    }
    // Without Smile's credentials nobody gives links here.
    let headers = vec![("content-type", "application/json")];
    let headers = headers.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
    assert_eq!(ask("POST", system.url("/v1/links"), headers, "{}".to_owned()).await.0, 404);
}

/// The role's statements, taken away one by one: what needs one is unavailable, and the rest is still told.
async fn each_statement_is_needed(system: &System<'_>) {
    let in_table = ["/v1/users/u-1", "/v1/events/et-1", "/v1/quarantine"];
    let by_index = ["/v1/timeline?user=u-1", "/v1/events", "/v1/accounts/a-1"];
    for (statement, lost, left) in [
        ("Table", &in_table[..], &["/v1/timeline?user=u-1", "/v1/events"][..]),
        ("Index", &by_index[..], &in_table[..]),
    ] {
        system.deployed.update(Some(("QueryRole", statement)), &[]).await;
        for path in lost {
            let refused = (503, json!("unavailable"));
            assert_eq!(system.problem(path).await, refused, "{path} without {statement}");
        }
        for path in left.iter().chain(&["/v1/openapi.json"]) {
            assert_eq!(system.get(path).await.0, 200, "{path} without {statement}");
        }
    }
    system.deployed.update(None, &[]).await;
    for path in in_table.iter().chain(&by_index) {
        assert_eq!(system.get(path).await.0, 200, "{path}");
    }
}

/// An issuer as customers have it, whose scopes cannot be named as the template names them by itself.
struct Issuer {
    url: String,
    client: String,
    secret: String,
}

impl Issuer {
    async fn start(system: &System<'_>) -> Self {
        let pool = system.cognito("CreateUserPool", json!({ "PoolName": "systems" })).await;
        let pool = pool["UserPool"]["Id"].as_str().unwrap();
        let scope = |name: &str| json!({ "ScopeName": name, "ScopeDescription": name });
        let names = ["read", "bodies", "link"];
        let server =
            json!({ "UserPoolId": pool, "Identifier": "smile", "Name": "smile", "Scopes": names.map(scope) });
        system.cognito("CreateResourceServer", server).await;
        let client = json!({ "UserPoolId": pool, "ClientName": "back office", "GenerateSecret": true,
            "AllowedOAuthFlowsUserPoolClient": true, "AllowedOAuthFlows": ["client_credentials"],
            "AllowedOAuthScopes": names.map(|name| format!("smile/{name}")) });
        let made = system.cognito("CreateUserPoolClient", client).await;
        let text = |name: &str| made["UserPoolClient"][name].as_str().unwrap().to_owned();
        let region = &system.deployed.stack().region;
        Self {
            url: format!("https://cognito-idp.{region}.amazonaws.com/{pool}"),
            client: text("ClientId"),
            secret: text("ClientSecret"),
        }
    }

    /// A token with these scopes, separated by plus signs.
    async fn token(&self, system: &System<'_>, scopes: &str) -> String {
        let Self { client, secret, .. } = self;
        let secret = secret.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        let form =
            format!("grant_type=client_credentials&client_id={client}&client_secret={secret}&scope={scopes}");
        let headers = vec![("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned())];
        let url = format!("{}/oauth2/token", system.deployed.stack().aws_endpoint);
        let (status, _, answer) = ask("POST", url, headers, form).await;
        assert_eq!(status, 200, "{answer}");
        answer["access_token"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_jwt_opens_what_its_scopes_say() {
    let deployed = Deployed::start("jwt").await;
    let system = System::new(&deployed);
    let issuer = Issuer::start(&system).await;
    let scopes =
        [("JwtLinkScope", "smile/link"), ("JwtReadScope", "smile/read"), ("JwtBodiesScope", "smile/bodies")];
    let all = [("JwtIssuer", issuer.url.as_str()), ("JwtAudience", &issuer.client)];
    deployed.update(None, &[&all[..], &scopes].concat()).await;
    assert_eq!(deployed.send(event("et-1", "ACCOUNT_CONNECTED").as_bytes()).await.0, 200);

    let reader = issuer.token(&system, "smile/read").await;
    let (user, with_body) = ("/v1/users/u-1", "/v1/events/et-1?body=true");
    until("the event", async || {
        let (status, _, found) = system.get_by_jwt("/v1/events/et-1", &reader).await;
        assert!(matches!(status, 200 | 404), "{status}: {found}");
        (status == 200).then_some(())
    })
    .await;
    let (status, _, known) = system.get_by_jwt(user, &reader).await;
    assert_eq!((status, &known["accounts"][0]["status"]), (200, &json!("CONNECTED")));
    let (status, headers, refused) = system.get_by_jwt(with_body, &reader).await;
    assert_eq!((status, &refused["code"]), (403, &json!("scope_missing")));
    assert_eq!(headers["www-authenticate"], "Bearer error=\"insufficient_scope\"");
    let both = issuer.token(&system, "smile/read+smile/bodies").await;
    let (status, _, found) = system.get_by_jwt(with_body, &both).await;
    assert_eq!((status, &found["body"]["id"]), (200, &json!("et-1")));

    // Neither the scope for links alone, nor that for bodies alone, nor no token of this issuer's opens anything.
    for scopes in ["smile/link", "smile/bodies"] {
        let other = issuer.token(&system, scopes).await;
        assert_eq!(system.get_by_jwt(user, &other).await.0, 403, "{scopes}");
    }
    let (head, _) = reader.rsplit_once('.').unwrap();
    for forged in [String::new(), format!("{head}."), format!("{head}.{}", "A".repeat(342))] {
        assert_eq!(system.get_by_jwt(user, &forged).await.0, 401, "{forged}");
    }
    // Nor a signature of AWS's, where tokens are asked for.
    assert_eq!(system.get(user).await.0, 401);
    deployed.stop().await;
}
