//! Exactly one right registration, whatever was there and whichever call fails.

use std::sync::Arc;

use shared::registration::{Call, Cause, Registrar};
use shared::smile_api::{NewWebhook, SecretText};
use smile_cli::simulate::{Failing, Simulator};

use super::{A, NAME, TestClock, URL, client, desired, for_good, registered, simulator, ways};

/// A registration that differs in one thing, or in none.
fn registration(name: &str, url: &str, secret: &str, change: impl FnOnce(&mut NewWebhook)) -> NewWebhook {
    let mut new = NewWebhook {
        name: name.to_owned(),
        url: url.to_owned(),
        event_types: NewWebhook::all_events(),
        active: true,
        secret: SecretText::new(secret),
        include_payload: false,
    };
    change(&mut new);
    new
}

/// What may be there before.
fn situations() -> Vec<Vec<NewWebhook>> {
    let right = || registration(NAME, URL, A, |_| {});
    vec![
        vec![],
        vec![right()],
        vec![right(), right(), right()],
        vec![registration(NAME, URL, "another", |_| {})],
        vec![registration(NAME, URL, A, |new| new.include_payload = true), right()],
        vec![registration(NAME, URL, A, |new| new.active = false)],
        vec![registration(NAME, URL, A, |new| new.event_types.clear())],
    ]
}

/// What is not ours and must stay.
fn strangers() -> Vec<NewWebhook> {
    vec![
        registration("by hand", URL, A, |_| {}),
        registration(NAME, "https://elsewhere.example.com/", A, |_| {}),
    ]
}

fn begin(webhooks: Vec<NewWebhook>) -> Simulator {
    let simulator = simulator(&TestClock::start());
    let all = client(&simulator, 1);
    let mut webhooks = webhooks;
    webhooks.extend(strangers());
    // Past the API's checks, as the portal would have done it.
    for webhook in webhooks {
        let inactive = !webhook.active;
        all.create_webhook(&NewWebhook { active: true, ..webhook }).unwrap();
        if inactive {
            simulator.world(|world| world.webhooks.last_mut().unwrap().registered.active = false);
        }
    }
    simulator
}

fn right() -> (String, String, usize, bool, String) {
    (NAME.to_owned(), URL.to_owned(), 1, false, A.to_owned())
}

fn ours(simulator: &Simulator) -> Vec<(String, String, usize, bool, String)> {
    let mut all = registered(simulator);
    let before = all.len();
    all.retain(|found| found.0 == NAME && found.1 == URL);
    assert_eq!(before - all.len(), strangers().len(), "what is not ours stays");
    all
}

#[test]
fn whichever_call_fails_the_next_run_makes_it_right() {
    let mut runs = 0;
    for (situation, _) in situations().iter().enumerate() {
        for way in 0..4 {
            for at in 0.. {
                let simulator = begin(situations().swap_remove(situation));
                for failing in for_good(ways(at)[way].clone()) {
                    simulator.fail(failing);
                }
                let first = Registrar::new(client(&simulator, 1), |_| true).ensure(&desired(URL));
                simulator.stop_failing();
                runs += 1;
                let is_over = first.is_ok();
                if let Err(failure) = first {
                    let Cause::Smile(error) = &failure.cause else { panic!("{failure:?}") };
                    assert!(!format!("{error} {failure:?}").contains(A));
                    reported(&simulator, &failure.left);
                }
                let second = Registrar::new(client(&simulator, 1), |_| true).ensure(&desired(URL)).unwrap();
                assert_eq!(ours(&simulator), [right()], "{situation} {way} {at}");
                assert!(simulator.world(|world| world.webhook(second.id.as_str()).is_some()));
                let third = Registrar::new(client(&simulator, 1), |_| true).ensure(&desired(URL)).unwrap();
                assert_eq!((third.id, third.is_new, third.deleted.len()), (second.id, false, 0), "it stays");
                if is_over {
                    break;
                }
            }
        }
    }
    assert!(runs > 60, "{runs}");
}

/// What is ours and not right is named, or said to be unknown.
fn reported(simulator: &Simulator, left: &shared::registration::Left) {
    let wrong: Vec<String> = simulator.world(|world| {
        let is_right = |new: &NewWebhook| {
            new.active && !new.include_payload && new.secret.expose() == A && !new.event_types.is_empty()
        };
        let ours = world
            .webhooks
            .iter()
            .filter(|found| found.registered.name == NAME && found.registered.url == URL);
        let (mut right, mut wrong): (Vec<_>, Vec<_>) = ours.partition(|found| is_right(&found.registered));
        // All are of one second: the id says which one is kept.
        right.sort_by(|one, other| one.id.cmp(&other.id));
        wrong.extend(right.into_iter().skip(1));
        wrong.into_iter().map(|found| found.id.clone()).collect()
    });
    for id in wrong {
        assert!(left.unknown || left.ids.iter().any(|known| known.as_str() == id), "{id} is not in {left:?}");
    }
}

#[test]
fn a_call_that_fails_once_is_got_over_within_the_run() {
    for situation in 0..situations().len() {
        for way in 0..4 {
            for at in 0..6 {
                let simulator = begin(situations().swap_remove(situation));
                simulator.fail(ways(at)[way].clone());
                Registrar::new(client(&simulator, 4), |_| true).ensure(&desired(URL)).unwrap();
                assert_eq!(ours(&simulator), [right()], "{situation} {way} {at}");
            }
        }
    }
}

#[test]
fn what_is_removed_is_gone_or_named() {
    for way in 0..4 {
        for at in 0.. {
            let simulator = begin(situations().swap_remove(2));
            for failing in for_good(ways(at)[way].clone()) {
                simulator.fail(failing);
            }
            let first = Registrar::new(client(&simulator, 1), |_| true).remove(NAME, URL);
            simulator.stop_failing();
            if let Ok(deleted) = &first {
                assert_eq!((deleted.len(), ours(&simulator)), (3, vec![]));
                break;
            }
            let left = first.unwrap_err().left;
            let there = simulator.world(|world| {
                let ours = world
                    .webhooks
                    .iter()
                    .filter(|found| found.registered.name == NAME && found.registered.url == URL);
                ours.map(|found| found.id.clone()).collect::<Vec<_>>()
            });
            for id in &there {
                assert!(left.unknown || left.ids.iter().any(|known| known.as_str() == id), "{id}: {left:?}");
            }
            Registrar::new(client(&simulator, 1), |_| true).remove(NAME, URL).unwrap();
            assert_eq!(ours(&simulator), []);
        }
    }
}

#[test]
fn who_is_told_to_stop_asks_nothing_more() {
    let calls = |simulator: &Simulator| simulator.calls().len();
    for most in 0..4 {
        let simulator = begin(situations().swap_remove(3));
        let before = calls(&simulator);
        let mut asked = 0;
        let may_go_on = move |_: &Call| {
            asked += 1;
            asked <= most
        };
        let failure = Registrar::new(client(&simulator, 1), may_go_on).ensure(&desired(URL)).unwrap_err();
        assert!(matches!(failure.cause, Cause::Stopped));
        assert_eq!(calls(&simulator) - before, most);
        reported(&simulator, &failure.left);
    }
}

#[test]
fn two_at_once_end_with_one() {
    for _ in 0..20 {
        let simulator = begin(vec![]);
        let all = Arc::clone(&client(&simulator, 4));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                let client = Arc::clone(&all);
                scope.spawn(move || Registrar::new(client, |_| true).ensure(&desired(URL)));
            }
        });
        // Each has seen its own; the next one tidies up.
        Registrar::new(client(&simulator, 4), |_| true).ensure(&desired(URL)).unwrap();
        assert_eq!(ours(&simulator), [right()]);
    }
}

#[test]
fn a_creation_that_never_answers_is_not_repeated_for_ever() {
    let simulator = begin(vec![]);
    simulator.fail(Failing::next(smile_cli::simulate::Operation::CreateWebhook, u32::MAX, 500));
    let before = simulator.calls().len();
    let failure = Registrar::new(client(&simulator, 1), |_| true).ensure(&desired(URL)).unwrap_err();
    assert!(matches!(failure.cause, Cause::Unsettled) && failure.left.unknown, "{failure:?}");
    assert!(simulator.calls().len() - before <= 8);
}
