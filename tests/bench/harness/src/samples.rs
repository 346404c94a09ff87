//! What is sent: bodies as Smile writes them, with invented data, and the gateway's event around them.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha512;

/// The address that Smile sends from.
pub const SOURCE: &str = "18.142.61.230";

/// The secret of all handlers.
pub const SECRET: &str = "the-secret-of-this-benchmark-0123456789";

/// A small, seeded source of numbers: every run sends the same bytes.
struct Digits(u64);

impl Digits {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn id(&mut self, prefix: &str) -> String {
        format!("{prefix}-{:016x}{:016x}", self.next(), self.next())
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 16) % bound
    }

    fn date(&mut self) -> String {
        format!("202{}-{:02}-{:02}", self.below(6), self.below(12) + 1, self.below(28) + 1)
    }

    fn amount(&mut self) -> f64 {
        f64::from(u32::try_from(self.below(9_000_000)).unwrap_or_default()) / 100.0
    }
}

/// A finished task with incomes and transactions inline, of exactly so many bytes.
pub fn body(bytes: usize) -> String {
    let mut digits = Digits(0x5eed_0f5e_ed0f_5eed);
    let head = format!(
        r#"{{"id":"{}","version":1,"type":"TASK_FINISHED","createdAt":"2026-03-01T10:00:00Z","data":{{"userId":"{}","sourceId":"{}","sourceType":"ACCOUNT","taskType":"LINK_ACCOUNT","status":"SUCCEEDED","errorCode":null,"providers":["sss_ph"],"datapoints":["INCOMES","TRANSACTIONS"],"payload":{{"identity":null,"#,
        digits.id("et"),
        digits.id("tenantId"),
        digits.id("a"),
    );
    let mut lists = [String::new(), String::new()];
    let middle = [r#""incomes":{"nextCursor":null,"items":["#, r#"]},"transactions":{"items":["#];
    let tail = [r#"],"nextCursor":""#, r#""}}}}"#];
    let mut length = head.len() + middle[0].len() + middle[1].len() + tail[0].len() + tail[1].len();
    for turn in 0.. {
        let which = (turn + 1) % 2;
        let item = if which == 0 { income(&mut digits) } else { transaction(&mut digits) };
        let comma = usize::from(!lists[which].is_empty());
        if length + comma + item.len() > bytes {
            break;
        }
        length += comma + item.len();
        lists[which] += &",".repeat(comma);
        lists[which] += &item;
    }
    let rest = "0".repeat(bytes.saturating_sub(length));
    format!("{head}{}{}{}{}{}{rest}{}", middle[0], lists[0], middle[1], lists[1], tail[0], tail[1])
}

fn income(digits: &mut Digits) -> String {
    let employers = ["Northwind Trading Inc.", "Compañía Minera del Sur", "PT Sinar Abadi", "Harbor & Sons"];
    let employer = employers[usize::try_from(digits.below(4)).unwrap_or_default()];
    format!(
        r#"{{"id":"{}","workItem":null,"employer":"{employer}","startDate":"{}","endDate":"{}","currency":"PHP","frequency":"Semimonthly","baseAmount":{},"grossAmount":{},"netAmount":{}}}"#,
        digits.id("inc"),
        digits.date(),
        digits.date(),
        digits.amount(),
        digits.amount(),
        digits.amount(),
    )
}

fn transaction(digits: &mut Digits) -> String {
    let kinds = ["Cash withdrawal", "Groceries", "Transfer to savings", "Payroll"];
    let kind = kinds[usize::try_from(digits.below(4)).unwrap_or_default()];
    format!(
        r#"{{"id":"{}","date":"{}","description":"{kind}","currency":"PHP","amount":{},"referenceId":"T{:010}"}}"#,
        digits.id("t"),
        digits.date(),
        digits.amount(),
        digits.below(10_000_000_000),
    )
}

/// The event of an HTTP API, payload 2.0 (API Gateway developer guide), as Lambda hands it over.
pub fn event(body: &str, signature: &str, source: &str) -> Vec<u8> {
    json!({
        "version": "2.0",
        "routeKey": "POST /v1/webhooks/smile",
        "rawPath": "/v1/webhooks/smile",
        "rawQueryString": "",
        "headers": {
            "accept": "*/*",
            "accept-encoding": "gzip",
            "content-length": body.len().to_string(),
            "content-type": "application/json",
            "host": "abcdef1234.execute-api.ap-southeast-1.amazonaws.com",
            "smile-signature": signature,
            "user-agent": "Smile-Webhooks/1.0",
            "x-amzn-trace-id": "Root=1-69a40b20-0123456789abcdef01234567",
            "x-forwarded-for": source,
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
        },
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abcdef1234",
            "domainName": "abcdef1234.execute-api.ap-southeast-1.amazonaws.com",
            "domainPrefix": "abcdef1234",
            "http": {
                "method": "POST",
                "path": "/v1/webhooks/smile",
                "protocol": "HTTP/1.1",
                "sourceIp": source,
                "userAgent": "Smile-Webhooks/1.0",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "POST /v1/webhooks/smile",
            "stage": "$default",
            "time": "01/Mar/2026:10:00:00 +0000",
            "timeEpoch": 1_772_359_200_000_u64,
        },
        "body": body,
        "isBase64Encoded": false,
    })
    .to_string()
    .into_bytes()
}

/// The signature that Smile would send.
pub fn sign(body: &str) -> String {
    use std::fmt::Write as _;
    let mac = Hmac::<Sha512>::new_from_slice(SECRET.as_bytes()).map(|mac| mac.chain_update(body));
    let code = mac.map(|mac| mac.finalize().into_bytes()).unwrap_or_default();
    code.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// An SQS event with one message for each body, as the webhook function queues them.
pub fn batch(bodies: &[String]) -> Vec<u8> {
    let text = |value: &str| json!({ "stringValue": value, "dataType": "String", "stringListValues": [], "binaryListValues": [] });
    let records: Vec<Value> = bodies
        .iter()
        .enumerate()
        .map(|(at, body)| {
            json!({
                "messageId": format!("059f36b4-87a3-44ab-83d2-{at:012}"),
                "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
                "body": body,
                "attributes": {
                    "ApproximateReceiveCount": "1",
                    "SentTimestamp": "1772359200000",
                    "SenderId": "AIDAIENQZJOLO23YVJ4VO",
                    "ApproximateFirstReceiveTimestamp": "1772359200001",
                },
                "messageAttributes": {
                    "v": text("1"),
                    "source": text("webhook"),
                    "received_at": text("2026-03-01T10:00:00.123456Z"),
                    "delivery": text(&format!("delivery-{at}")),
                },
                "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:ap-southeast-1:123456789012:webhook",
                "awsRegion": "ap-southeast-1",
            })
        })
        .collect();
    json!({ "Records": records }).to_string().into_bytes()
}

/// One small event about one user and account: the event that the consumer's targets speak of.
pub fn small_event(number: u64) -> String {
    json!({
        "id": format!("et-{number:032x}"),
        "version": 1,
        "type": "INCOMES_ADDED",
        "createdAt": "2026-03-01T10:00:00Z",
        "data": {
            "userId": format!("tenantId-{number:032x}"),
            "accountId": format!("a-{number:032x}"),
            "count": 24,
            "providers": ["sss_ph"],
        },
    })
    .to_string()
}

/// A sample of the `smile` tool with its places filled: `{{user}}` and the like become fixed texts.
pub fn filled(sample: &str) -> String {
    let mut out = String::with_capacity(sample.len());
    let mut rest = sample;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((place, behind)) = after.split_once("}}") else { break };
        out.push_str(before);
        out.push_str(match place {
            "now" => "2026-03-01T10:00:00Z",
            place if place.starts_with("date") => "2026-02-01",
            place if place.starts_with("ago") => "2026-02-01T10:00:00Z",
            place => place,
        });
        rest = behind;
    }
    out + rest
}
