//! Histories: what events add up to, by hand-written outcomes, in any order and any repetition.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use shared::event::Envelope;
use shared::state::view::StateView;
use shared::state::{self, BodyHash, State, Unfolded, Write};
use shared::verify::Verified;

use crate::support::{Shuffle, cases, it_dir, read_json};

/// One history: events as Smile would send them, and the state they must add up to.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct History {
    pub(crate) why: String,
    pub(crate) received_at: Timestamp,
    pub(crate) events: Vec<Box<RawValue>>,
    pub(crate) expect: Value,
}

/// All histories, by file name.
pub(crate) fn histories() -> Vec<(String, History)> {
    let mut all: Vec<_> = std::fs::read_dir(it_dir().join("histories"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .map(|file| (file.file_name().unwrap().to_string_lossy().into_owned(), read_json(&file)))
        .collect();
    all.sort_by(|(a, _): &(String, History), (b, _)| a.cmp(b));
    all
}

fn writes(body: &str, received_at: Timestamp) -> Result<Vec<Write>, Unfolded> {
    let event = Envelope::parse(Verified::from_own_queue(body.as_bytes())).unwrap();
    state::writes(&event, &event.facts().unwrap(), &BodyHash::of(body.as_bytes()), received_at)
}

/// The definition of what the table must hold: the events, folded.
pub(crate) fn fold<'a>(bodies: impl IntoIterator<Item = &'a str>, received_at: Timestamp) -> State {
    let mut state = State::default();
    for write in bodies.into_iter().filter_map(|body| writes(body, received_at).ok()).flatten() {
        state.apply(write);
    }
    state
}

pub(crate) fn view(state: &State) -> Value {
    serde_json::to_value(StateView::from(state)).unwrap()
}

#[test]
fn every_history_has_its_outcome() {
    let histories = histories();
    assert!(histories.len() >= 25, "{}", histories.len());
    for (name, history) in &histories {
        let bodies = history.events.iter().map(|event| event.get());
        assert_eq!(view(&fold(bodies, history.received_at)), history.expect, "{name}: {}", history.why);
    }
}

#[test]
fn thousands_of_shuffled_and_repeated_histories_end_the_same() {
    let mut shuffle = Shuffle::new(1);
    let histories = histories();
    for round in 0..cases(30) {
        for (name, history) in &histories {
            let events: Vec<&str> = history.events.iter().map(|event| event.get()).collect();
            let bodies = shuffle.with_repeats(&events);
            assert_eq!(view(&fold(bodies, history.received_at)), history.expect, "{name}, round {round}");
        }
    }
}

/// Events that could come from anywhere in the vendor's vocabulary: few ids and few seconds, so that
/// they meet in the same registers.
#[test]
fn any_events_fold_the_same_in_any_order() {
    let mut shuffle = Shuffle::new(2);
    for round in 0..cases(400) {
        let bodies: Vec<String> = (0..shuffle.below(12) + 2).map(|_| shuffle.event()).collect();
        let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
        let received_at = "2026-03-01T12:00:00Z".parse().unwrap();
        let once = fold(bodies.iter().copied(), received_at);
        let again = fold(shuffle.with_repeats(&bodies), received_at);
        assert_eq!(once, again, "round {round}: {bodies:#?}");
    }
}

/// Whatever bytes come: they are read, or it is told why not. Nothing panics.
#[test]
fn mangled_events_are_read_or_told() {
    let mut rng = fastrand::Rng::with_seed(3);
    let ids = smile_cli::sample::Ids::fresh(&mut rng);
    let received_at = "2026-03-01T12:00:00Z".parse().unwrap();
    let whole: Vec<String> =
        smile_cli::sample::life(&ids, received_at, &mut rng).iter().map(smile_cli::sample::body).collect();
    let (mut read, mut told) = (0, 0);
    for _ in 0..cases(5000) {
        let mut body = rng.choice(&whole).unwrap().clone().into_bytes();
        body.truncate(3000);
        for _ in 0..rng.usize(1..4) {
            let at = rng.usize(..body.len());
            match rng.u8(..4) {
                0 => body[at] = rng.u8(..),
                1 => body[at] = *rng.choice(br#"{}[],:"\0 -"#).unwrap(),
                2 => drop(body.remove(at)),
                _ => body.extend_from_within(..at),
            }
            if body.is_empty() {
                break;
            }
        }
        match Envelope::parse(Verified::from_own_queue(&body)).and_then(|event| Ok((event.facts()?, event))) {
            Ok((facts, event)) => {
                read += 1;
                let _ = state::writes(&event, &facts, &BodyHash::of(&body), received_at);
            }
            Err(reason) => {
                told += 1;
                assert!(!reason.word().is_empty());
            }
        }
    }
    assert!(read > 500 && told > 500, "{read} read, {told} told");
}
