//! Template and code are held together: what one says, the other does.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
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
    assert_eq!(given("RegisterFunction"), read(&register::Config::VARIABLES));
    assert_eq!(functions.len(), 3, "another function needs a line here");
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
    assert!(consumer::batch::PATIENCE.as_secs() < time_out("ConsumerFunction"));
    for integration in of_type(&template, "AWS::ApiGatewayV2::Integration").values() {
        assert!(seconds(&integration["TimeoutInMillis"]) > 1000 * time_out("WebhookFunction"));
    }
    let queues = of_type(&template, "AWS::SQS::Queue");
    assert!(seconds(&queues["WebhookQueue"]["VisibilityTimeout"]) >= 6 * time_out("ConsumerFunction"));
}

#[test]
fn the_registration_is_of_this_stack_and_is_not_waited_for_for_ever() {
    let template = template();
    let registration = &template["Resources"]["Registration"];
    let properties = &registration["Properties"];
    // All that the function reads, and the output that an operator would register.
    for property in ["ApiUrl", "CredentialsSecretArn", "EventTypes", "IncludePayload", "Name", "Url"] {
        assert!(!properties[property].is_null(), "{property}");
    }
    assert_eq!(properties["Url"], template["Outputs"]["WebhookUrl"]["Value"]);
    assert_eq!(properties["Name"], json!({ "Ref": "AWS::StackName" }));
    let function = of_type(&template, "AWS::Serverless::Function")["RegisterFunction"];
    let (waited, time_out) = (seconds(&properties["ServiceTimeout"]), seconds(&function["Timeout"]));
    // Lambda runs a killed one once more after a minute.
    assert!(waited >= 2 * time_out + 60, "{waited}");
    let before = register::CALL + register::ANSWERED_WITHIN + 4 * register::PATIENCE.operation;
    assert!(before.as_secs() < time_out, "there is time for calls of Smile's");
    assert_eq!(template["Parameters"]["SmileApiUrl"]["Default"], shared::smile_api::OPEN);
    assert_eq!(template["Parameters"]["SmileEventTypes"]["Default"], shared::smile_api::types::ALL_EVENTS);
    assert_eq!(template["Parameters"]["SmileCredentialsSecretArn"]["Default"], "");
    // What is left at Smile stands in its log.
    assert_eq!(template["Resources"]["RegisterLogGroup"]["DeletionPolicy"], "Retain");
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

/// `Sid: actions on resource`, one line a statement.
fn statements(policy: &Value) -> Vec<String> {
    let statements = policy["PolicyDocument"]["Statement"].as_array().unwrap();
    statements
        .iter()
        .map(|statement| {
            assert_eq!(statement["Effect"], "Allow");
            let actions = match &statement["Action"] {
                Value::Array(actions) => {
                    actions.iter().map(|action| action.as_str().unwrap()).collect::<Vec<_>>()
                }
                action => vec![action.as_str().unwrap()],
            };
            assert!(actions.iter().all(|action| !action.contains('*')), "{statement}");
            let resource = |resource: &Value| match resource {
                Value::String(text) => text.clone(),
                intrinsic => intrinsic.as_object().unwrap().values().next().unwrap().to_string(),
            };
            let resources = match &statement["Resource"] {
                Value::Array(resources) => resources.iter().map(resource).collect::<Vec<_>>().join(" "),
                one => resource(one),
            };
            format!("{}: {} on {resources}", statement["Sid"].as_str().unwrap(), actions.join(" "))
        })
        .collect()
}

/// What a role may do: always, and with a key of one's own.
fn may(role: &Value) -> (Vec<String>, Vec<String>) {
    let (mut always, mut with_key) = (Vec::new(), Vec::new());
    for policy in role["Policies"].as_array().unwrap() {
        match &policy["Fn::If"] {
            Value::Null => always.extend(statements(policy)),
            choice => {
                assert_eq!((&choice[0], &choice[2]), (&"OwnKey".into(), &no_value()), "{policy}");
                for statement in choice[1]["PolicyDocument"]["Statement"].as_array().unwrap() {
                    assert!(
                        statement["Condition"]["StringEquals"]["kms:ViaService"].is_array(),
                        "{statement}"
                    );
                }
                with_key.extend(statements(&choice[1]));
            }
        }
    }
    (always, with_key)
}

fn no_value() -> Value {
    json!({ "Ref": "AWS::NoValue" })
}

#[test]
fn every_function_may_do_what_it_needs_and_no_more() {
    let template = template();
    let roles = of_type(&template, "AWS::IAM::Role");
    assert_eq!(roles.len(), 4);
    let (always, with_key) = may(roles["WebhookRole"]);
    assert_eq!(
        always,
        [
            r#"Queue: sqs:SendMessage sqs:GetQueueAttributes on ["WebhookQueue","Arn"]"#,
            r#"Secret: secretsmanager:GetSecretValue on ["WebhookSecret","Id"]"#,
            r#"Log: logs:CreateLogStream logs:PutLogEvents on ["WebhookLogGroup","Arn"]"#,
            "Trace: xray:PutTraceSegments xray:PutTelemetryRecords on *",
        ]
    );
    assert_eq!(with_key, [r#"Key: kms:Decrypt kms:GenerateDataKey on "KmsKeyArn""#]);
    let (always, with_key) = may(roles["ConsumerRole"]);
    assert_eq!(
        always,
        [
            r#"Queue: sqs:ReceiveMessage sqs:DeleteMessage sqs:GetQueueAttributes on ["WebhookQueue","Arn"]"#,
            r#"Table: dynamodb:BatchGetItem dynamodb:DeleteItem dynamodb:GetItem dynamodb:PutItem dynamodb:UpdateItem on ["Restored",{"Fn::Sub":"arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${RestoredTable}"},{"Fn::GetAtt":["Table","Arn"]}]"#,
            r#"Index: dynamodb:Query on ["Restored",{"Fn::Sub":"arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${RestoredTable}/index/by-owner"},{"Fn::Sub":"${Table.Arn}/index/by-owner"}]"#,
            r#"Log: logs:CreateLogStream logs:PutLogEvents on ["ConsumerLogGroup","Arn"]"#,
            "Trace: xray:PutTraceSegments xray:PutTelemetryRecords on *",
        ]
    );
    assert_eq!(
        with_key,
        [
            r#"Key: kms:Decrypt kms:DescribeKey kms:Encrypt kms:GenerateDataKey kms:ReEncryptFrom kms:ReEncryptTo on "KmsKeyArn""#
        ]
    );
    let (always, with_key) = may(roles["RegisterRole"]);
    assert_eq!(
        always,
        [
            r#"Secrets: secretsmanager:GetSecretValue on ["WebhookSecret","Id"] "SmileCredentialsSecretArn""#,
            r#"Stack: cloudformation:DescribeStacks on "AWS::StackId""#,
            r#"Log: logs:CreateLogStream logs:PutLogEvents on ["RegisterLogGroup","Arn"]"#,
            "Trace: xray:PutTraceSegments xray:PutTelemetryRecords on *",
        ]
    );
    assert_eq!(with_key, [r#"Key: kms:Decrypt on "KmsKeyArn""#]);
    // CodeDeploy: the aliases of these functions, by name, and a look at the account's alarms.
    let (always, with_key) = may(roles["RolloutRole"]);
    let arn = "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:${AWS::StackName}";
    let functions = ["webhook", "webhook:live", "consumer", "consumer:live"];
    let functions = functions.map(|function| format!("\"{arn}-{function}\"")).join(" ");
    assert_eq!(
        always,
        [
            format!(
                "Alias: lambda:GetAlias lambda:GetProvisionedConcurrencyConfig lambda:UpdateAlias on {functions}"
            ),
            "Alarms: cloudwatch:DescribeAlarms on *".to_owned(),
        ]
    );
    assert!(with_key.is_empty());
    for function in of_type(&template, "AWS::Serverless::Function").values() {
        assert!(function.get("Policies").is_none(), "what a function may do stands in its role");
    }
}

/// The names under `Ref` and in `Fn::Sub`, wherever they stand.
fn references(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            if let Some(name) = members.get("Ref").and_then(Value::as_str) {
                into.insert(name.to_owned());
            }
            if let Some(text) = members.get("Fn::Sub").and_then(Value::as_str) {
                let names = text.split("${").skip(1).map(|part| part.split_once('}').unwrap().0.to_owned());
                into.extend(names);
            }
            members.values().for_each(|member| references(member, into));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, into)),
        _ => {}
    }
}

/// The functions that have versions: not the one that CloudFormation alone calls, while it deploys.
fn rolled_out(template: &Value) -> BTreeMap<&str, &Value> {
    let mut functions = of_type(template, "AWS::Serverless::Function");
    let register = functions.remove("RegisterFunction").unwrap();
    assert!(register.get("AutoPublishAlias").is_none() && register.get("DeploymentPreference").is_none());
    functions
}

#[test]
fn the_alias_is_what_is_called_and_every_change_reaches_it() {
    let template = template();
    let alias = json!({ "Ref": "WebhookFunction.Alias" });
    let integrations = of_type(&template, "AWS::ApiGatewayV2::Integration");
    assert_eq!((integrations.len(), &integrations["WebhookIntegration"]["IntegrationUri"]), (1, &alias));
    let permissions = of_type(&template, "AWS::Lambda::Permission");
    assert_eq!((permissions.len(), &permissions["WebhookPermission"]["FunctionName"]), (1, &alias));
    // SAM lets an event source in `Events` call the alias; one outside would have to say so itself.
    assert!(of_type(&template, "AWS::Lambda::EventSourceMapping").is_empty());
    let parameters = names(&template["Parameters"]);
    for (name, function) in rolled_out(&template) {
        assert_eq!(function["AutoPublishAlias"], "live", "{name}");
        assert_eq!(function["AutoPublishAliasAllProperties"], true, "{name}");
        // A parameter that a version holds must stand in the version's description: only its change makes
        // a new version. One that it does not hold must not, or Lambda would refuse to publish the same.
        let mut held = function.clone();
        for elsewhere in ["Events", "DeploymentPreference", "VersionDescription"] {
            held.as_object_mut().unwrap().remove(elsewhere);
        }
        let (mut used, mut described) = (BTreeSet::new(), BTreeSet::new());
        references(&held, &mut used);
        references(&function["VersionDescription"], &mut described);
        // Stated once for all functions.
        references(&template["Globals"]["Function"], &mut used);
        used.retain(|name| parameters.contains(name.as_str()));
        described.retain(|name| parameters.contains(name.as_str()));
        assert_eq!(used, described, "{name}");
    }
}

#[test]
fn a_new_version_takes_over_step_by_step_and_an_alarm_takes_it_back() {
    let template = template();
    let alarms = of_type(&template, "AWS::CloudWatch::Alarm");
    for (name, function) in rolled_out(&template) {
        let rollout = &function["DeploymentPreference"];
        let by = json!({ "Fn::FindInMap": ["StepByStep", { "Ref": "Rollout" }, { "Ref": "Local" }] });
        assert_eq!((&rollout["Enabled"], &rollout["Type"]), (&by, &json!({ "Ref": "Rollout" })), "{name}");
        let watched: Vec<&str> = rollout["Alarms"]
            .as_array()
            .unwrap()
            .iter()
            .map(|alarm| alarm["Ref"].as_str().unwrap())
            .collect();
        // CodeDeploy takes ten.
        assert!((1..=10).contains(&watched.len()), "{name}");
        assert!(watched.iter().all(|alarm| alarms.contains_key(alarm)), "{name}: {watched:?}");
        let errors = format!("{}ErrorsAlarm", name.strip_suffix("Function").unwrap());
        assert!(watched.contains(&errors.as_str()), "{name}: {watched:?}");
    }
    // On AWS all but one way; on the local cloud, which transforms with the defaults only, none.
    let rollout = &template["Parameters"]["Rollout"];
    let map = template["Mappings"]["StepByStep"].as_object().unwrap();
    let ways: BTreeSet<&str> =
        rollout["AllowedValues"].as_array().unwrap().iter().map(|way| way.as_str().unwrap()).collect();
    assert_eq!(ways, map.keys().map(String::as_str).collect());
    for (way, by_local) in map {
        let step_by_step = if way == "AllAtOnce" { "false" } else { "true" };
        assert_eq!(by_local, &json!({ "false": step_by_step, "true": "false" }), "{way}");
    }
    assert_eq!(rollout["Default"], "AllAtOnce");
    // So what is deployed from here says it.
    let config = std::fs::read_to_string(it_dir().join("../../samconfig.toml")).unwrap();
    let deploys: Vec<&str> = config.split(".deploy.parameters]").skip(1).collect();
    assert_eq!(deploys.len(), 3);
    for deploy in deploys {
        let section = deploy.split("\n[").next().unwrap();
        assert!(section.contains("Rollout=Canary10Percent5Minutes"), "{section}");
    }
}

#[test]
fn a_key_of_ones_own_is_for_all_that_is_kept() {
    let template = template();
    let own = |otherwise: Value| json!({ "Fn::If": ["OwnKey", { "Ref": "KmsKeyArn" }, otherwise] });
    let mut kept = 0;
    for (kind, property) in [
        ("AWS::SQS::Queue", "KmsMasterKeyId"),
        ("AWS::SecretsManager::Secret", "KmsKeyId"),
        ("AWS::Logs::LogGroup", "KmsKeyId"),
    ] {
        for (name, properties) in of_type(&template, kind) {
            assert_eq!(properties[property], own(no_value()), "{name}");
            kept += 1;
        }
    }
    assert_eq!(kept, 2 + 1 + 4);
    for (name, queue) in of_type(&template, "AWS::SQS::Queue") {
        // SQS takes one of the two.
        assert_eq!(queue["SqsManagedSseEnabled"], json!({ "Fn::If": ["OwnKey", false, true] }), "{name}");
    }
    let table = &template["Resources"]["Table"]["Properties"]["SSESpecification"]["Fn::If"];
    assert_eq!(
        *table,
        json!(["OwnKey", { "SSEEnabled": true, "SSEType": "KMS", "KMSMasterKeyId": { "Ref": "KmsKeyArn" } }, no_value()])
    );
    assert_eq!(template["Parameters"]["KmsKeyArn"]["Default"], "");
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

/// Every `Fn::If`, as `condition at where it stands`.
fn choices(value: &Value, path: &str, into: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            if let Some(choice) = members.get("Fn::If") {
                into.push((choice[0].as_str().unwrap().to_owned(), path.to_owned()));
            }
            for (name, member) in members {
                choices(member, &format!("{path}/{name}"), into);
            }
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| choices(item, &format!("{path}/{at}"), into));
        }
        _ => {}
    }
}

#[test]
fn nothing_is_left_out_on_the_local_cloud_but_what_it_cannot_take() {
    /// What sits behind `Local`, and why.
    const LEFT_OUT: [(&str, &str); 3] = [
        ("AlarmTopicPolicy", "denies what comes without TLS, as all does on the local cloud"),
        ("WebhookDeadLetterQueuePolicy", "the same"),
        ("WebhookQueuePolicy", "the same"),
    ];
    /// What is another value there.
    const OTHERWISE: [(&str, &str); 3] = [
        ("/Outputs/WebhookUrl/Value/Fn::If/2", "the local cloud's name for the API is not known everywhere"),
        (
            "/Resources/ConsumerFunction/Properties/Events/Webhooks/Properties/ScalingConfig/MaximumConcurrency",
            "the local cloud takes a parameter for a string here, and stops polling",
        ),
        ("/Resources/Registration/Properties/Url/Fn::If/2", "as the output"),
    ];
    let template = template();
    let resources = template["Resources"].as_object().unwrap();
    let behind = |condition: &str| -> BTreeSet<&str> {
        let of = |(_, resource): &(&String, &Value)| resource["Condition"] == condition;
        resources.iter().filter(of).map(|(name, _)| name.as_str()).collect()
    };
    assert_eq!(behind("OnAws"), LEFT_OUT.map(|(name, _)| name).into());
    // Options, the same on both.
    assert_eq!(behind("OwnDomain"), ["WebhookDomain", "WebhookDomainMapping"].into());
    assert_eq!(behind("AlarmsByEmail"), ["AlarmEmailSubscription"].into());
    assert_eq!(behind("WatchesSilence"), ["SilenceAlarm"].into());
    assert_eq!(
        behind("Registers"),
        ["RegisterFunction", "RegisterLogGroup", "RegisterRole", "Registration"].into()
    );
    assert!(behind("OwnKey").is_empty() && behind("Restored").is_empty());
    let conditions = names(&template["Conditions"]);
    assert_eq!(conditions.len(), 7);
    let mut all = Vec::new();
    choices(&template, "", &mut all);
    let local: BTreeSet<&str> =
        all.iter().filter(|(condition, _)| condition == "OnAws").map(|(_, path)| path.as_str()).collect();
    assert_eq!(local, OTHERWISE.map(|(path, _)| path).into());
    // `Local` is read by that condition and, for CodeDeploy, which the local cloud has not, in the one form
    // that SAM takes: a mapping, per function.
    let text = template.to_string();
    assert_eq!(text.matches(r#"{"Ref":"Local"}"#).count(), 1 + 2);
    assert_eq!(template["Conditions"]["OnAws"], json!({ "Fn::Equals": [{ "Ref": "Local" }, "false"] }));
    for condition in conditions {
        assert!(condition == "OnAws" || !template["Conditions"][condition].to_string().contains("Local"));
    }
}

#[test]
fn only_tls_reaches_queues_and_topic_and_the_access_log_says_nothing_personal() {
    let template = template();
    for (name, policy) in of_type(&template, "AWS::SQS::QueuePolicy") {
        let statements = policy["PolicyDocument"]["Statement"].as_array().unwrap();
        assert_eq!(statements.len(), 1, "{name}");
        assert_eq!(statements[0]["Effect"], "Deny", "{name}");
        assert_eq!(statements[0]["Condition"]["Bool"]["aws:SecureTransport"], "false", "{name}");
    }
    for (name, policy) in of_type(&template, "AWS::SNS::TopicPolicy") {
        let statements = policy["PolicyDocument"]["Statement"].as_array().unwrap();
        assert_eq!(statements.len(), 2, "{name}");
        assert_eq!(statements[0]["Effect"], "Deny", "{name}");
        assert_eq!(statements[0]["Condition"]["Bool"]["aws:SecureTransport"], "false", "{name}");
        assert_eq!(statements[1]["Principal"], json!({ "Service": "cloudwatch.amazonaws.com" }), "{name}");
        assert!(statements[1]["Condition"]["ArnLike"]["aws:SourceArn"].is_object(), "{name}");
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
