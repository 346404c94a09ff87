//! Deliveries: signed, to every active webhook that wants the type, with the vendor's rule. Any 2xx is
//! success; otherwise there are two more tries, "a few dozen seconds" apart, with the same id and the same
//! bytes (Smile, webhooks reference). Order is not promised.
//!
//! A delivery is decided when its event happens: what goes where, and with which secret. A webhook that is
//! deleted afterwards still gets its tries, since the vendor's documents do not say otherwise, and this is
//! the harder case for a receiver.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use shared::event::EventType;
use shared::verify::{SIGNATURE_HEADER, Secret, sign};
use ureq::Agent;

use super::stage::{Play, Stage};
use crate::sample::{self, Ids};

/// The most deliveries that are kept to be looked at.
const KEPT: usize = 20_000;

/// One try to deliver one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// The event's id.
    pub event: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The user that it is about, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// The webhook's id.
    pub webhook: String,
    /// Where it is registered.
    pub url: String,
    /// 1, 2 or 3; 0 for an event that was dropped.
    #[serde(rename = "try")]
    pub number: u32,
    /// The answer's status; none when there was none.
    pub status: Option<u16>,
    /// When.
    pub at: Timestamp,
}

impl Delivery {
    /// Whether the receiver took it.
    pub fn is_taken(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// Where deliveries to a URL really go, for URLs that lead nowhere from here, such as those of a local
/// cloud's API Gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detour {
    /// How the registered URL begins.
    pub from: String,
    /// What stands there instead.
    pub to: String,
    /// Headers that are needed there.
    pub headers: Vec<(String, String)>,
}

/// One event on its way to one webhook.
struct Parcel {
    delivery: Delivery,
    to: String,
    headers: Vec<(String, String)>,
    body: Arc<[u8]>,
    signature: String,
    delay: Duration,
}

/// Sends out what happened.
pub(super) fn send(stage: &Arc<Stage>, events: &[Value]) {
    if events.is_empty() {
        return;
    }
    let now = stage.now();
    let (parcels, dropped) = {
        let mut play = stage.play();
        let (parcels, dropped) = packed(&mut play, &stage.options.detours, events, now);
        play.under_way += parcels.len();
        (parcels, dropped)
    };
    for delivery in dropped {
        stage.delivered(delivery);
    }
    for parcel in parcels {
        stage.runtime.spawn(deliver(Arc::clone(stage), parcel));
    }
}

/// What goes where, after all mischief, and what is dropped.
fn packed(
    play: &mut Play,
    detours: &[Detour],
    events: &[Value],
    now: Timestamp,
) -> (Vec<Parcel>, Vec<Delivery>) {
    let mischief = play.mischief.clone();
    let (mut parcels, mut dropped) = (Vec::new(), Vec::new());
    let world = &mut play.world;
    for event in events {
        let mut event = event.clone();
        let kind = EventType::from(event["type"].as_str().unwrap_or_default());
        if let Some(kilobytes) = mischief.grow_kb {
            let user = event["data"]["userId"].as_str().unwrap_or_default().to_owned();
            let ids = Ids::of_user(user, &mut world.rng);
            sample::grow(&mut event, kilobytes, &ids, now, &mut world.rng);
        }
        let data = &event["data"];
        let user = data["userId"].as_str().or_else(|| data["session"]["userId"].as_str()).map(str::to_owned);
        let full: Arc<[u8]> = sample::body(&event).into_bytes().into();
        let bare: Arc<[u8]> = sample::body(&without_payload(event.clone(), &kind)).into_bytes().into();
        let receivers = world.webhooks.iter().filter(|webhook| webhook.receives(&kind));
        for webhook in receivers {
            let registered = &webhook.registered;
            // Checked at registration; a test that puts in another one gets nothing.
            let Ok(secret) = Secret::new(registered.secret.expose()) else { continue };
            let delivery = Delivery {
                event: event["id"].as_str().unwrap_or_default().to_owned(),
                kind: kind.as_str().to_owned(),
                user_id: user.clone(),
                webhook: webhook.id.clone(),
                url: registered.url.clone(),
                number: 0,
                status: None,
                at: now,
            };
            if world.rng.f64() < mischief.drop {
                dropped.push(delivery);
                continue;
            }
            let body = if registered.include_payload { &full } else { &bare };
            let signature = sign(&secret, body).to_string();
            let (to, headers) = detour(&registered.url, detours);
            for _ in 0..=mischief.repeat {
                let longest = mischief.delay_ms;
                let delay = if mischief.reorder { world.rng.u64(0..=longest) } else { longest };
                parcels.push(Parcel {
                    delivery: delivery.clone(),
                    to: to.clone(),
                    headers: headers.to_vec(),
                    body: Arc::clone(body),
                    signature: signature.clone(),
                    delay: Duration::from_millis(delay),
                });
            }
        }
    }
    if mischief.reorder {
        world.rng.shuffle(&mut parcels);
    }
    (parcels, dropped)
}

/// Two types carry the data themselves only where that was asked for; the others always do.
fn without_payload(mut event: Value, kind: &EventType) -> Value {
    if matches!(kind, EventType::TaskFinished | EventType::AccountSyncTaskFinished)
        && let Some(data) = event["data"].as_object_mut()
    {
        data.remove("payload");
    }
    event
}

fn detour<'a>(url: &str, detours: &'a [Detour]) -> (String, &'a [(String, String)]) {
    let found = detours.iter().find_map(|detour| Some((detour, url.strip_prefix(detour.from.as_str())?)));
    match found {
        Some((detour, rest)) => (format!("{}{rest}", detour.to), &detour.headers),
        None => (url.to_owned(), &[]),
    }
}

async fn deliver(stage: Arc<Stage>, mut parcel: Parcel) {
    if !parcel.delay.is_zero() {
        tokio::time::sleep(parcel.delay).await;
    }
    let tries = stage.options.tries.max(1);
    for number in 1..=tries {
        // Held while it is posted, not while it waits for its next try.
        let Ok(permit) = stage.permits.acquire().await else { break };
        let agent = stage.agent.clone();
        let posted = tokio::task::spawn_blocking(move || {
            let status = post(&agent, &parcel);
            (parcel, status)
        });
        let Ok((back, status)) = posted.await else { break };
        drop(permit);
        parcel = back;
        let delivery = Delivery { number, status, at: stage.now(), ..parcel.delivery.clone() };
        let is_taken = delivery.is_taken();
        stage.delivered(delivery);
        if is_taken || number == tries {
            break;
        }
        tokio::time::sleep(stage.options.retry_wait).await;
    }
    stage.arrived();
}

/// Posts once. Redirects are answers, and no success.
fn post(agent: &Agent, parcel: &Parcel) -> Option<u16> {
    let mut request = agent
        .post(&parcel.to)
        .header("content-type", "application/json")
        .header(SIGNATURE_HEADER, &parcel.signature);
    for (name, value) in &parcel.headers {
        request = request.header(name, value);
    }
    request.send(&*parcel.body).ok().map(|response| response.status().as_u16())
}

/// Who posts.
pub(super) fn agent(answer_within: Duration) -> Agent {
    Agent::config_builder()
        .timeout_global(Some(answer_within))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("smile-simulate/", env!("CARGO_PKG_VERSION")))
        // A proxy of the environment would not find this machine's own ports.
        .proxy(None)
        .build()
        .into()
}

impl Play {
    /// Keeps a delivery, and forgets the oldest when there are too many.
    pub(super) fn keep(&mut self, delivery: Delivery) {
        if self.deliveries.len() == KEPT {
            self.deliveries.pop_front();
        }
        self.deliveries.push_back(delivery);
    }
}
