use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::*;
use crate::stack::tests::a_stack;

/// A console without a stack behind it: nothing answers there.
struct Trial {
    port: u16,
    key: String,
    _console: Console,
}

impl Trial {
    fn start() -> Self {
        let mut stack = a_stack();
        stack.outputs.insert("TableName".into(), "table".into());
        let entrance = Entrance::open(0, "--port").unwrap();
        let (port, key) = (entrance.door.port(), entrance.key.text().to_owned());
        let deployed = Deployed::of_local(&stack).unwrap();
        let console = Console::start(entrance, deployed, Some("http://127.0.0.1:1".to_owned())).unwrap();
        Self { port, key, _console: console }
    }

    /// Asks as it stands: a client would set `Host` by itself.
    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let own = format!("127.0.0.1:{}", self.port);
        let host = headers.iter().find(|(name, _)| *name == "host").map_or(own.as_str(), |(_, host)| host);
        let length = body.len();
        let mut text = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n"
        );
        for (name, value) in headers.iter().filter(|(name, _)| *name != "host") {
            text.extend([name, ": ", value, "\r\n"]);
        }
        stream.write_all(format!("{text}\r\n{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer)
    }

    fn get(&self, path: &str, key: &str) -> (u16, String) {
        self.ask("GET", path, &[("authorization", &format!("Bearer {key}"))], "")
    }

    fn act(&self, headers: &[(&str, &str)]) -> (u16, String) {
        let key = format!("Bearer {}", self.key);
        let headers = [&[("authorization", key.as_str())], headers].concat();
        self.ask("POST", "/api/acts/nothing", &headers, "{}")
    }
}

#[test]
fn the_page_is_for_everybody_here_and_its_data_for_the_key_alone() {
    let trial = Trial::start();
    for path in ["/", "/console.js", "/console.css", "/mask.js"] {
        let (status, answer) = trial.ask("GET", path, &[], "");
        assert_eq!(status, 200, "{path}");
        let answer = answer.to_lowercase();
        for header in [
            "cache-control: no-store",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cross-origin-opener-policy: same-origin",
            "script-src 'self';",
            "frame-src http://127.0.0.1:1;",
            "frame-ancestors 'none'",
        ] {
            assert!(answer.contains(header), "{path}: {header}\n{answer}");
        }
        assert!(!answer.contains("unsafe-inline") && !answer.contains(&trial.key.to_lowercase()), "{path}");
    }
    for path in ["/api/about", "/api/health", "/api/live", "/api/v1/openapi.json", "/api/nowhere"] {
        assert_eq!(trial.ask("GET", path, &[], "").0, 401, "{path}");
        assert_eq!(trial.get(path, "made-up").0, 401, "{path}");
    }
    let (status, document) = trial.get("/api/v1/openapi.json", &trial.key);
    assert!(status == 200 && document.contains("/v1/users/{id}"), "{document}");
    assert_eq!(trial.get("/api/nowhere", &trial.key).0, 404);
    assert_eq!(trial.get("/api/v1/nowhere", &trial.key).0, 404);
    assert_eq!(trial.get("/nowhere", &trial.key).0, 404);
    assert_eq!(trial.get("/api/timeline?of=cat&id=1", &trial.key).0, 400);
    assert_eq!(trial.get("/api/quarantine/body?key=all", &trial.key).0, 400);
}

#[test]
fn only_this_machine_s_own_page_is_let_in() {
    let trial = Trial::start();
    let json = ("content-type", "application/json");
    let ours = format!("http://localhost:{}", trial.port);
    assert_eq!(trial.act(&[json, ("origin", &ours)]).0, 404, "let in, and there is no such act");
    for origin in ["https://evil.example", "null", "http://127.0.0.1:1"] {
        assert_eq!(trial.act(&[json, ("origin", origin)]).0, 403, "{origin}");
    }
    assert_eq!(trial.act(&[("content-type", "text/plain")]).0, 403, "what a form can send");
    let foreign = format!("localhost.evil.example:{}", trial.port);
    assert_eq!(trial.act(&[json, ("host", &foreign)]).0, 421, "a name that was made to lead here");
    assert_eq!(trial.ask("GET", "/", &[("host", &foreign)], "").0, 421);
    assert_eq!(trial.ask("DELETE", "/api/about", &[], "").0, 405);
}

#[test]
fn what_does_not_answer_is_told_where_it_is_asked_for() {
    let trial = Trial::start();
    let body = |answer: &str| -> Value {
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap()
    };
    let (status, answer) = trial.get("/api/v1/users/u-1", &trial.key);
    let told = body(&answer);
    assert_eq!(status, 503);
    assert!(told["detail"].as_str().unwrap().starts_with("The table cannot be read: reading"), "{told}");
    let (status, answer) = trial.get("/api/health", &trial.key);
    let told = body(&answer);
    assert_eq!(status, 200);
    for part in ["alarms", "lastWebhook", "lastHour", "quarantinedToday"] {
        assert!(told[part]["trouble"].is_string(), "{part}: {told}");
    }
    assert_eq!(told["queues"], json!([]), "this stack names none");
    assert!(!answer.contains("hush"));
}
