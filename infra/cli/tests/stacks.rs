//! The operator's commands and a stack on AWS, which a few answers play here: what is wrong is told in one line, and
//! what the command trusts in — which stack, a proxy, a clock — is what it ought to be.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// What is waited for comes at once; a busy machine needs more.
const DEADLINE: Duration = Duration::from_mins(1);

/// A request, as it was written.
struct Heard {
    head: String,
    body: String,
}

/// Something that answers each request, and tells of it.
struct Cloud {
    url: String,
    heard: Receiver<Heard>,
}

impl Cloud {
    /// `answer` gives status, body and time.
    fn start(answer: impl Fn(&Heard) -> (u16, String, Timestamp) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (tell, heard) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let request = read(&mut stream);
                let (status, body, at) = answer(&request);
                let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&at).unwrap();
                let start =
                    format!("HTTP/1.1 {status} Said\r\ndate: {date}\r\ncontent-length: {}", body.len());
                let _ = write!(stream, "{start}\r\nconnection: close\r\n\r\n{body}");
                let _ = tell.send(request);
            }
        });
        Self { url, heard }
    }

    /// The next request that `holds`.
    fn hear(&self, holds: impl Fn(&Heard) -> bool) -> Heard {
        loop {
            let heard = self.heard.recv_timeout(DEADLINE).unwrap();
            if holds(&heard) {
                return heard;
            }
        }
    }

    /// Whether nothing was asked.
    fn heard_nothing(&self) -> bool {
        self.heard.try_recv().is_err()
    }
}

fn read(stream: &mut TcpStream) -> Heard {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
    let length =
        head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    Heard { head, body: String::from_utf8(body).unwrap() }
}

#[expect(clippy::disallowed_methods, reason = "the commands have the real time, too")]
fn now() -> Timestamp {
    Timestamp::now()
}

fn refusal(code: &str, message: &str) -> String {
    format!("<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>")
}

/// A stack with its outputs.
fn a_stack() -> String {
    let outputs = ["TableName", "QueueUrl", "ConsumerFunctionName", "PublishFunctionName"].map(|name| {
        format!("<member><OutputKey>{name}</OutputKey><OutputValue>{name}</OutputValue></member>")
    });
    format!(
        "<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>mine</StackName>\
         <CreationTime>2026-03-01T10:00:00Z</CreationTime><StackStatus>CREATE_COMPLETE</StackStatus>\
         <Outputs>{}</Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>",
        outputs.concat()
    )
}

/// The command with these variables alone, beside those of somebody who has credentials.
fn smile(arguments: &[&str], variables: &[(&str, &str)]) -> Child {
    let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("stacks");
    std::fs::create_dir_all(&home).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_smile"));
    command.env_clear().current_dir(&home).env("HOME", &home).env("AWS_EC2_METADATA_DISABLED", "true");
    command.env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE").env("AWS_SECRET_ACCESS_KEY", "secret");
    command.envs(variables.iter().copied().filter(|(_, value)| !value.is_empty()));
    variables.iter().filter(|(_, value)| value.is_empty()).for_each(|(name, _)| {
        command.env_remove(name);
    });
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Its exit code, and what it says to people.
fn said(arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String) {
    let output = smile(arguments, variables).wait_with_output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

const SHOW: [&str; 3] = ["show", "event", "et-1"];

fn show(more: &[&'static str]) -> Vec<&'static str> {
    [&SHOW, more].concat()
}

#[test]
fn what_is_wrong_with_a_stack_is_told_in_one_line() {
    let told = |status, code, message| {
        let refusal = refusal(code, message);
        let cloud = Cloud::start(move |_| (status, refusal.clone(), now()));
        said(&show(&["--stack", "mine", "--region", "eu-west-1"]), &[("AWS_ENDPOINT_URL", &cloud.url)])
    };
    for (status, code, message, what_to_do) in [
        (
            400,
            "ValidationError",
            "Stack with id mine does not exist",
            "look at --stack, --region and --profile",
        ),
        (
            403,
            "ExpiredToken",
            "The security token included in the request is expired",
            "log in (aws sso login), or take other credentials with --profile",
        ),
        (
            403,
            "AccessDenied",
            "User: me is not authorized",
            "these credentials need cloudformation:DescribeStacks on it; --profile takes others",
        ),
    ] {
        let line = format!("smile: mine in eu-west-1 cannot be looked up: {code}: {message}: {what_to_do}\n");
        assert_eq!(told(status, code, message), (1, line));
    }
}

#[test]
fn what_is_missing_is_told_in_one_line() {
    let mine = show(&["--stack", "mine", "--region", "eu-west-1"]);
    let no_keys = [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")];
    let (code, line) = said(&mine, &no_keys);
    assert!(code == 1 && line.lines().count() == 1, "{line}");
    assert!(
        line.starts_with("smile: mine in eu-west-1 cannot be looked up: the credential provider"),
        "{line}"
    );
    assert!(line.ends_with(": log in (aws sso login), or take other credentials with --profile\n"), "{line}");
    let (code, line) = said(&show(&["--stack", "mine"]), &[]);
    let complaint = "smile: the region of the stack mine is not known: say --region, or set AWS_REGION\n";
    assert_eq!((code, line.as_str()), (1, complaint));
    let (code, line) = said(&mine, &[("AWS_CA_BUNDLE", "/nowhere.pem")]);
    assert!(code == 1 && line.contains("the certificates that AWS_CA_BUNDLE names cannot be used"), "{line}");
}

#[test]
fn who_names_a_local_cloud_means_it() {
    let cloud = Cloud::start(|_| (200, a_stack(), now()));
    let exported = [("SMILE_STACK", "mine"), ("AWS_REGION", "eu-west-1"), ("AWS_ENDPOINT_URL", &*cloud.url)];
    let (code, line) = said(&show(&["--dir", "nothing-here"]), &exported);
    assert!(code == 1 && line.contains("no local cloud is running here"), "{line}");
    assert!(cloud.heard_nothing());
    for both in [&["--dir", "d", "--stack", "mine"][..], &["--dir", "d", "--region", "eu-west-1"]] {
        let (code, line) = said(&show(both), &exported);
        assert!(code == 2 && line.contains("cannot be used with"), "{line}");
    }
    let (code, line) = said(&show(&["--region", "eu-west-1"]), &[("SMILE_STACK", "")]);
    assert!(code == 2 && line.contains("name it with --stack or SMILE_STACK"), "{line}");
    // Without a directory the variable is heard.
    said(&show(&[]), &exported);
    assert!(cloud.hear(|_| true).body.contains("StackName=mine"));
}

#[test]
fn what_comes_between_this_machine_and_aws_is_used() {
    let proxy = Cloud::start(|_| (403, String::new(), now()));
    let mine = show(&["--stack", "mine", "--region", "eu-west-1"]);
    let mut child = smile(&mine, &[("HTTPS_PROXY", &proxy.url)]);
    let heard = proxy.hear(|_| true);
    assert!(heard.head.starts_with("CONNECT cloudformation.eu-west-1.amazonaws.com:443 "), "{}", heard.head);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_tail_goes_by_the_clock_of_the_cloud() {
    for off in [-90, 90].map(SignedDuration::from_secs) {
        let cloud = Cloud::start(move |heard| {
            let is_query = heard.head.to_lowercase().contains("dynamodb");
            let body =
                if is_query { r#"{"Items":[],"Count":0,"ScannedCount":0}"#.to_owned() } else { a_stack() };
            (200, body, now() + off)
        });
        let tail = ["tail", "--stack", "mine", "--region", "eu-west-1", "--user", "u-1"];
        let mut child = smile(&tail, &[("AWS_ENDPOINT_URL", &cloud.url)]);
        let query = cloud.hear(|heard| heard.head.to_lowercase().contains("dynamodb"));
        child.kill().unwrap();
        child.wait().unwrap();
        let asked: Value = serde_json::from_str(&query.body).unwrap();
        let values = asked["ExpressionAttributeValues"].as_object().unwrap().values();
        let times: Vec<Timestamp> =
            values.filter_map(|value| value["S"].as_str()?.split(['#', '\0']).next()?.parse().ok()).collect();
        let from = times.iter().min().unwrap();
        let there = now() + off;
        assert!(
            from.duration_since(there).abs() < SignedDuration::from_secs(30),
            "{from} at {there}: {asked}"
        );
    }
}

#[test]
fn doctor_says_whether_the_account_has_the_concurrency_that_a_stack_needs() {
    let doctor = |unreserved: u32, status: u16, state: &'static str| {
        let parameters = [
            ("ConsumerConcurrency", "5"),
            ("CallbackConcurrency", "3"),
            ("SmileCredentialsSecretArn", "arn"),
        ];
        let parameters = parameters.map(|(name, value)| {
            format!(
                "<member><ParameterKey>{name}</ParameterKey><ParameterValue>{value}</ParameterValue></member>"
            )
        });
        let stack = a_stack()
            .replace("<Outputs>", &format!("<Parameters>{}</Parameters><Outputs>", parameters.concat()));
        let settings = serde_json::json!({ "AccountLimit": { "ConcurrentExecutions": 1000,
            "UnreservedConcurrentExecutions": unreserved, "TotalCodeSize": 1 }, "AccountUsage": {} });
        let cloud = Cloud::start(move |heard| {
            let stream =
                if heard.head.contains("FunctionName=PublishFunctionName%3Alive ") { state } else { "none" };
            if heard.head.starts_with("GET /2016-08-19/account-settings ") {
                (status, settings.to_string(), now())
            } else if heard.head.starts_with("GET /2015-03-31/event-source-mappings?") {
                let mapping = |kind: &str, state: &str| serde_json::json!({ "EventSourceArn": format!("arn:aws:{kind}:eu-west-1:1:x"), "State": state });
                let all = [mapping("sqs", "Enabled"), mapping("dynamodb", stream)];
                (200, serde_json::json!({ "EventSourceMappings": all }).to_string(), now())
            } else {
                (200, stack.clone(), now())
            }
        });
        let arguments = ["doctor", "--json", "--stack", "mine", "--region", "eu-west-1"];
        let output = smile(&arguments, &[("AWS_ENDPOINT_URL", &cloud.url), ("AWS_SESSION_TOKEN", "token")])
            .wait_with_output()
            .unwrap();
        let asked = cloud.hear(|heard| heard.head.starts_with("GET "));
        let head = asked.head.to_lowercase();
        assert!(
            head.contains("/eu-west-1/lambda/aws4_request") && head.contains("x-amz-security-token: token"),
            "{head}"
        );
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.code().unwrap(), report, String::from_utf8(output.stderr).unwrap())
    };
    // 5 + 3 of the consumer, 2 + 4 of publish.
    let (code, report, said) = doctor(23, 200, "Enabled");
    assert_eq!((code, &report["sum"], &report["left_for_apis"]), (1, &14.into(), &9.into()), "{said}");
    let (code, report, said) = doctor(24, 200, "Enabled");
    assert_eq!((code, &report["is_enough"]), (0, &true.into()), "{said}");
    let (code, report, said) = doctor(1000, 200, "Disabled");
    assert_eq!((code, &report["sources"][2]["state"]), (1, &"Disabled".into()), "{report} {said}");
    let (code, _, said) = doctor(1000, 403, "Enabled");
    assert!(code == 1 && said.contains("lambda:GetAccountSettings"), "{said}");
}
