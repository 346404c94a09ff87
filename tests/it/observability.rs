//! What on-call people see is held to what the code does: alarms, dashboard and runbook to the metrics in
//! [`Metric`], and every metric line to the embedded metric format's schema.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};
use shared::event::EventType;
use shared::metrics::{Count, Metric, NAMESPACE};

use crate::support::{it_dir, read_json, template};

const STACK: &str = "stack";

/// A metric as CloudWatch tells them apart: namespace, name, and names and values of its dimensions.
type Series = (String, String, Vec<(String, String)>);

fn alarms(template: &Value) -> BTreeMap<&str, &Value> {
    let resources = template["Resources"].as_object().unwrap().iter();
    resources
        .filter(|(_, resource)| resource["Type"] == "AWS::CloudWatch::Alarm")
        .map(|(name, resource)| (name.as_str(), &resource["Properties"]))
        .collect()
}

/// What stands there once it is deployed, as far as alarms and dashboard need it.
fn resolved(value: &Value) -> String {
    if let Some(text) = value.as_str() {
        return text.to_owned();
    }
    let (function, argument) = value.as_object().unwrap().iter().next().unwrap();
    match (function.as_str(), argument) {
        ("Ref", Value::String(name)) => named(name),
        ("Fn::GetAtt", Value::Array(path)) => {
            named(&format!("{}.{}", path[0].as_str().unwrap(), path[1].as_str().unwrap()))
        }
        ("Fn::Sub", Value::String(text)) => substituted(text),
        _ => panic!("{value}"),
    }
}

fn named(name: &str) -> String {
    match name {
        "AWS::StackName" => STACK.to_owned(),
        "ConsumerFunction" => format!("{STACK}-consumer"),
        "CallbackFunction" | "CallbackQueue.QueueName" => format!("{STACK}-callback"),
        "CallbackDeadLetterQueue.QueueName" => format!("{STACK}-callback-dead-letters"),
        "LinkFunction" => format!("{STACK}-link"),
        "QueryFunction" => format!("{STACK}-query"),
        "LiveFunction" => format!("{STACK}-live"),
        "PushFunction" => format!("{STACK}-push"),
        "PushDeadLetterQueue.QueueName" => format!("{STACK}-push-dead-letters"),
        "PublishFunction" | "PublishRetryQueue.QueueName" => format!("{STACK}-publish"),
        "PublishDeadLetterQueue.QueueName" => format!("{STACK}-publish-dead-letters"),
        // Function and queue share their name.
        "WebhookFunction" | "WebhookQueue.QueueName" => format!("{STACK}-webhook"),
        "WebhookDeadLetterQueue.QueueName" => format!("{STACK}-webhook-dead-letters"),
        "RunbookUrl" => "infra/runbook.md".to_owned(),
        "SilenceMinutes" => "30".to_owned(),
        "AlarmTopic" => "topic".to_owned(),
        "AWS::AccountId" | "AWS::Partition" | "AWS::Region" | "BackendApi" | "CallbackApi" | "LiveApi"
        | "WebhookApi" => name.to_owned(),
        other => panic!("{other} has no value here yet"),
    }
}

fn substituted(text: &str) -> String {
    let mut parts = text.split("${");
    let mut whole = parts.next().unwrap().to_owned();
    for part in parts {
        let (name, rest) = part.split_once('}').unwrap();
        whole += &(named(name) + rest);
    }
    whole
}

/// Every series that the functions write, where the values of a further dimension do not matter: `*`.
fn written() -> BTreeSet<Series> {
    let series = |metric: Metric, function: &str, by: Option<&str>| {
        let mut dimensions = vec![("FunctionName".to_owned(), format!("{STACK}-{function}"))];
        dimensions.extend(by.map(|by| (by.to_owned(), "*".to_owned())));
        (NAMESPACE.to_owned(), metric.name().to_owned(), dimensions)
    };
    let mut all = BTreeSet::new();
    for metric in Metric::ALL {
        for function in metric.functions() {
            all.insert(series(*metric, function, None));
            all.extend(metric.dimension().map(|by| series(*metric, function, Some(by))));
        }
    }
    all
}

/// A series of an alarm or a widget, with the value of its further dimension as `*`.
fn general((namespace, name, dimensions): &Series) -> Series {
    let mut dimensions = dimensions.clone();
    if let Some((_, value)) = dimensions.get_mut(1) {
        "*".clone_into(value);
    }
    (namespace.clone(), name.clone(), dimensions)
}

/// What an alarm watches: one series, or those that it calculates with.
fn watched(alarm: &Value) -> Vec<Series> {
    let series = |metric: &Value| {
        let dimensions = metric["Dimensions"].as_array().unwrap();
        let dimensions = dimensions.iter().map(|d| (resolved(&d["Name"]), resolved(&d["Value"]))).collect();
        (resolved(&metric["Namespace"]), resolved(&metric["MetricName"]), dimensions)
    };
    match alarm["Metrics"].as_array() {
        None => vec![series(alarm)],
        Some(metrics) => metrics
            .iter()
            .map(|metric| &metric["MetricStat"]["Metric"])
            .filter(|m| !m.is_null())
            .map(series)
            .collect(),
    }
}

/// The dashboard's body, with all that it can have, and all series in it.
fn dashboard(template: &Value) -> (Value, BTreeSet<Series>) {
    let body = &template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"];
    let mut text = body[0].as_str().unwrap().to_owned();
    for (part, condition) in [
        ("CallbackAlarmArns", "KnowsSmile"),
        ("CallbackWidgets", "KnowsSmile"),
        ("SilenceAlarmArn", "WatchesSilence"),
    ] {
        let choice = &body[1][part]["Fn::If"];
        assert_eq!((&choice[0], &choice[2]), (&json!(condition), &json!("")), "{part}");
        assert!(text.contains(&format!("${{{part}}}")), "{part} is used");
        text = text.replace(&format!("${{{part}}}"), choice[1]["Fn::Sub"].as_str().unwrap());
    }
    // Without them, too, it is JSON.
    let least = ["CallbackAlarmArns", "CallbackWidgets", "SilenceAlarmArn"]
        .iter()
        .fold(body[0].as_str().unwrap().to_owned(), |text, part| text.replace(&format!("${{{part}}}"), ""));
    serde_json::from_str::<Value>(&substituted(&least)).unwrap();
    let body: Value = serde_json::from_str(&substituted(&text)).unwrap();
    let mut series = BTreeSet::new();
    for metric in
        body["widgets"].as_array().unwrap().iter().flat_map(|widget| {
            widget["properties"]["metrics"].as_array().map_or(&[][..], Vec::as_slice).iter()
        })
    {
        let parts: Vec<&str> = metric.as_array().unwrap().iter().filter_map(Value::as_str).collect();
        if let [namespace, name, dimensions @ ..] = parts.as_slice() {
            let pairs = dimensions.chunks(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect();
            series.insert(((*namespace).to_owned(), (*name).to_owned(), pairs));
            continue;
        }
        // SEARCH('{SmileReceiver,FunctionName,Type} MetricName="Received" FunctionName="…"', 'Sum', 300)
        let search = metric[0]["expression"].as_str().unwrap();
        let schema = search.strip_prefix("SEARCH('{").unwrap().split_once('}').unwrap().0;
        let quoted: Vec<&str> = search.split('"').skip(1).step_by(2).collect();
        let (namespace, dimensions) = schema.split_once(',').unwrap();
        let (function, by) = dimensions.split_once(',').unwrap();
        let dimensions = vec![(function.to_owned(), quoted[1].to_owned()), (by.to_owned(), "*".to_owned())];
        series.insert((namespace.to_owned(), quoted[0].to_owned(), dimensions));
    }
    (body, series)
}

/// A heading's anchor, as GitHub and GitLab make it.
fn anchor(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[test]
fn every_alarm_watches_a_series_that_is_written() {
    let template = template();
    let written = written();
    // What AWS itself writes (developer guides of SQS, Lambda and API Gateway's HTTP and WebSocket APIs).
    let by_aws = [
        (
            "AWS/SQS",
            "QueueName",
            &["ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible"][..],
        ),
        ("AWS/Lambda", "FunctionName", &["Errors", "IteratorAge", "Throttles"]),
        ("AWS/ApiGateway", "ApiId", &["4xx", "5xx", "ExecutionError"]),
    ];
    let all = alarms(template).into_iter();
    for (name, series) in all.flat_map(|(name, alarm)| watched(alarm).into_iter().map(move |one| (name, one)))
    {
        if series.0 == NAMESPACE {
            assert!(written.contains(&general(&series)), "{name} watches what nobody writes: {series:?}");
        } else {
            let (_, dimension, names) = by_aws.iter().find(|(space, ..)| *space == series.0).unwrap();
            assert!(names.contains(&series.1.as_str()), "{name}: {series:?}");
            assert_eq!(series.2.len(), 1, "{name}");
            assert_eq!(series.2[0].0, *dimension, "{name}");
        }
    }
    // The other way round: what the consumer and the webhook function count is watched, or need not be.
    let watched: BTreeSet<String> = alarms(template)
        .values()
        .flat_map(|alarm| watched(alarm))
        .filter(|s| s.0 == NAMESPACE)
        .map(|s| s.1)
        .collect();
    let unwatched: Vec<&str> =
        Metric::ALL.iter().map(|metric| metric.name()).filter(|name| !watched.contains(*name)).collect();
    assert_eq!(
        unwatched,
        // Strangers' requests alarm when there are many (gateway-client-errors). What anybody's browser can cause wakes
        // nobody, and neither does a second body under an id: both are kept. What no page was told of fails an
        // invocation, or the page comes back.
        [
            "RejectedSource",
            "CallbackReceived",
            "CallbackRefused",
            "Linked",
            "CallbackUnfolded",
            "OtherBody",
            "CallbackQuarantined",
            "CallbackOverLimit",
            "LiveConnected",
            "Pushed",
            "PushFailed"
        ]
    );
    // Sightings are words of the code.
    let sightings: BTreeSet<String> = alarms(template)
        .values()
        .flat_map(|alarm| self::watched(alarm))
        .flat_map(|(_, _, dimensions)| dimensions)
        .filter(|(name, _)| name == "Sighting")
        .map(|(_, value)| value)
        .collect();
    let stored = |deliveries| shared::table::Stored::Repeat { deliveries, new_delivery: true };
    let counted: BTreeSet<String> = [2, 3, 4]
        .map(|deliveries| consumer::Outcome::Stored {
            stored: stored(deliveries),
            unfolded: None,
            is_partly_read: false,
            is_callback: false,
        })
        .iter()
        .flat_map(consumer::Outcome::counts)
        .filter_map(|count| count.by)
        .collect();
    assert_eq!(sightings, counted);
}

#[test]
fn every_alarm_is_told_means_something_and_stands_in_the_runbook() {
    let template = template();
    let runbook = std::fs::read_to_string(it_dir().join("../../infra/runbook.md")).unwrap();
    let mut sections: BTreeMap<String, &str> = BTreeMap::new();
    for section in runbook.split("\n## ").skip(1) {
        let (heading, text) = section.split_once('\n').unwrap();
        assert!(sections.insert(anchor(heading), text).is_none(), "{heading} stands there twice");
    }
    let mut slugs = BTreeSet::new();
    for (name, alarm) in alarms(template) {
        let alarm_name = resolved(&alarm["AlarmName"]);
        let slug = alarm_name.strip_prefix("stack-").unwrap();
        assert!(slugs.insert(slug.to_owned()), "{slug} twice");
        let description = resolved(&alarm["AlarmDescription"]);
        let (said, link) = description.rsplit_once(' ').unwrap();
        assert!(said.ends_with('.'), "{name}: {said}");
        assert_eq!(link, format!("infra/runbook.md#{slug}"), "{name}");
        let section = sections.get(slug).unwrap_or_else(|| panic!("the runbook has no section {slug}"));
        for part in ["**Means.**", "**Look.**", "**Do.**"] {
            assert!(section.contains(part), "{slug} has no {part}");
        }
        let metric = watched(alarm).remove(0).1;
        assert!(section.contains(&format!("`{metric}`")), "{slug} does not name its metric, {metric}");
        let topic = json!([{ "Ref": "AlarmTopic" }]);
        assert_eq!((&alarm["AlarmActions"], &alarm["OKActions"]), (&topic, &topic), "{name}");
        let silence = slug == "silence";
        assert_eq!(alarm["TreatMissingData"], if silence { "breaching" } else { "notBreaching" }, "{name}");
        // Metric maths is left out on the local cloud, which refuses it: such an alarm has its own condition.
        let is_calculated = alarm.get("Metrics").is_some();
        assert_eq!(template["Resources"][name]["Condition"] == "OnAws", is_calculated, "{name}");
        let metric = if is_calculated { &alarm["Metrics"][1]["MetricStat"] } else { alarm };
        let period = metric["Period"].as_u64().unwrap();
        assert!(period.is_multiple_of(60) && period <= 900, "{name}: {period}");
        // A day at most altogether (CloudWatch, "PutMetricAlarm"); for silence the parameter's maximum.
        let periods = alarm["EvaluationPeriods"].as_u64();
        let most = template["Parameters"]["SilenceMinutes"]["MaxValue"].as_u64().unwrap();
        assert!(period * periods.unwrap_or(most) <= 86_400, "{name}");
    }
    assert_eq!(slugs.len(), 48);
    // Sections that are no alarm's.
    let others: Vec<&str> =
        sections.keys().map(String::as_str).filter(|section| !slugs.contains(*section)).collect();
    assert_eq!(others, ["deploying-while-an-alarm-rings", "first-look"]);
}

#[test]
fn the_dashboard_shows_every_metric_that_is_written_and_every_alarm() {
    let template = template();
    let (body, series) = dashboard(template);
    let widgets = body["widgets"].as_array().unwrap();
    assert_eq!((&widgets[0]["type"], &widgets[0]["y"]), (&json!("alarm"), &json!(0)), "alarms come first");
    let shown: BTreeSet<&str> = widgets[0]["properties"]["alarms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|arn| arn.as_str().unwrap().rsplit(':').next().unwrap())
        .collect();
    let names: BTreeSet<String> =
        alarms(template).values().map(|alarm| resolved(&alarm["AlarmName"])).collect();
    assert_eq!(shown, names.iter().map(String::as_str).collect());
    let written = written();
    for (space, name, dimensions) in series.iter().filter(|series| series.0 == NAMESPACE) {
        let series = (space.clone(), name.clone(), dimensions.clone());
        assert!(written.contains(&general(&series)), "nobody writes {series:?}");
    }
    let graphed: BTreeSet<&str> = series.iter().map(|series| series.1.as_str()).collect();
    for metric in Metric::ALL {
        assert!(graphed.contains(metric.name()), "{metric:?} is not shown");
    }
    for alarm in alarms(template).values() {
        assert!(
            watched(alarm).iter().all(|series| graphed.contains(series.1.as_str())),
            "an alarm's cause is not shown: {alarm}"
        );
    }
    // No two widgets lie on each other, and none hangs over the edge of 24.
    let mut taken = BTreeSet::new();
    for widget in widgets {
        let at = |field: &str| widget[field].as_u64().unwrap();
        for x in at("x")..at("x") + at("width") {
            for y in at("y")..at("y") + at("height") {
                assert!(x < 24 && taken.insert((x, y)), "{}", widget["properties"]["title"]);
            }
        }
    }
}

/// Holds a line to the format's schema and to what a schema cannot say, and gives what it counts:
/// the metric, the function, and the value of the further dimension.
pub(crate) fn check_metric_line(line: &str) -> (Metric, String, Option<String>) {
    static SCHEMA: LazyLock<Validator> = LazyLock::new(|| {
        jsonschema::validator_for(&read_json::<Value>(&it_dir().join("emf.schema.json"))).unwrap()
    });
    let value: Value = serde_json::from_str(line).unwrap();
    let complaints: Vec<String> = SCHEMA.iter_errors(&value).map(|error| error.to_string()).collect();
    assert!(complaints.is_empty(), "{complaints:?} in {line}");
    let [directive] = value["_aws"]["CloudWatchMetrics"].as_array().unwrap().as_slice() else {
        panic!("{line}");
    };
    assert_eq!(directive["Namespace"], NAMESPACE, "{line}");
    // Targets: dimensions are members with texts of at most 1,024 characters, the metric one with a number.
    let sets: Vec<Vec<&str>> = serde_json::from_value::<Vec<Vec<Value>>>(directive["Dimensions"].clone())
        .unwrap()
        .iter()
        .map(|set| set.iter().map(|name| directive_text(name, directive)).collect())
        .collect();
    for name in sets.iter().flatten() {
        assert!((1..=1024).contains(&value[*name].as_str().unwrap().len()), "{line}");
    }
    let name = directive["Metrics"][0]["Name"].as_str().unwrap();
    assert_eq!(value[name], 1, "{line}");
    let metric = *Metric::ALL.iter().find(|metric| metric.name() == name).unwrap();
    let expected = match metric.dimension() {
        Some(by) => vec![vec!["FunctionName"], vec!["FunctionName", by]],
        None => vec![vec!["FunctionName"]],
    };
    assert_eq!(sets, expected, "{line}");
    let by = metric.dimension().map(|by| value[by].as_str().unwrap().to_owned());
    (metric, value["FunctionName"].as_str().unwrap().to_owned(), by)
}

/// The text of `name`, borrowed from the directive that it stands in.
fn directive_text<'a>(name: &Value, directive: &'a Value) -> &'a str {
    let sets = directive["Dimensions"].as_array().unwrap();
    sets.iter()
        .flat_map(|set| set.as_array().unwrap())
        .find(|other| *other == name)
        .unwrap()
        .as_str()
        .unwrap()
}

/// All that is counted, with every value of a further dimension, by function.
pub(crate) fn every_count() -> [(&'static str, Vec<Count>); 8] {
    use shared::event::Unreadable;
    use shared::id::EventId;
    use shared::state::Unfolded;
    use shared::table::{Reason, Stored};
    use shared::verify::Refused;
    use webhook::Outcome as Answered;

    let types: Vec<EventType> =
        EventType::KNOWN.iter().cloned().chain([EventType::Unknown("Ana Reyes".to_owned())]).collect();
    let reasons = [
        Unreadable::NotUtf8(0),
        Unreadable::NotJson { line: 1, column: 1 },
        Unreadable::NoId,
        Unreadable::NoType,
        Unreadable::IdLength { field: "id", bytes: 0 },
    ];
    let mut webhook = Vec::new();
    let mut consumer = vec![Count::of(Metric::Retried)];
    for kind in &types {
        for held in [false, true] {
            let id = EventId::new("et-1").unwrap();
            webhook.extend(Answered::Queued { id, kind: kind.clone(), held }.counts());
        }
    }
    for unfolded in [None].into_iter().chain(Unfolded::WORDS.map(Some)) {
        for stored in [Stored::New { body_kept: true }, Stored::OtherBody { body_kept: true }] {
            for is_callback in [false, true] {
                let is_partly_read = !is_callback;
                let stored = consumer::Outcome::Stored { stored, unfolded, is_partly_read, is_callback };
                consumer.extend(stored.counts());
            }
        }
    }
    for reason in reasons {
        webhook.extend(Answered::Quarantined { reason: reason.word(), held: false }.counts());
        consumer.extend(consumer::Outcome::Quarantined(Reason::Unreadable(reason)).counts());
    }
    for reason in [
        Reason::IdConflict,
        Reason::UnlistedSource,
        Reason::Undecodable,
        Reason::ItemTooLarge,
        Reason::Unattributed,
    ] {
        consumer.extend(consumer::Outcome::Quarantined(reason).counts());
    }
    for deliveries in [2, 3] {
        let stored = Stored::Repeat { deliveries, new_delivery: true };
        consumer.extend(
            consumer::Outcome::Stored { stored, unfolded: None, is_partly_read: false, is_callback: false }
                .counts(),
        );
    }
    for outcome in [
        Answered::RejectedSource { valid_signature: true },
        Answered::RejectedSignature(Refused::Missing),
        Answered::TooLarge,
        Answered::QueueUnavailable,
        Answered::SecretUnavailable,
    ] {
        webhook.extend(outcome.counts());
    }
    consumer.extend(consumer::Outcome::CallbackQuarantined(Reason::Undecodable).counts());
    consumer.extend(consumer::Outcome::OverLimit.counts());
    consumer
        .extend(consumer::Outcome::Checked(shared::table::Confirmation::Missing { first: true }).counts());
    let register = vec![Count::of(Metric::RegistrationOrphaned)];
    [
        ("webhook", webhook),
        ("consumer", consumer),
        ("register", register),
        ("callback", callbacks()),
        ("link", links()),
        ("publish", published(&types)),
        ("live", lives()),
        ("push", push::Pushed { told: 1, gone: 1, failed: 1, given_up: 1 }.counts().collect()),
    ]
}

#[test]
fn every_outcome_writes_lines_that_cloudwatch_reads() {
    let now = "2026-03-01T10:00:00Z".parse().unwrap();
    let mut seen = BTreeSet::new();
    for (function, counts) in every_count() {
        for count in counts {
            let line = count.line(function, now);
            let (metric, by_function, by) = check_metric_line(&line);
            assert_eq!((metric, by_function.as_str(), &by), (count.metric, function, &count.by));
            assert!(!line.contains("Ana"), "{line}");
            seen.insert((metric, function));
        }
    }
    let all: BTreeSet<(Metric, &str)> = Metric::ALL
        .iter()
        .flat_map(|metric| metric.functions().iter().map(move |function| (*metric, *function)))
        .collect();
    assert_eq!(seen, all, "the table says what is counted");
}

#[test]
fn a_further_dimension_has_an_alarm_or_a_graph() {
    let template = template();
    let mut used = dashboard(template).1;
    used.extend(alarms(template).values().flat_map(|alarm| watched(alarm)));
    let used: BTreeSet<(&str, &str)> = used
        .iter()
        .filter_map(|(_, name, dimensions)| Some((name.as_str(), dimensions.get(1)?.0.as_str())))
        .collect();
    // Each value is a series of its own, which is paid for by the month.
    for metric in Metric::ALL {
        if let Some(by) = metric.dimension() {
            assert!(used.contains(&(metric.name(), by)), "nobody looks at {by} of {metric:?}");
        }
    }
}

/// What the publish function counts.
fn published(types: &[EventType]) -> Vec<Count> {
    let published = types.iter().map(|kind| kind.metric_word().to_owned()).collect();
    publish::Outcome { published, deferred: 1, ..Default::default() }.counts()
}

/// What the live function counts.
fn lives() -> Vec<Count> {
    use live::{Outcome, Why};

    let refused = Why::ALL.map(Outcome::Refused);
    [Outcome::Connected, Outcome::Unavailable].into_iter().chain(refused).flat_map(Outcome::counts).collect()
}

/// What the callback function counts.
fn callbacks() -> Vec<Count> {
    use callback::answer::{Item, Outcome, Verdict};
    use shared::callback::Name;
    use shared::callback::intake::{Refused, Why};

    let names = Name::KNOWN.iter().cloned().chain([Name::from("onAnaReyes")]);
    let mut items: Vec<Item> = names.map(Item::Queued).collect();
    items.extend(Why::ALL.map(|why| Item::Refused(Refused { id: None, why })));
    items.push(Item::Unavailable);
    let verdicts = [
        Verdict::Batch(items.into_iter().map(|item| (item, None)).collect()),
        Verdict::TooLarge,
        Verdict::NotJson,
        Verdict::TokenMissing,
        Verdict::TokenRefused(shared::session::Refused::Expired),
        Verdict::SecretUnavailable,
    ];
    let answered = verdicts.map(|verdict| Outcome::Answered { origin: None, verdict });
    answered.iter().chain([&Outcome::OriginNotAllowed]).flat_map(Outcome::counts).collect()
}

/// What the link function counts.
fn links() -> Vec<Count> {
    use link::{Asked, Linked, Outcome, Refusal};
    use shared::id::UserId;
    use shared::session::Minted;
    use shared::smile_api::{SecretText, Token};

    let user = || UserId::new("u-1").unwrap();
    let token = || Token { access_token: SecretText::new("Ana"), expires_at: None, mode: None };
    let session = || Minted { token: "Ana".to_owned(), expires_at: jiff::Timestamp::UNIX_EPOCH };
    let asked = [Asked::New, Asked::Existing(user()), Asked::Refresh(user())];
    let linked = asked.map(|asked| Ok(Linked { asked, user: user(), token: token(), session: session() }));
    let smile = link::refusal::Smile::default;
    let refused = [
        Refusal::NoRoute,
        Refusal::BadRequest(Vec::new()),
        Refusal::TooLarge,
        Refusal::UserNotFound(smile()),
        Refusal::SmileRateLimited(smile()),
        Refusal::SmileRefused(smile()),
        Refusal::SmileUnclear(smile()),
        Refusal::SmileUnavailable(smile()),
        Refusal::SmileTimeout(smile(), true),
        Refusal::NoSecret,
    ];
    linked.into_iter().chain(refused.map(Err)).flat_map(|outcome| Outcome(outcome).counts()).collect()
}

#[test]
fn an_alarm_on_refusals_watches_a_reason_of_the_code() {
    for (alarm, counts, metric) in [
        ("LinkRefusedAlarm", links(), Metric::LinkRefused),
        ("LiveUnavailableAlarm", lives(), Metric::LiveRefused),
    ] {
        let (_, reason) = &watched(&template()["Resources"][alarm]["Properties"])[0].2[1];
        assert!(
            counts.iter().any(|count| count.metric == metric && count.by.as_ref() == Some(reason)),
            "{alarm}"
        );
    }
}

#[test]
fn a_line_that_cloudwatch_would_not_read_is_noticed() {
    let now = "2026-03-01T10:00:00Z".parse().unwrap();
    let good: Value =
        serde_json::from_str(&Count::by(Metric::Received, "USER_CREATED").line("f", now)).unwrap();
    let broken = |pointer: &str, value: Option<Value>| {
        let mut line = good.clone();
        let (parent, member) = pointer.rsplit_once('/').unwrap();
        let parent = line.pointer_mut(parent).unwrap();
        match value {
            Some(value) => parent[member] = value,
            None => drop(parent.as_object_mut().unwrap().remove(member)),
        }
        std::panic::catch_unwind(|| check_metric_line(&line.to_string())).is_err()
    };
    let directive = "/_aws/CloudWatchMetrics/0";
    for (pointer, value) in [
        ("/_aws/Timestamp".to_owned(), Some(json!("2026-03-01T10:00:00Z"))),
        ("/_aws/Timestamp".to_owned(), None),
        (format!("{directive}/Namespace"), Some(json!(""))),
        (format!("{directive}/Dimensions"), Some(json!([]))),
        (format!("{directive}/Dimensions"), Some(json!(["FunctionName"]))),
        (format!("{directive}/Metrics"), Some(json!([{ "Unit": "Count" }]))),
        (format!("{directive}/Metrics"), Some(json!([{ "Name": "Received", "Unit": "Counts" }]))),
        ("/Type".to_owned(), None),
        ("/Received".to_owned(), Some(json!("1"))),
    ] {
        assert!(broken(&pointer, value.clone()), "{pointer} = {value:?}");
    }
    assert!(!broken("/further", Some(json!("member"))), "further members are allowed");
}

/// The mark in the panics of [`panics_with_a_mark`].
const MARK: &str = "Ana Reyes, 0917 555 0199";

/// What a panic says stays out of the log: batch and log are the real ones, in a process of its own.
#[test]
fn a_panic_tells_its_place_and_nothing_else() {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "observability::panics_with_a_mark", "--nocapture"])
        .env("SMILE_PANIC", "1")
        .output()
        .unwrap();
    let log = String::from_utf8([child.stdout, child.stderr].concat()).unwrap();
    assert!(child.status.success(), "{log}");
    assert!(!log.contains(MARK), "{log}");
    assert!(log.contains("observability.rs:") && log.contains("panicked"), "{log}");
    assert!(log.contains("a message's task panicked; it comes again"), "{log}");
}

#[tokio::test]
async fn panics_with_a_mark() {
    #[expect(clippy::disallowed_methods, reason = "tells the child of the test above from a test of its own")]
    if std::env::var("SMILE_PANIC").is_err() {
        return;
    }
    shared::log::start(&shared::variables::Variables::from_list(&[]));
    let message = serde_json::from_value(json!({ "messageId": "m-1", "body": MARK })).unwrap();
    let response = consumer::batch::run(
        crate::receiver::batch(vec![message]),
        async |message: aws_lambda_events::sqs::SqsMessage| panic!("{}", message.body.unwrap()),
    )
    .await
    .unwrap();
    assert_eq!(response.batch_item_failures.len(), 1);
}
