//! The table holds what the fold defines, whatever the order, the repetition and the number of
//! consumers; and it counts deliveries right.

use std::collections::{BTreeMap, BTreeSet};

use aws_lambda_events::sqs::SqsMessage;
use consumer::batch;
use shared::event::Subject;
use shared::id::{EventId, RecordId, UserId, VerificationId};
use shared::state::{REVOKED_UNDATED, State, UNFOLDED_SINCE};

use crate::histories::{fold, histories, view};
use crate::receiver::{self, Receiver};
use crate::support::{Shuffle, cases};

/// All state that the table holds of these users, records and verifications. Not the marks: they say when something
/// came, which no fold knows (`kept` has them).
async fn state(receiver: &Receiver, of: &State) -> State {
    let mut subjects = BTreeSet::new();
    for (entity, _) in of.items() {
        let (pk, _) = entity.keys();
        subjects.insert(match pk.split_once('#').unwrap() {
            ("USER", id) => Subject::User(UserId::new(id).unwrap()),
            ("RECORD", id) => Subject::Record(RecordId::new(id).unwrap()),
            (_, id) => Subject::Verification(VerificationId::new(id).unwrap()),
        });
    }
    let mut state = State::default();
    for subject in subjects {
        for (entity, registers) in receiver.table.state_of(&subject).await.unwrap().items() {
            let mut registers = registers.clone();
            registers.remove(REVOKED_UNDATED);
            registers.remove(UNFOLDED_SINCE);
            if !registers.is_empty() {
                state.insert(entity.clone(), registers);
            }
        }
    }
    state
}

/// Sends the bodies in batches of ten, with messages that SQS delivers twice, and side by side.
async fn run(receiver: &mut Receiver, bodies: &[&str], shuffle: &mut Shuffle) {
    for body in bodies {
        assert_eq!(receiver.send(body.as_bytes()).await.status(), 200);
    }
    let messages = receiver.cloud.receive();
    let messages: Vec<&SqsMessage> = messages.iter().collect();
    let redelivered = shuffle.with_repeats(&messages);
    for ten in redelivered.chunks(10) {
        let mut messages: Vec<SqsMessage> = ten.iter().map(|message| (*message).clone()).collect();
        for (at, message) in messages.iter_mut().enumerate() {
            message.message_id = Some(format!("m-{at}"));
        }
        let (consumer, now) = (receiver.consumer.clone(), receiver.now);
        let response = batch::run(receiver::batch(messages), |message| {
            let consumer = consumer.clone();
            async move { consumer.process(&message, now).await.map_err(|fault| panic!("{fault}")).is_ok() }
        })
        .await
        .unwrap();
        assert!(response.batch_item_failures.is_empty());
    }
}

/// How often each event was sent: every send is a try of the vendor's.
fn tries(bodies: &[&str]) -> BTreeMap<String, BTreeMap<String, usize>> {
    let mut tries: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for body in bodies {
        let id = serde_json::from_str::<serde_json::Value>(body).unwrap()["id"].as_str().unwrap().to_owned();
        *tries.entry(id).or_default().entry((*body).to_owned()).or_default() += 1;
    }
    tries
}

#[tokio::test]
async fn the_histories_end_in_the_table_as_they_should() {
    let mut shuffle = Shuffle::new(3);
    for (name, history) in histories() {
        for round in 0..cases(1) {
            let mut receiver = Receiver::new().await;
            receiver.now = history.received_at;
            let events: Vec<&str> = history.events.iter().map(|event| event.get()).collect();
            let bodies = shuffle.with_repeats(&events);
            run(&mut receiver, &bodies, &mut shuffle).await;
            let folded = fold(events, history.received_at);
            let state = state(&receiver, &folded).await;
            assert_eq!(state, folded, "{name}, round {round}");
            assert_eq!(view(&state), history.expect, "{name}, round {round}");
            for (id, bodies) in tries(&bodies) {
                let (event, body) = receiver.table.event(&EventId::new(&id).unwrap()).await.unwrap().unwrap();
                let seen: usize = bodies.values().sum();
                assert_eq!(event.deliveries.len(), seen, "{name}, round {round}: {id}");
                assert!(body.is_none_or(|body| bodies.contains_key(std::str::from_utf8(&body).unwrap())));
            }
        }
    }
}

#[tokio::test]
async fn any_events_end_in_the_table_as_they_fold() {
    let mut shuffle = Shuffle::new(4);
    for round in 0..cases(40) {
        let mut receiver = Receiver::new().await;
        let events: Vec<String> = (0..shuffle.below(15) + 2).map(|_| shuffle.event()).collect();
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        let bodies = shuffle.with_repeats(&events);
        run(&mut receiver, &bodies, &mut shuffle).await;
        let folded = fold(events, receiver.now);
        assert_eq!(state(&receiver, &folded).await, folded, "round {round}: {bodies:#?}");
        for (id, bodies) in tries(&bodies) {
            let (event, body) = receiver.table.event(&EventId::new(&id).unwrap()).await.unwrap().unwrap();
            // Of several bodies under one id, one is the event, and the others are events beside it.
            let mut found = vec![(event, body)];
            for other in found[0].0.other_bodies.clone() {
                let (other, body) =
                    receiver.table.event(&EventId::new(other).unwrap()).await.unwrap().unwrap();
                assert_eq!(other.other_body_of.as_deref(), Some(&*id));
                found.push((other, body));
            }
            assert_eq!(found.len(), bodies.len(), "round {round}: {id}");
            for (body, tries) in &bodies {
                let hash = shared::state::BodyHash::of(body.as_bytes());
                let (event, kept) = found.iter().find(|(event, _)| event.hash == hash.as_str()).unwrap();
                assert_eq!(event.deliveries.len(), *tries, "round {round}: {id}");
                assert!(kept.as_ref().is_none_or(|kept| kept == body.as_bytes()));
            }
        }
    }
}
