//! What a WebSocket API hands over (API Gateway developer guide, "Integration request for WebSocket APIs").

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{PROTOCOL, SESSION_PREFIX};

/// One request. It can hold a token: not for logs.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    request_context: Context,
    #[serde(default)]
    headers: Option<BTreeMap<String, String>>,
    #[serde(default)]
    body: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context {
    connection_id: String,
    route_key: String,
    #[serde(default)]
    request_id: Option<String>,
}

/// Which route it came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `$connect`.
    Connect,
    /// `$disconnect`.
    Disconnect,
    /// `$default`: a message.
    Message,
}

/// What a page says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// It is there.
    Hello,
    /// It is still there.
    Ping,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    action: &'a str,
}

impl Event {
    /// Which route it came by.
    pub fn kind(&self) -> Kind {
        match self.request_context.route_key.as_str() {
            "$connect" => Kind::Connect,
            "$disconnect" => Kind::Disconnect,
            _ => Kind::Message,
        }
    }

    /// The connection.
    pub fn connection(&self) -> &str {
        &self.request_context.connection_id
    }

    /// The gateway's id of this request.
    pub fn delivery(&self) -> Option<&str> {
        self.request_context.request_id.as_deref()
    }

    /// The page's origin, which apps do not send.
    pub fn origin(&self) -> Option<&str> {
        self.header("origin")
    }

    /// The session token among the subprotocols, where the right one is offered, too.
    pub fn session_token(&self) -> Option<&str> {
        let mut offers = self.header("sec-websocket-protocol")?.split(',').map(str::trim);
        offers.clone().any(|offer| offer == PROTOCOL).then_some(())?;
        offers.find_map(|offer| offer.strip_prefix(SESSION_PREFIX))
    }

    /// What a message says: `{"action":"hello"}` or `{"action":"ping"}`. Nothing else is understood.
    pub fn said(&self) -> Option<Said> {
        // An array would do for a struct, too.
        let body = self.body.as_deref().filter(|body| body.trim_start().starts_with('{'))?;
        let message: Message<'_> = serde_json::from_str(body).ok()?;
        match message.action {
            "hello" => Some(Said::Hello),
            "ping" => Some(Said::Ping),
            _ => None,
        }
    }

    fn header(&self, wanted: &str) -> Option<&str> {
        let mut headers = self.headers.iter().flatten();
        headers.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(headers: &serde_json::Value, body: &str) -> Event {
        let event = json!({
            "requestContext": { "connectionId": "c=", "routeKey": "$default", "eventType": "MESSAGE" },
            "headers": headers, "body": body, "isBase64Encoded": false,
        });
        serde_json::from_value(event).unwrap()
    }

    #[test]
    fn the_token_comes_beside_the_protocol() {
        let token = |protocols: &str| {
            let event = event(&json!({ "Sec-WebSocket-Protocol": protocols }), "");
            event.session_token().map(str::to_owned)
        };
        assert_eq!(token("smile.v1, smile.session.a.b.c").as_deref(), Some("a.b.c"));
        assert_eq!(token("smile.session.a.b.c,smile.v1").as_deref(), Some("a.b.c"));
        for without in ["smile.v1", "smile.session.a.b.c", "", "smile.v2, smile.session.a.b.c"] {
            assert_eq!(token(without), None, "{without}");
        }
        assert_eq!(event(&json!(null), "").session_token(), None);
    }

    #[test]
    fn a_message_names_an_action() {
        let said = |body: &str| event(&json!({}), body).said();
        assert_eq!(said(r#"{"action":"hello"}"#), Some(Said::Hello));
        assert_eq!(said(r#"{"action":"ping","at":1}"#), Some(Said::Ping));
        for other in ["", "ping", "[]", r#"{"action":7}"#, r#"{"action":"refresh"}"#, r#"["ping"]"#] {
            assert_eq!(said(other), None, "{other}");
        }
    }
}
