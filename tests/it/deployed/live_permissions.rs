//! The statements of the live and push functions, taken away one by one: pages are not connected or not told, and all
//! is as before when it is mended.
//!
//! Not push's statement `DeadLetters`: the local cloud tries an asynchronous call once, and sends no letter.

use std::time::Duration;

use serde_json::json;

use super::callbacks::Page;
use super::socket::Socket;
use super::{Beside, Deployed, until};

const SOON: Duration = Duration::from_secs(30);
/// Long enough for what comes within a second or two when it comes.
const AWHILE: Duration = Duration::from_secs(6);
const REFRESH: &str = r#"{"type":"refresh"}"#;

impl Deployed {
    async fn connect(&self, page: &Page) -> Result<Socket, u16> {
        let protocols = ["smile.v1".to_owned(), format!("smile.session.{}", page.token)];
        Socket::open(&self.stack().outputs["LiveUrl"], &protocols).await
    }

    /// A page of this user's that listens.
    async fn listening(&self, page: &Page) -> Socket {
        let mut socket = self.connect(page).await.unwrap();
        socket.say(r#"{"action":"hello"}"#);
        assert_eq!(socket.hear(SOON).await.as_deref(), Some(REFRESH));
        socket
    }

    /// Sends a webhook about this user, and waits until push has dealt with it; gives the line of its log.
    async fn changes(&self, page: &Page, id: &str) -> String {
        let body = json!({ "id": id, "version": 1, "type": "USER_CREATED", "createdAt": "2026-03-01T10:00:00Z",
                           "data": { "userId": page.user } });
        assert_eq!(self.send(body.to_string().as_bytes()).await.0, 200);
        until(id, async || {
            let log = self.log_of("smile-push").await;
            log.into_iter().find(|line| line.contains(id))
        })
        .await
    }

    async fn push_log_has(&self, words: &str) {
        until(words, async || {
            self.log_of("smile-push").await.iter().any(|line| line.contains(words)).then_some(())
        })
        .await;
    }
}

fn told(id: &str) -> String {
    format!(r#"{{"type":"USER_CREATED","id":"{id}","entity":"USER"}}"#)
}

/// What the simulated Smile tells of its new user can come at any time.
async fn hears_nothing_of(page: &mut Socket, id: &str) {
    while let Some(heard) = page.hear(AWHILE).await {
        assert!(!heard.contains(id), "{heard}");
    }
}

#[tokio::test]
async fn without_a_statement_pages_are_not_connected_or_not_told_and_mended_they_are() {
    let beside = Beside::Here { site_port: 0, console_port: 0 };
    let deployed = Deployed::beside("live-permissions", beside).await;
    let page = Page::open(&deployed).await;
    let mut first = deployed.listening(&page).await;
    deployed.changes(&page, "et-live-0").await;
    // The simulated Smile has told of its new user, too.
    while first.hear(SOON).await.unwrap() != told("et-live-0") {}

    // Without its connections, live cannot answer: a page is connected and hears nothing. Without its table, push
    // does not know who listens: it fails, and does not take that for nobody.
    deployed.update_but_for(&[("LiveRole", "Connections"), ("PushRole", "Listeners")], &[]).await;
    let mut unanswered = deployed.connect(&page).await.unwrap();
    unanswered.say(r#"{"action":"hello"}"#);
    assert_eq!(unanswered.hear(AWHILE).await, None);
    assert!(deployed.changes(&page, "et-live-1").await.contains("\"not pushed; it comes again\""));
    hears_nothing_of(&mut first, "et-live-1").await;

    // The other way round: nobody is connected, and push knows whom it cannot tell.
    deployed.update_but_for(&[("LiveRole", "Table"), ("PushRole", "Connections")], &[]).await;
    assert!(deployed.connect(&page).await.is_err());
    deployed.changes(&page, "et-live-2").await;
    deployed.push_log_has("\"not told\"").await;
    hears_nothing_of(&mut first, "et-live-2").await;

    // Begun anew without its secret, live does not start. Push is whole again, and tells.
    let origins = [("CallbackOrigins", "https://app.example.com,capacitor://localhost")];
    deployed.update_but_for(&[("LiveRole", "Secret")], &origins).await;
    assert!(deployed.connect(&page).await.is_err());
    deployed.changes(&page, "et-live-3").await;
    assert_eq!(first.hear(SOON).await.as_deref(), Some(told("et-live-3").as_str()));

    // Mended, all is as before, and who was there all the time still is.
    deployed.update_but_for(&[], &[]).await;
    let mut second = deployed.listening(&page).await;
    deployed.changes(&page, "et-live-4").await;
    for socket in [&mut first, &mut second] {
        assert_eq!(socket.hear(SOON).await.as_deref(), Some(told("et-live-4").as_str()));
    }
    first.say(r#"{"action":"ping"}"#);
    assert_eq!(first.hear(SOON).await.as_deref(), Some(r#"{"type":"pong"}"#));
    deployed.stop().await;
}
