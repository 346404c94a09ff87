//! The statements of the callback and link functions, taken away one by one, and what the consumer needs for a
//! callback: what it breaks is told as our own trouble, and what was accepted comes again when it is mended.
//!
//! Not the consumer's statement `Queue` for the callback queue: as with the webhook queue (`permissions`), the local
//! cloud reads it for the function by itself, and asks no role.

use std::collections::BTreeMap;

use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::{Value, json};
use shared::id::UserId;

use super::callbacks::Page;
use super::{Deployed, ask, until};
use crate::observability::check_metric_line;

impl Deployed {
    /// Updates the stack: without these statements, and with its parameters as they are but for these.
    pub(super) async fn update_but_for(&self, without: &[(&str, &str)], parameters: &[(&str, &str)]) {
        let stacks = self.cloudformation.describe_stacks().stack_name("smile").send().await.unwrap();
        let now = stacks.stacks()[0].parameters().iter();
        let mut all: BTreeMap<&str, &str> =
            now.map(|now| (now.parameter_key().unwrap(), now.parameter_value().unwrap())).collect();
        all.extend(parameters.iter().copied());
        let all: Vec<_> = all.into_iter().collect();
        let template = self.without(without.iter().copied()).await;
        assert_eq!(self.change(&template, &all).await, "UPDATE_COMPLETE");
    }

    /// How often the consumer has given a message back to its queue.
    pub(super) async fn given_back(&self) -> usize {
        let log = self.log_of("smile-consumer").await;
        let lines = log.iter().filter(|line| line.contains("\"CloudWatchMetrics\""));
        let counted = lines.map(|line| check_metric_line(line));
        counted.filter(|(metric, ..)| metric.name() == "Retried").count()
    }

    async fn callback_dead_letters(&self) -> String {
        let queue = &self.stack().outputs["CallbackDeadLetterQueueUrl"];
        let name = QueueAttributeName::ApproximateNumberOfMessages;
        let asked = self.sqs.get_queue_attributes().queue_url(queue).attribute_names(name.clone());
        asked.send().await.unwrap().attributes().unwrap()[&name].clone()
    }
}

impl Page {
    /// Sends one callback of this id.
    async fn say(&self, token: &str, id: &str) -> (u16, http::HeaderMap, Value) {
        self.send(&self.origin, token, &json!([self.item(id, "onClose", json!({}))])).await
    }

    async fn is_stored(&self, deployed: &Deployed, id: &str) -> bool {
        let id = shared::callback::event_id(&UserId::new(&self.user).unwrap(), id);
        deployed.table.event(&id).await.unwrap().is_some()
    }

    async fn stored(&self, deployed: &Deployed, id: &str) {
        until(id, async || self.is_stored(deployed, id).await.then_some(())).await;
    }

    /// The same session, signed by somebody else.
    fn forged(&self) -> String {
        let (said, signature) = self.token.rsplit_once('.').unwrap();
        let other = if signature.starts_with('A') { "B" } else { "A" };
        format!("{said}.{other}{}", &signature[1..])
    }
}

fn is_unavailable((status, headers, problem): &(u16, http::HeaderMap, Value)) {
    assert_eq!((*status, &problem["status"], &problem["code"]), (503, &json!(503), &json!("unavailable")));
    assert_eq!(headers["content-type"], "application/problem+json");
    assert!(headers.contains_key("retry-after"), "{headers:?}");
}

#[tokio::test]
async fn without_a_statement_browsers_are_told_to_try_again_and_what_was_accepted_comes_again() {
    let deployed =
        Deployed::beside("callback-permissions", super::Beside::Here { site_port: 0, console_port: 0 }).await;
    let queue = &deployed.stack().outputs["CallbackQueueUrl"];
    // Not the three minutes of production.
    let again = deployed.sqs.set_queue_attributes().queue_url(queue);
    again.attributes(QueueAttributeName::VisibilityTimeout, "3").send().await.unwrap();
    let page = Page::open(&deployed).await;
    assert_eq!(page.say(&page.token, "c-0").await.0, 200);
    page.stored(&deployed, "c-0").await;

    // Without the queue nothing is accepted; what needs no queue is answered as ever. The link function, begun
    // anew without its secrets, does not start: nobody is told that they are at fault.
    let new_link = [("SessionMinutes", "61")];
    deployed.update_but_for(&[("CallbackRole", "Queue"), ("LinkRole", "Secrets")], &new_link).await;
    let refused = page.say(&page.token, "c-1").await;
    is_unavailable(&refused);
    assert_eq!(refused.2["refused"][0]["code"], "unavailable", "{}", refused.2);
    assert_eq!(page.say("rubbish", "c-1").await.0, 401);
    let headers = vec![("content-type", "application/json".to_owned()), ("origin", page.origin.clone())];
    let (status, _, answer) =
        ask("POST", format!("{}/api/links", page.origin), headers, "{}".to_owned()).await;
    assert!((500..=599).contains(&status) && answer.get("session").is_none(), "{status} {answer}");

    // Without its secret, a function that has it goes on with it, but cannot look whether there is a newer one.
    // Without the consumer's table, what is accepted waits.
    deployed.update_but_for(&[("CallbackRole", "Secret"), ("ConsumerRole", "Table")], &[]).await;
    let other = Page::open(&deployed).await;
    assert_ne!(other.user, page.user, "links are given again");
    let before = deployed.given_back().await;
    assert_eq!(page.say(&page.token, "c-2").await.0, 200);
    // Lately it has looked; it does so every ten seconds at most.
    let forged = until("the function to look again", async || {
        let answer = page.say(&page.forged(), "c-3").await;
        (answer.0 != 401).then_some(answer)
    });
    is_unavailable(&forged.await);
    deployed.gives_back(before).await;
    assert!(!page.is_stored(&deployed, "c-2").await);

    // Begun anew without its secret it does not start: a 5xx, never a 401. What waited is stored.
    deployed.update_but_for(&[("CallbackRole", "Secret")], &[("UnconfirmedSeconds", "121")]).await;
    let (status, _, answer) = page.say(&page.token, "c-4").await;
    assert!((500..=599).contains(&status), "{status} {answer}");
    page.stored(&deployed, "c-2").await;

    // Mended, all is as before; what was refused has left nothing.
    deployed.update_but_for(&[], &[]).await;
    assert_eq!(page.say(&page.token, "c-1").await.0, 200);
    page.stored(&deployed, "c-1").await;
    for id in ["c-3", "c-4"] {
        assert!(!page.is_stored(&deployed, id).await, "{id}");
    }
    assert_eq!(page.say(&page.forged(), "c-3").await.0, 401);
    assert_eq!(deployed.callback_dead_letters().await, "0");
    deployed.stop().await;
}
