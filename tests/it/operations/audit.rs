//! What is written down of an act, and that nobody else stumbles over it.

use jiff::{SignedDuration, Timestamp};
use shared::table::{AUDIT_DAYS, Begun, Partition, Progress, Standing};

use crate::receiver::Receiver;

fn begun<'a>(action: &'a str, at: Timestamp, random: u64, parameters: &'a [(&'a str, String)]) -> Begun<'a> {
    Begun { who: "arn:aws:iam::1:user/ops", via: "command", action, parameters, meant: 3, at, random }
}

#[tokio::test]
async fn an_act_is_there_from_its_beginning_and_says_how_far_it_came() {
    let table = Receiver::new().await.table;
    let at: Timestamp = "2026-03-01T23:59:59.999Z".parse().unwrap();
    let day = "2026-03-01".parse().unwrap();
    let parameters = [("queue", "webhook".to_owned()), ("types", "TASK_FINISHED".to_owned())];
    let key = table.begin_act(begun("redrive", at, 2, &parameters)).await.unwrap();
    // At the same moment, by somebody else, and never ended: as of a command that was killed.
    table.begin_act(begun("replay", at, 1, &[])).await.unwrap();
    // But never over another one.
    table.begin_act(begun("replay", at, 1, &[])).await.unwrap_err();

    let acts = table.acts_on(day).await.unwrap();
    let told: Vec<_> = acts.iter().map(|act| (act.action.as_str(), act.standing, act.done)).collect();
    assert_eq!(told, [("replay", Standing::Begun, 0), ("redrive", Standing::Begun, 0)]);
    assert_eq!((&*acts[1].who, &*acts[1].via, acts[1].meant), ("arn:aws:iam::1:user/ops", "command", 3));
    assert_eq!(acts[1].parameters["types"], "TASK_FINISHED");
    assert_eq!((acts[1].begun_at, acts[1].ended_at), (at, None));

    let progress = |done, standing, detail| Progress { done, left: 1, standing, detail };
    table.note_act(&key, progress(1, Standing::Begun, Some("go on from noon")), at).await.unwrap();
    let acts = table.acts_on(day).await.unwrap();
    assert_eq!((acts[1].done, acts[1].detail.as_deref()), (1, Some("go on from noon")));
    assert_eq!(acts[1].ended_at, None);
    let end = at + SignedDuration::from_secs(90);
    table.note_act(&key, progress(2, Standing::Failed, Some("SQS is away")), end).await.unwrap();
    let acts = table.acts_on(day).await.unwrap();
    let failed = &acts[1];
    assert_eq!((failed.done, failed.left, failed.standing), (2, 1, Standing::Failed));
    assert_eq!((failed.detail.as_deref(), failed.ended_at), (Some("SQS is away"), Some(end)));
    // Who comes to the end needs no place to go on from.
    table.note_act(&key, progress(3, Standing::Done, None), end).await.unwrap();
    assert_eq!(table.acts_on(day).await.unwrap()[1].detail, None);
    // Its day is that of its beginning.
    assert!(table.acts_on("2026-03-02".parse().unwrap()).await.unwrap().is_empty());
    assert_eq!(serde_json::to_value(failed).unwrap()["standing"], "failed");
}

#[tokio::test]
async fn an_act_expires_and_is_in_no_list_of_events() {
    let receiver = Receiver::new().await;
    let at: Timestamp = "2026-03-01T10:00:00Z".parse().unwrap();
    receiver.table.begin_act(begun("replay", at, 1, &[])).await.unwrap();
    let [item] = &receiver.items().await[..] else { panic!("one item") };
    assert_eq!(item["pk"].as_s().unwrap(), "AUDIT#2026-03-01");
    let expires: i64 = item["expires"].as_n().unwrap().parse().unwrap();
    assert_eq!(expires, at.as_second() + AUDIT_DAYS * 86_400);
    for key in ["day", "owner", "order", "erase", "erase_due"] {
        assert!(!item.contains_key(key), "an index has it by {key}");
    }
    for partition in Partition::of_day("2026-03-01".parse().unwrap(), None) {
        let stretch =
            receiver.table.stretch(&partition, "", None, &shared::table::Filter::default(), 10).await;
        assert!(stretch.unwrap().events.is_empty());
    }
}
