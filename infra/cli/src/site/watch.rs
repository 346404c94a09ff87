//! What Smile said of one user, and what the receiver's table says now: the same reading that `smile show`
//! does.

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use shared::event::Subject;
use shared::id::UserId;
use shared::state::view::StateView;

use super::Scene;
use crate::loopback::Answer;

/// How much is looked back at.
const AT_MOST: usize = 300;

pub(super) async fn look(scene: &Scene, user: &str) -> Answer {
    let user = percent_decode_str(user).decode_utf8_lossy();
    let Ok(user) = UserId::new(&*user) else { return Answer::refusal(400, "user is missing") };
    let deliveries = scene.simulator.deliveries_about(user.as_str(), AT_MOST);
    let (state, unreadable) = match state(scene, &user).await {
        Ok(state) => (state, None),
        // Without the endpoint's own words: a page shows it.
        Err(error) => (Value::Null, Some(error.to_string())),
    };
    let answer = json!({ "deliveries": deliveries, "table": state, "unreadable": unreadable });
    Answer::json(200, &answer)
}

async fn state(scene: &Scene, user: &UserId) -> anyhow::Result<Value> {
    let view = StateView::from(&scene.table.user(user).await?);
    let events = scene.table.events_of(&Subject::User(user.clone()), None, AT_MOST).await?;
    let events = events.iter().map(|event| {
        json!({ "id": event.id, "type": event.kind, "source": event.source, "storedAt": event.stored_at,
            "deliveries": event.deliveries.len() })
    });
    Ok(json!({ "user": view.users.get(user), "events": events.collect::<Vec<_>>() }))
}
