//! Template and code are held together: what one says, the other does.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use shared::variables::Variables;

use crate::support::it_dir;

fn template() -> Value {
    smile_cli::template::load(it_dir().join("../../infra/template.yaml")).unwrap()
}

fn of_type<'a>(template: &'a Value, kind: &str) -> BTreeMap<&'a str, &'a Value> {
    template["Resources"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, resource)| resource["Type"] == kind)
        .map(|(name, resource)| (name.as_str(), &resource["Properties"]))
        .collect()
}

fn names(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn seconds(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

#[test]
fn functions_are_given_the_variables_that_they_read() {
    let template = template();
    let functions = of_type(&template, "AWS::Serverless::Function");
    let given = |function: &str| {
        names(&functions[function]["Environment"]["Variables"]).into_iter().collect::<Vec<_>>()
    };
    let read = |variables: &[&'static str]| {
        // The list of secrets is for tests: on AWS no secret stands in a variable.
        let mut read: Vec<_> =
            variables.iter().copied().filter(|name| *name != "SMILE_WEBHOOK_SECRETS").collect();
        read.sort_unstable();
        read
    };
    assert_eq!(given("WebhookFunction"), read(&webhook::Config::VARIABLES));
    assert_eq!(given("ConsumerFunction"), read(&consumer::Config::VARIABLES));
    assert_eq!(functions.len(), 2, "another function needs a line here");
}

#[test]
fn the_defaults_and_bounds_of_parameters_are_those_of_the_code() {
    let template = template();
    let parameter = |name: &str, field: &str| template["Parameters"][name][field].clone();
    assert_eq!(parameter("SourceAllowList", "Default"), webhook::config::DEFAULT_ALLOW_LIST);
    let webhook = |name: &'static str, value: &str| {
        let list = [("WEBHOOK_QUEUE_URL", "u"), ("SMILE_WEBHOOK_SECRET_ARN", "a"), (name, value)];
        webhook::Config::read(&Variables::from_list(&list)).is_ok()
    };
    for policy in parameter("SourcePolicy", "AllowedValues").as_array().unwrap() {
        assert!(webhook("SOURCE_POLICY", policy.as_str().unwrap()), "{policy}");
    }
    let days = |days: u64| {
        let days = days.to_string();
        consumer::Config::read(&Variables::from_list(&[("TABLE_NAME", "t"), ("RETENTION_DAYS", &days)]))
            .is_ok()
    };
    let (least, most) = (parameter("RetentionDays", "MinValue"), parameter("RetentionDays", "MaxValue"));
    assert!(
        days(seconds(&least))
            && days(seconds(&most))
            && !days(seconds(&least) - 1)
            && !days(seconds(&most) + 1)
    );
    let generated =
        &of_type(&template, "AWS::SecretsManager::Secret")["WebhookSecret"]["GenerateSecretString"];
    assert!(seconds(&generated["PasswordLength"]) <= 64, "Smile takes 64 characters");
    assert_eq!(
        (&generated["GenerateStringKey"], &generated["SecretStringTemplate"]),
        (&"current".into(), &"{}".into())
    );
}

#[test]
fn time_outs_end_inside_each_other() {
    let template = template();
    let functions = of_type(&template, "AWS::Serverless::Function");
    let time_out = |function: &str| seconds(&functions[function]["Timeout"]);
    assert!(2 * webhook::PATIENCE.operation.as_secs() < time_out("WebhookFunction"));
    assert!(5 * consumer::PATIENCE.operation.as_secs() < time_out("ConsumerFunction"));
    for integration in of_type(&template, "AWS::ApiGatewayV2::Integration").values() {
        assert!(seconds(&integration["TimeoutInMillis"]) > 1000 * time_out("WebhookFunction"));
    }
    let queues = of_type(&template, "AWS::SQS::Queue");
    assert!(seconds(&queues["WebhookQueue"]["VisibilityTimeout"]) >= 6 * time_out("ConsumerFunction"));
}

#[test]
fn what_fails_comes_again_alone_and_ends_in_a_dead_letter_queue() {
    let template = template();
    let queues = of_type(&template, "AWS::SQS::Queue");
    let (dead, live): (Vec<_>, Vec<_>) =
        queues.iter().partition(|(name, _)| name.ends_with("DeadLetterQueue"));
    assert_eq!((dead.len(), live.len()), (1, 1));
    for (name, queue) in live {
        let target = &queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"];
        let letters = &queues[target[0].as_str().unwrap()];
        assert_eq!(seconds(&queue["RedrivePolicy"]["maxReceiveCount"]), 5, "{name}");
        assert!(
            seconds(&letters["MessageRetentionPeriod"]) >= seconds(&queue["MessageRetentionPeriod"]),
            "{name}"
        );
        assert_eq!(seconds(&queue["MaximumMessageSize"]), shared::job::MAX_MESSAGE_BYTES as u64, "{name}");
    }
    let mut sources = 0;
    for (name, function) in of_type(&template, "AWS::Serverless::Function") {
        for event in function["Events"].as_object().into_iter().flat_map(|events| events.values()) {
            sources += 1;
            assert_eq!(event["Type"], "SQS", "{name}");
            assert_eq!(event["Properties"]["FunctionResponseTypes"][0], "ReportBatchItemFailures", "{name}");
            assert_eq!(event["Properties"]["BatchSize"], 10, "{name}");
        }
    }
    assert_eq!(sources, 1);
}

/// `Sid: actions on resource`, one line a statement of a role.
fn may(role: &Value) -> Vec<String> {
    let policies = role["Policies"].as_array().unwrap();
    policies
        .iter()
        .flat_map(|policy| policy["PolicyDocument"]["Statement"].as_array().unwrap())
        .map(|statement| {
            assert_eq!(statement["Effect"], "Allow");
            let actions = match &statement["Action"] {
                Value::Array(actions) => {
                    actions.iter().map(|action| action.as_str().unwrap()).collect::<Vec<_>>()
                }
                action => vec![action.as_str().unwrap()],
            };
            assert!(actions.iter().all(|action| !action.contains('*')), "{statement}");
            let resource = match &statement["Resource"] {
                Value::String(text) => text.clone(),
                intrinsic => intrinsic.as_object().unwrap().values().next().unwrap().to_string(),
            };
            format!("{}: {} on {resource}", statement["Sid"].as_str().unwrap(), actions.join(" "))
        })
        .collect()
}

#[test]
fn every_function_may_do_what_it_needs_and_no_more() {
    let template = template();
    let roles = of_type(&template, "AWS::IAM::Role");
    assert_eq!(roles.len(), 2);
    assert_eq!(
        may(roles["WebhookRole"]),
        [
            r#"Queue: sqs:SendMessage sqs:GetQueueAttributes on ["WebhookQueue","Arn"]"#,
            r#"Secret: secretsmanager:GetSecretValue on ["WebhookSecret","Id"]"#,
            r#"Log: logs:CreateLogStream logs:PutLogEvents on ["WebhookLogGroup","Arn"]"#,
            "Trace: xray:PutTraceSegments xray:PutTelemetryRecords on *",
        ]
    );
    assert_eq!(
        may(roles["ConsumerRole"]),
        [
            r#"Queue: sqs:ReceiveMessage sqs:DeleteMessage sqs:GetQueueAttributes on ["WebhookQueue","Arn"]"#,
            r#"Table: dynamodb:BatchGetItem dynamodb:DeleteItem dynamodb:GetItem dynamodb:PutItem dynamodb:UpdateItem on ["Table","Arn"]"#,
            r#"Index: dynamodb:Query on "${Table.Arn}/index/by-owner""#,
            r#"Log: logs:CreateLogStream logs:PutLogEvents on ["ConsumerLogGroup","Arn"]"#,
            "Trace: xray:PutTraceSegments xray:PutTelemetryRecords on *",
        ]
    );
    for function in of_type(&template, "AWS::Serverless::Function").values() {
        assert!(function.get("Policies").is_none(), "what a function may do stands in its role");
    }
}

#[test]
fn indexes_carry_no_bodies_and_the_table_outlives_the_stack() {
    let template = template();
    let table = &template["Resources"]["Table"];
    for policy in ["DeletionPolicy", "UpdateReplacePolicy"] {
        assert_eq!(table[policy], "Retain");
    }
    let table = &table["Properties"];
    assert_eq!(table["DeletionProtectionEnabled"], true);
    assert_eq!(table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true);
    assert_eq!(table["TimeToLiveSpecification"]["AttributeName"], "expires");
    let mut projected = 0;
    for index in table["GlobalSecondaryIndexes"].as_array().unwrap() {
        let attributes = index["Projection"]["NonKeyAttributes"].as_array().map_or(&[][..], Vec::as_slice);
        projected += attributes.len();
        assert!(attributes.len() <= 20, "{index}");
        for attribute in attributes {
            assert!(!attribute.as_str().unwrap().starts_with("body_c") && attribute != "body", "{index}");
        }
    }
    assert!(projected <= 100);
}

#[test]
fn nothing_is_left_out_on_the_local_cloud_but_what_it_cannot_take() {
    let template = template();
    let conditional: BTreeSet<&str> = template["Resources"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, resource)| resource.get("Condition").is_some())
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(conditional, BTreeSet::from(["WebhookDeadLetterQueuePolicy", "WebhookQueuePolicy"]));
    let text = template.to_string();
    assert_eq!(text.matches("Fn::If").count(), 1, "the maximum concurrency of the event source");
}

#[test]
fn only_tls_reaches_the_queues_and_the_access_log_says_nothing_personal() {
    let template = template();
    for (name, policy) in of_type(&template, "AWS::SQS::QueuePolicy") {
        let statements = policy["PolicyDocument"]["Statement"].as_array().unwrap();
        assert_eq!(statements.len(), 1, "{name}");
        assert_eq!(statements[0]["Effect"], "Deny", "{name}");
        assert_eq!(statements[0]["Condition"]["Bool"]["aws:SecureTransport"], "false", "{name}");
    }
    let stage = of_type(&template, "AWS::ApiGatewayV2::Stage")["WebhookStage"];
    let format: BTreeMap<String, String> =
        serde_json::from_str(stage["AccessLogSettings"]["Format"].as_str().unwrap()).unwrap();
    let logged: Vec<&str> = format.keys().map(String::as_str).collect();
    assert_eq!(
        logged,
        ["integrationLatency", "requestId", "responseLength", "routeKey", "sourceIp", "status"]
    );
}
