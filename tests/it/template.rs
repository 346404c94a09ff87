//! Template and code are held together: what one says, the other does.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use shared::variables::Variables;

use crate::support::{it_dir, template};

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
    let functions = of_type(template, "AWS::Serverless::Function");
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
    assert_eq!(given("CallbackFunction"), read(&callback::Config::VARIABLES));
    assert_eq!(given("LinkFunction"), read(&link::Config::VARIABLES));
    assert_eq!(given("QueryFunction"), read(&query::Config::VARIABLES));
    assert_eq!(given("PublishFunction"), read(&publish::Config::VARIABLES));
    assert_eq!(given("LiveFunction"), read(&live::Config::VARIABLES));
    assert_eq!(given("PushFunction"), read(&push::Config::VARIABLES));
    assert_eq!(functions.len(), 9, "another function needs a line here");
}

/// The function that an integration calls, by its alias.
fn function_of(integration: &Value) -> &str {
    let uri = &integration["IntegrationUri"];
    let by_path = || {
        let path = uri["Fn::Sub"][0].as_str().unwrap();
        assert!(path.ends_with(":lambda:path/2015-03-31/functions/${Function}/invocations"), "{path}");
        uri["Fn::Sub"][1]["Function"]["Ref"].as_str().unwrap()
    };
    let alias = uri["Ref"].as_str().unwrap_or_else(by_path);
    alias.strip_suffix(".Alias").unwrap()
}

/// Every route of an HTTP API, and the binary behind it: path and binary.
fn routes(template: &Value) -> BTreeMap<String, String> {
    let integrations = of_type(template, "AWS::ApiGatewayV2::Integration");
    let binary = |route: &Value| {
        let target = route["Target"]["Fn::Sub"].as_str().unwrap();
        let integration = target.strip_prefix("integrations/${").unwrap().strip_suffix('}').unwrap();
        let function = &template["Resources"][function_of(integrations[integration])];
        function["Metadata"]["BuildProperties"]["Binary"].as_str().unwrap().to_owned()
    };
    let http = of_type(template, "AWS::ApiGatewayV2::Route").into_values().filter_map(|route| {
        // A route of a WebSocket API has no method.
        let (_method, path) = route["RouteKey"].as_str().unwrap().split_once(' ')?;
        Some((path.to_owned(), binary(route)))
    });
    http.collect()
}

#[test]
fn cargo_lambda_watch_serves_the_routes_of_the_api() {
    let cargo = Command::new(env!("CARGO"))
        .current_dir(it_dir())
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&cargo.stdout).unwrap();
    let router: BTreeMap<String, String> =
        serde_json::from_value(metadata["metadata"]["lambda"]["watch"]["router"].clone()).unwrap();
    assert_eq!(router, routes(template()));
    assert!(router.contains_key("/v1/webhooks/smile"));
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
    let secrets = of_type(template, "AWS::SecretsManager::Secret");
    assert_eq!(secrets.keys().copied().collect::<Vec<_>>(), ["SessionSecret", "WebhookSecret"]);
    for (name, secret) in secrets {
        let generated = &secret["GenerateSecretString"];
        // Smile takes 64 characters; HS256 wants 32 bytes.
        assert!((43..=64).contains(&seconds(&generated["PasswordLength"])), "{name}");
        assert_eq!(
            (&generated["GenerateStringKey"], &generated["SecretStringTemplate"]),
            (&"current".into(), &"{}".into())
        );
        for (policy, kept) in [("DeletionPolicy", "RetainExceptOnCreate"), ("UpdateReplacePolicy", "Retain")]
        {
            assert_eq!(template["Resources"][name][policy], kept, "{name}");
        }
    }
}

#[test]
fn the_parameters_of_links_and_callbacks_are_those_of_the_code() {
    let template = template();
    let parameter = |name: &str, field: &str| template["Parameters"][name][field].clone();
    let bounds =
        |name: &str| ["MinValue", "MaxValue", "Default"].map(|field| seconds(&parameter(name, field)));
    let link = |minutes: u64| {
        let minutes = minutes.to_string();
        let mut list = link::Config::VARIABLES.map(|name| (name, "x"));
        list.iter_mut().find(|(name, _)| *name == "SESSION_MINUTES").unwrap().1 = &minutes;
        link::Config::read(&Variables::from_list(&list)).is_ok()
    };
    let [least, most, usual] = bounds("SessionMinutes");
    assert!(link(least) && link(most) && !link(least - 1) && !link(most + 1));
    assert_eq!(usual, 60);
    let queue = [("CALLBACK_QUEUE_URL", "u"), ("SMILE_SESSION_SECRET_ARN", "a")];
    let callback = |name: &'static str, value: &str| {
        callback::Config::read(&Variables::from_list(&[queue[0], queue[1], (name, value)])).is_ok()
    };
    let [least, most, _] = bounds("UnconfirmedSeconds");
    // SQS delays a message by 900 seconds at most.
    assert_eq!(most, 900);
    for seconds in [least, most] {
        assert!(callback("UNCONFIRMED_SECONDS", &seconds.to_string()));
    }
    let pattern = parameter("CallbackOrigins", "AllowedPattern");
    let pattern = jsonschema::validator_for(&json!({ "type": "string", "pattern": pattern })).unwrap();
    for (origins, is_good) in [
        ("", true),
        ("capacitor://localhost", true),
        ("ionic://localhost,https://localhost,capacitor://localhost", true),
        ("app://com.example.lender", true),
        ("Capacitor://localhost", false),
        ("capacitor://localhost/", false),
        ("capacitor://", false),
        ("://localhost", false),
        ("null", true),
        ("https://app.example.com", true),
        ("https://app.example.com,http://localhost:3000,null", true),
        ("*", false),
        ("https://app.example.com/", false),
        ("https://App.example.com", false),
    ] {
        assert_eq!(callback("ALLOWED_ORIGINS", origins), is_good, "{origins}");
        assert_eq!(pattern.is_valid(&json!(origins)), is_good, "{origins}");
    }
    assert_eq!(parameter("CallbackOrigins", "Default"), "");
    // What stands in a version's description fits into it (Lambda, `PublishVersion`).
    let longest = ["CallbackOrigins", "SmileApiUrl", "SmileCredentialsSecretArn", "SourceAllowList"];
    let [origins, url, arn, list] = longest.map(|name| seconds(&parameter(name, "MaxLength")));
    for description in [
        format!("x86_64, 900 s, {}", "x".repeat(usize::try_from(origins).unwrap())),
        format!("x86_64, 300 min, {}, ", "x".repeat(usize::try_from(url + arn).unwrap())),
        format!("x86_64, 10240 MB, quarantine, {}", "x".repeat(usize::try_from(list).unwrap())),
    ] {
        assert!(description.len() <= 256, "{}", description.len());
    }
}

#[test]
fn every_route_leads_to_its_function_and_is_open_to_whom_it_should() {
    const IF_JWT: &str = "ByJwt";
    let template = template();
    let integrations = of_type(template, "AWS::ApiGatewayV2::Integration");
    let function = |route: &Value| {
        let target = route["Target"]["Fn::Sub"].as_str().unwrap();
        let name = target.strip_prefix("integrations/${").unwrap().strip_suffix('}').unwrap();
        let integration = integrations[name];
        assert_eq!(
            (&integration["ApiId"], &integration["IntegrationType"]),
            (&route["ApiId"], &json!("AWS_PROXY"))
        );
        // A WebSocket API has one form only.
        let version = if name == "LiveIntegration" { Value::Null } else { json!("2.0") };
        assert_eq!(integration["PayloadFormatVersion"], version, "{name}");
        let function = &template["Resources"][function_of(integration)];
        function["Metadata"]["BuildProperties"]["Binary"].as_str().unwrap().to_owned()
    };
    let mut served = BTreeMap::new();
    let mut routes = BTreeMap::new();
    for (name, route) in of_type(template, "AWS::ApiGatewayV2::Route") {
        let (key, api) = (route["RouteKey"].as_str().unwrap(), route["ApiId"]["Ref"].as_str().unwrap());
        let function = function(route);
        match key.split_once(' ') {
            Some((_, path)) => drop(served.insert(path.to_owned(), function)),
            None => assert_eq!(function, "live", "{name}"),
        }
        // Who may call without credentials of AWS's or an issuer's: whom the function checks itself.
        match api {
            "BackendApi" => {
                let by_jwt =
                    |by_jwt: Value, otherwise: Value| json!({ "Fn::If": [IF_JWT, by_jwt, otherwise] });
                assert_eq!(route["AuthorizationType"], by_jwt(json!("JWT"), json!("AWS_IAM")), "{name}");
                assert_eq!(
                    route["AuthorizerId"],
                    by_jwt(json!({ "Ref": "BackendAuthorizer" }), no_value()),
                    "{name}"
                );
                // Whoever may make links may not read what is known, and the other way round.
                let scope = if key.starts_with("GET ") { "JwtReadScope" } else { "JwtLinkScope" };
                let scopes = by_jwt(json!([{ "Ref": scope }]), no_value());
                assert_eq!(route["AuthorizationScopes"], scopes, "{name}");
            }
            _ => assert_eq!(route["AuthorizationType"], "NONE", "{name}"),
        }
        routes.insert(key, api);
    }
    assert_eq!(
        routes,
        BTreeMap::from([
            ("POST /v1/webhooks/smile", "WebhookApi"),
            ("POST /v1/callbacks", "CallbackApi"),
            ("OPTIONS /v1/callbacks", "CallbackApi"),
            ("GET /v1/wink-events.js", "CallbackApi"),
            ("GET /v1/wink-events.mjs", "CallbackApi"),
            ("GET /v1/wink-live.js", "CallbackApi"),
            ("GET /v1/wink-live.mjs", "CallbackApi"),
            ("$connect", "LiveApi"),
            ("$default", "LiveApi"),
            ("$disconnect", "LiveApi"),
            ("POST /v1/links", "BackendApi"),
            ("POST /v1/links/{userId}/refresh", "BackendApi"),
            ("GET /v1/users/{id}", "BackendApi"),
            ("GET /v1/users", "BackendApi"),
            ("GET /v1/timeline", "BackendApi"),
            ("GET /v1/accounts/{id}", "BackendApi"),
            ("GET /v1/accounts", "BackendApi"),
            ("GET /v1/archives/{id}", "BackendApi"),
            ("GET /v1/archives", "BackendApi"),
            ("GET /v1/invites/{id}", "BackendApi"),
            ("GET /v1/invites", "BackendApi"),
            ("GET /v1/records/{id}", "BackendApi"),
            ("GET /v1/records", "BackendApi"),
            ("GET /v1/verifications/{id}", "BackendApi"),
            ("GET /v1/verifications", "BackendApi"),
            ("GET /v1/events", "BackendApi"),
            ("GET /v1/events/{id}", "BackendApi"),
            ("GET /v1/event", "BackendApi"),
            ("GET /v1/quarantine", "BackendApi"),
            ("GET /v1/openapi.json", "BackendApi"),
        ])
    );
    let read =
        routes.keys().filter_map(|key| key.strip_prefix("GET ")).filter(|path| served[*path] == "query");
    let paths = query::operation::Operation::ALL.iter().flat_map(|operation| operation.paths());
    assert_eq!(read.collect::<BTreeSet<_>>(), paths.collect());
    // No API answers preflights by itself: which origins may send is the function's to say.
    for (name, api) in of_type(template, "AWS::ApiGatewayV2::Api") {
        assert!(api.get("CorsConfiguration").is_none(), "{name}");
    }
    let authorizer = of_type(template, "AWS::ApiGatewayV2::Authorizer")["BackendAuthorizer"];
    assert_eq!(authorizer["JwtConfiguration"]["Issuer"], json!({ "Ref": "JwtIssuer" }));
}

#[test]
fn the_urls_that_functions_hand_on_are_the_outputs() {
    let template = template();
    let outputs = &template["Outputs"];
    let functions = of_type(template, "AWS::Serverless::Function");
    for (output, function, variable) in [
        ("CallbackUrl", "LinkFunction", "CALLBACK_URL"),
        ("LiveUrl", "LinkFunction", "LIVE_URL"),
        ("ScriptUrl", "LinkFunction", "SCRIPT_URL"),
        ("BackendUrl", "QueryFunction", "BACKEND_URL"),
    ] {
        let variables = &functions[function]["Environment"]["Variables"];
        assert_eq!(outputs[output]["Value"], variables[variable], "{output}");
    }
}

#[test]
fn browsers_use_up_nothing_of_the_webhooks() {
    let template = template();
    let stages = of_type(template, "AWS::ApiGatewayV2::Stage");
    let rate = |stage: &str| stages[stage]["DefaultRouteSettings"]["ThrottlingRateLimit"].clone();
    assert_eq!(rate("WebhookStage"), json!({ "Ref": "ThrottleRate" }));
    assert_eq!(rate("CallbackStage"), json!({ "Ref": "CallbackThrottleRate" }));
    assert_eq!(rate("LiveStage"), json!({ "Ref": "LiveThrottleRate" }));
    let source = of_type(template, "AWS::Lambda::EventSourceMapping")["CallbackEventSource"];
    let concurrency = &source["ScalingConfig"]["MaximumConcurrency"]["Fn::If"];
    assert_eq!(*concurrency, json!(["OnAws", { "Ref": "CallbackConcurrency" }, 2]));
    assert_eq!(source["FunctionName"], json!({ "Ref": "ConsumerFunction.Alias" }));
    assert_eq!(source["EventSourceArn"], json!({ "Fn::GetAtt": ["CallbackQueue", "Arn"] }));
    // The consumer believes the queue's ARN, not what a message says of itself.
    let consumer = of_type(template, "AWS::Serverless::Function")["ConsumerFunction"];
    assert_eq!(
        consumer["Environment"]["Variables"]["CALLBACK_QUEUE_ARN"],
        json!({ "Fn::If": ["KnowsSmile", { "Fn::GetAtt": ["CallbackQueue", "Arn"] }, ""] })
    );
}

#[test]
fn doctor_counts_every_concurrency_that_a_queue_or_a_stream_can_use_up() {
    let template = template();
    let sources = of_type(template, "AWS::Lambda::EventSourceMapping");
    let concurrency = |source: &Value| source["ScalingConfig"]["MaximumConcurrency"].clone();
    let names: BTreeSet<&str> = sources.keys().copied().collect();
    assert_eq!(names, ["CallbackEventSource", "PublishRetrySource", "PublishStreamSource"].into());
    let of_parameter = |name: &str, local: u64| json!({ "Fn::If": ["OnAws", { "Ref": name }, local] });
    assert_eq!(concurrency(sources["CallbackEventSource"]), of_parameter("CallbackConcurrency", 2));
    let publish = sources["PublishRetrySource"];
    assert_eq!(concurrency(publish), json!(smile_cli::doctor::PUBLISH_RETRIES));
    // One execution a shard: more would be this factor times as many.
    assert!(sources["PublishStreamSource"]["ParallelizationFactor"].is_null());
    let functions = of_type(template, "AWS::Serverless::Function");
    let events: Vec<(&str, &Value)> = functions
        .iter()
        .flat_map(|(name, function)| {
            let events = function["Events"].as_object().into_iter().flat_map(|events| events.values());
            events.map(move |event| (*name, &event["Properties"]))
        })
        .collect();
    let [("ConsumerFunction", webhooks)] = events[..] else { panic!("{events:?}") };
    assert_eq!(concurrency(webhooks), of_parameter("ConsumerConcurrency", 5));
    // The least that Lambda takes for a queue: all that a new account can spare.
    for name in ["ConsumerConcurrency", "CallbackConcurrency"] {
        let parameter = &template["Parameters"][name];
        assert_eq!((&parameter["Default"], &parameter["MinValue"]), (&json!(2), &json!(2)), "{name}");
    }
    // Nothing is reserved: Lambda refuses that in an account that has little.
    assert!(!template.to_string().contains("ReservedConcurrentExecutions"));
}

#[test]
fn time_outs_end_inside_each_other() {
    let template = template();
    let functions = of_type(template, "AWS::Serverless::Function");
    let time_out = |function: &str| seconds(&functions[function]["Timeout"]);
    // Room to start, to write counts and to answer.
    let room = Duration::from_secs(1);
    let budgets = BTreeMap::from([
        ("WebhookFunction", webhook::BUDGET),
        ("ConsumerFunction", consumer::batch::PATIENCE),
        ("RegisterFunction", register::BUDGET),
        ("CallbackFunction", callback::BUDGET),
        ("LinkFunction", link::BUDGET),
        ("QueryFunction", query::WITHIN),
        ("PublishFunction", publish::BUDGET),
        ("LiveFunction", live::BUDGET),
        ("PushFunction", push::BUDGET),
    ]);
    assert_eq!(
        budgets.keys().copied().collect::<Vec<_>>(),
        functions.keys().copied().collect::<Vec<_>>(),
        "a function without a budget"
    );
    for (function, budget) in budgets {
        assert!(budget + room <= Duration::from_secs(time_out(function)), "{function}: {budget:?}");
    }
    for (name, integration) in of_type(template, "AWS::ApiGatewayV2::Integration") {
        let function = function_of(integration);
        let waited = seconds(&integration["TimeoutInMillis"]);
        // API Gateway takes 30 seconds at most for an HTTP API.
        assert!(waited > 1000 * time_out(function) && waited <= 30_000, "{name}");
    }
    let queues = of_type(template, "AWS::SQS::Queue");
    for (queue, function) in [
        ("WebhookQueue", "ConsumerFunction"),
        ("CallbackQueue", "ConsumerFunction"),
        ("PublishRetryQueue", "PublishFunction"),
    ] {
        assert!(seconds(&queues[queue]["VisibilityTimeout"]) >= 6 * time_out(function), "{queue}");
    }
}

#[test]
fn the_registration_is_of_this_stack_and_is_not_waited_for_for_ever() {
    let template = template();
    let registration = &template["Resources"]["Registration"];
    let properties = &registration["Properties"];
    // All that the function reads, and the output that an operator would register.
    for property in
        ["ApiUrl", "CredentialsSecretArn", "DomainName", "EventTypes", "IncludePayload", "Name", "Url"]
    {
        assert!(!properties[property].is_null(), "{property}");
    }
    assert_eq!(properties["Url"], template["Outputs"]["WebhookUrl"]["Value"]);
    assert_eq!(properties["Name"], json!({ "Ref": "AWS::StackName" }));
    // A domain name alone changes nothing at Smile: its DNS record can be made only after the deployment.
    assert_eq!(properties["Url"]["Fn::If"][0], "OwnUrl");
    assert_eq!(properties["Url"]["Fn::If"][1], json!({ "Ref": "RegisteredUrl" }));
    assert!(!properties["Url"].to_string().contains("DomainName"));
    assert_eq!(template["Parameters"]["RegisteredUrl"]["Default"], "");
    let function = of_type(template, "AWS::Serverless::Function")["RegisterFunction"];
    let (waited, time_out) = (seconds(&properties["ServiceTimeout"]), seconds(&function["Timeout"]));
    // Lambda runs a killed one once more after a minute.
    assert!(waited >= 2 * time_out + 60, "{waited}");
    assert_eq!(template["Parameters"]["SmileApiUrl"]["Default"], shared::smile_api::OPEN);
    assert_eq!(template["Parameters"]["SmileEventTypes"]["Default"], shared::smile_api::types::ALL_EVENTS);
    assert_eq!(template["Parameters"]["SmileCredentialsSecretArn"]["Default"], "");
    // What is left at Smile stands in its log.
    assert_eq!(template["Resources"]["RegisterLogGroup"]["DeletionPolicy"], "Retain");
}

#[test]
fn what_fails_comes_again_alone_and_ends_in_a_dead_letter_queue() {
    let template = template();
    let queues = of_type(template, "AWS::SQS::Queue");
    let (dead, live): (Vec<_>, Vec<_>) =
        queues.iter().partition(|(name, _)| name.ends_with("DeadLetterQueue"));
    // What is to be pushed comes by no queue.
    assert_eq!((dead.len(), live.len()), (4, 3));
    for (name, queue) in live {
        let target = &queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"];
        let letters = &queues[target[0].as_str().unwrap()];
        // Two hours for the bus.
        let times = if *name == "PublishRetryQueue" { 20 } else { 5 };
        assert_eq!(seconds(&queue["RedrivePolicy"]["maxReceiveCount"]), times, "{name}");
        assert!(
            seconds(&letters["MessageRetentionPeriod"]) >= seconds(&queue["MessageRetentionPeriod"]),
            "{name}"
        );
        assert_eq!(seconds(&queue["MaximumMessageSize"]), shared::job::MAX_MESSAGE_BYTES as u64, "{name}");
    }
    let mut sources = 0;
    for (name, function) in of_type(template, "AWS::Serverless::Function") {
        for event in function["Events"].as_object().into_iter().flat_map(|events| events.values()) {
            sources += 1;
            assert_eq!(event["Type"], "SQS", "{name}");
            assert_eq!(event["Properties"]["FunctionResponseTypes"][0], "ReportBatchItemFailures", "{name}");
            assert_eq!(event["Properties"]["BatchSize"], 10, "{name}");
        }
    }
    for (name, source) in of_type(template, "AWS::Lambda::EventSourceMapping") {
        sources += 1;
        assert_eq!(source["FunctionResponseTypes"][0], "ReportBatchItemFailures", "{name}");
        let is_stream = name == "PublishStreamSource";
        assert_eq!(source["BatchSize"], if is_stream { 100 } else { 10 }, "{name}");
        if is_stream {
            // From the horizon, so that nothing is skipped between the table's making and this.
            assert_eq!(source["StartingPosition"], "TRIM_HORIZON");
            // It is told of before the stream has no more of it.
            let age = seconds(&source["MaximumRecordAgeInSeconds"]);
            assert!((3600 * 12..3600 * 24).contains(&age));
            // A record that lets every try time out blocks its shard for two hours at most. The bus is tried for as long.
            let time_out =
                seconds(&of_type(template, "AWS::Serverless::Function")["PublishFunction"]["Timeout"]);
            let blocked = (1 + seconds(&source["MaximumRetryAttempts"])) * time_out;
            let retry = &queues["PublishRetryQueue"];
            let tried =
                seconds(&retry["VisibilityTimeout"]) * seconds(&retry["RedrivePolicy"]["maxReceiveCount"]);
            assert!((3600..=tried).contains(&blocked), "{blocked} s of {tried} s");
            let letters = json!({ "Fn::GetAtt": ["PublishDeadLetterQueue", "Arn"] });
            assert_eq!(source["DestinationConfig"]["OnFailure"]["Destination"], letters);
            assert_eq!(source["BisectBatchOnFunctionError"], true);
            let filter = &source["FilterCriteria"]["Filters"];
            let filter: Value = serde_json::from_str(filter[0]["Pattern"].as_str().unwrap()).unwrap();
            assert_eq!(
                filter,
                json!({ "eventName": ["INSERT"], "dynamodb": { "Keys": { "sk": { "S": ["EVENT"] } } } })
            );
        }
    }
    assert_eq!(sources, 4);
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
                    let on_aws = |action: &&Value| match &action["Fn::If"] {
                        Value::Null => true,
                        choice => {
                            assert_eq!((&choice[0], &choice[1]), (&"OnAws".into(), &no_value()), "{action}");
                            false
                        }
                    };
                    let actions = actions.iter().filter(on_aws);
                    actions.map(|action| action.as_str().unwrap()).collect::<Vec<_>>()
                }
                action => vec![action.as_str().unwrap()],
            };
            assert!(actions.iter().all(|action| !action.contains('*')), "{statement}");
            let resource = |resource: &Value| match resource {
                Value::String(text) => {
                    assert!(
                        text != "*" || matches!(statement["Sid"].as_str(), Some("Trace" | "Alarms")),
                        "{statement}"
                    );
                    text.clone()
                }
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
    let roles = of_type(template, "AWS::IAM::Role");
    assert_eq!(roles.len(), 10);
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
            r#"Queue: sqs:ReceiveMessage sqs:DeleteMessage sqs:GetQueueAttributes on ["WebhookQueue","Arn"] ["KnowsSmile",{"Fn::GetAtt":["CallbackQueue","Arn"]},{"Ref":"AWS::NoValue"}]"#,
            r#"Table: dynamodb:BatchGetItem dynamodb:DeleteItem dynamodb:GetItem dynamodb:PutItem dynamodb:Query dynamodb:UpdateItem on ["Restored",{"Fn::Sub":"arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${RestoredTable}"},{"Fn::GetAtt":["Table","Arn"]}]"#,
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
    let (always, with_key) = may(roles["CallbackRole"]);
    assert_eq!(
        always,
        [
            r#"Queue: sqs:SendMessage sqs:GetQueueAttributes on ["CallbackQueue","Arn"]"#,
            r#"Secret: secretsmanager:GetSecretValue on ["SessionSecret","Id"]"#,
            r#"Log: logs:CreateLogStream logs:PutLogEvents on ["CallbackLogGroup","Arn"]"#,
            "Trace: xray:PutTraceSegments xray:PutTelemetryRecords on *",
        ]
    );
    assert_eq!(with_key, [r#"Key: kms:Decrypt kms:GenerateDataKey on "KmsKeyArn""#]);
    let (always, with_key) = may(roles["LinkRole"]);
    assert_eq!(
        always,
        [
            r#"Secrets: secretsmanager:GetSecretValue on ["SessionSecret","Id"] "SmileCredentialsSecretArn""#,
            r#"Log: logs:CreateLogStream logs:PutLogEvents on ["LinkLogGroup","Arn"]"#,
            "Trace: xray:PutTraceSegments xray:PutTelemetryRecords on *",
        ]
    );
    assert_eq!(with_key, [r#"Key: kms:Decrypt on "KmsKeyArn""#]);
    let (always, with_key) = may(roles["QueryRole"]);
    assert_eq!(
        always,
        [
            r#"Table: dynamodb:BatchGetItem dynamodb:GetItem dynamodb:Query on ["Restored",{"Fn::Sub":"arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${RestoredTable}"},{"Fn::GetAtt":["Table","Arn"]}]"#,
            r#"Index: dynamodb:Query on ["Restored",[{"Fn::Sub":"arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${RestoredTable}/index/by-day"},{"Fn::Sub":"arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${RestoredTable}/index/by-owner"}],[{"Fn::Sub":"${Table.Arn}/index/by-day"},{"Fn::Sub":"${Table.Arn}/index/by-owner"}]]"#,
            r#"Log: logs:CreateLogStream logs:PutLogEvents on ["QueryLogGroup","Arn"]"#,
            "Trace: xray:PutTraceSegments xray:PutTelemetryRecords on *",
        ]
    );
    assert_eq!(with_key, [r#"Key: kms:Decrypt kms:DescribeKey on "KmsKeyArn""#]);
    let (always, with_key) = may(roles["PublishRole"]);
    assert_eq!(
        always,
        [
            r#"Stream: dynamodb:DescribeStream dynamodb:GetRecords dynamodb:GetShardIterator dynamodb:ListStreams on ["Restored",{"Fn::Sub":"arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${RestoredTable}/stream/*"},{"Fn::Sub":"${Table.Arn}/stream/*"}]"#,
            r#"Table: dynamodb:GetItem on ["Restored",{"Fn::Sub":"arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${RestoredTable}"},{"Fn::GetAtt":["Table","Arn"]}]"#,
            r#"Bus: events:PutEvents on ["EventBus","Arn"]"#,
            r#"Retry: sqs:SendMessage sqs:ReceiveMessage sqs:DeleteMessage sqs:GetQueueAttributes on ["PublishRetryQueue","Arn"]"#,
            r#"DeadLetters: sqs:SendMessage on ["PublishDeadLetterQueue","Arn"]"#,
            r#"Log: logs:CreateLogStream logs:PutLogEvents on ["PublishLogGroup","Arn"]"#,
            "Trace: xray:PutTraceSegments xray:PutTelemetryRecords on *",
        ]
    );
    assert_eq!(with_key, [r#"Key: kms:Decrypt kms:DescribeKey kms:GenerateDataKey on "KmsKeyArn""#]);
    of_live_and_push(&roles);
    // CodeDeploy: the aliases of these functions, by name, and a look at the account's alarms.
    let (always, with_key) = may(roles["RolloutRole"]);
    let arn = "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:${AWS::StackName}";
    let functions = ["webhook", "consumer", "callback", "link", "query", "publish", "live", "push"];
    let aliases =
        functions.map(|function| format!("\"{arn}-{function}\" \"{arn}-{function}:live\"")).join(" ");
    let versions = functions.map(|function| format!("\"{arn}-{function}:*\"")).join(" ");
    assert_eq!(
        always,
        [
            format!("Alias: lambda:GetAlias lambda:UpdateAlias on {aliases}"),
            format!("Provisioned: lambda:GetProvisionedConcurrencyConfig on {versions}"),
            "Alarms: cloudwatch:DescribeAlarms on *".to_owned(),
        ]
    );
    assert!(with_key.is_empty());
    for function in of_type(template, "AWS::Serverless::Function").values() {
        assert!(function.get("Policies").is_none(), "what a function may do stands in its role");
    }
}

/// What may be done with connections: nothing else of the table, and no other API.
fn of_live_and_push(roles: &BTreeMap<&str, &Value>) {
    let table = r#"["Restored",{"Fn::Sub":"arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${RestoredTable}"},{"Fn::GetAtt":["Table","Arn"]}]"#;
    let api = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${LiveApi}/live";
    let key = "kms:Decrypt kms:DescribeKey kms:Encrypt kms:GenerateDataKey kms:ReEncryptFrom kms:ReEncryptTo";
    let (always, with_key) = may(roles["LiveRole"]);
    let manage = "execute-api:ManageConnections";
    assert_eq!(
        always,
        [
            r#"Secret: secretsmanager:GetSecretValue on ["SessionSecret","Id"]"#.to_owned(),
            format!(
                "Table: dynamodb:BatchWriteItem dynamodb:ConditionCheckItem dynamodb:DeleteItem dynamodb:GetItem dynamodb:PutItem dynamodb:Query on {table}"
            ),
            format!("Connections: {manage} on \"{api}/POST/@connections/*\" \"{api}/DELETE/@connections/*\""),
            r#"Log: logs:CreateLogStream logs:PutLogEvents on ["LiveLogGroup","Arn"]"#.to_owned(),
            "Trace: xray:PutTraceSegments xray:PutTelemetryRecords on *".to_owned(),
        ]
    );
    assert_eq!(with_key, [format!("Key: {key} on \"KmsKeyArn\"")]);
    let (always, with_key) = may(roles["PushRole"]);
    assert_eq!(
        always,
        [
            format!("Listeners: dynamodb:DeleteItem dynamodb:Query on {table}"),
            format!("Tombstones: dynamodb:PutItem on {table}"),
            format!("Connections: {manage} on \"{api}/POST/@connections/*\""),
            r#"DeadLetters: sqs:SendMessage on ["PushDeadLetterQueue","Arn"]"#.to_owned(),
            r#"Log: logs:CreateLogStream logs:PutLogEvents on ["PushLogGroup","Arn"]"#.to_owned(),
            "Trace: xray:PutTraceSegments xray:PutTelemetryRecords on *".to_owned(),
        ]
    );
    assert_eq!(with_key, [format!("Key: {key} on \"KmsKeyArn\"")]);
    for (role, statement, keys) in [
        ("LiveRole", 1, &["CONNECTION#*", "LISTENERS#*"][..]),
        ("PushRole", 0, &["LISTENERS#*"]),
        ("PushRole", 1, &["CONNECTION#*"]),
        ("PublishRole", 1, &["EVENT#*"]),
    ] {
        let statement = &roles[role]["Policies"][0]["PolicyDocument"]["Statement"][statement];
        let condition = json!({ "ForAllValues:StringLike": { "dynamodb:LeadingKeys": keys } });
        assert_eq!(statement["Condition"], condition, "{role}");
    }
}

#[test]
fn pages_hear_what_smile_says_until_all_tries_have_failed() {
    let template = template();
    let rule = of_type(template, "AWS::Events::Rule")["PushRule"];
    assert_eq!(rule["EventBusName"], json!({ "Ref": "EventBus" }));
    // Not what browsers say, nothing that is nobody's, and no replay.
    assert_eq!(
        rule["EventPattern"],
        json!({
            "source": ["smile.webhook", "smile.reconcile"],
            "detail": { "userId": [{ "exists": true }] },
            "replay-name": [{ "exists": false }],
        })
    );
    let letters = json!({ "Fn::GetAtt": ["PushDeadLetterQueue", "Arn"] });
    let target = &rule["Targets"][0];
    assert_eq!(target["Arn"], json!({ "Ref": "PushFunction.Alias" }));
    assert_eq!(target["DeadLetterConfig"]["Arn"], letters);
    assert_eq!(target["RetryPolicy"]["MaximumEventAgeInSeconds"], 3600);
    let tries = &of_type(template, "AWS::Serverless::Function")["PushFunction"]["EventInvokeConfig"];
    assert_eq!(tries["DestinationConfig"]["OnFailure"], json!({ "Type": "SQS", "Destination": letters }));
    // The most that Lambda makes.
    assert_eq!(
        (&tries["MaximumRetryAttempts"], &tries["MaximumEventAgeInSeconds"]),
        (&json!(2), &json!(3600))
    );
    // API Gateway's one stage is what page and functions are told.
    let stage = of_type(template, "AWS::ApiGatewayV2::Stage")["LiveStage"];
    assert_eq!(stage["StageName"], "live");
    let functions = of_type(template, "AWS::Serverless::Function");
    let told = |function: &str| &functions[function]["Environment"]["Variables"]["CONNECTIONS_URL"];
    assert_eq!(told("LiveFunction"), told("PushFunction"));
    let on_aws = &told("PushFunction")["Fn::If"][1];
    let url = "https://${LiveApi}.execute-api.${AWS::Region}.${AWS::URLSuffix}/live";
    assert_eq!(*on_aws, json!({ "Fn::Sub": url }));
}

/// The names under `Ref` and in `Fn::Sub`, wherever they stand, and those that an `Fn::If` goes by.
fn references(template: &Value, value: &Value, into: &mut BTreeSet<String>) {
    let names = |text: &str| -> Vec<String> {
        text.split("${").skip(1).map(|part| part.split_once('}').unwrap().0.to_owned()).collect()
    };
    match value {
        Value::Object(members) => {
            if let Some(name) = members.get("Ref").and_then(Value::as_str) {
                into.insert(name.to_owned());
            }
            if let Some(text) = members.get("Fn::Sub").and_then(Value::as_str) {
                into.extend(names(text));
            }
            if let Some(parts) = members.get("Fn::Sub").and_then(Value::as_array) {
                into.extend(names(parts[0].as_str().unwrap()));
            }
            if let Some(choice) = members.get("Fn::If") {
                references(template, &template["Conditions"][choice[0].as_str().unwrap()], into);
            }
            members.values().for_each(|member| references(template, member, into));
        }
        Value::Array(items) => items.iter().for_each(|item| references(template, item, into)),
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
    let alias = |function: &str| json!({ "Ref": format!("{function}Function.Alias") });
    let (integrations, permissions) =
        (of_type(template, "AWS::ApiGatewayV2::Integration"), of_type(template, "AWS::Lambda::Permission"));
    for function in ["Webhook", "Callback", "Link", "Query", "Live"] {
        assert_eq!(
            function_of(integrations[&*format!("{function}Integration")]),
            format!("{function}Function")
        );
        assert_eq!(permissions[&*format!("{function}Permission")]["FunctionName"], alias(function));
    }
    // The bus calls one, by its rule.
    let push = permissions["PushPermission"];
    assert_eq!((&push["FunctionName"], &push["Principal"]), (&alias("Push"), &json!("events.amazonaws.com")));
    assert_eq!(push["SourceArn"], json!({ "Fn::GetAtt": ["PushRule", "Arn"] }));
    assert_eq!((integrations.len(), permissions.len()), (5, 6));
    // Two functions share the back end's API: each may be called for its own routes only.
    for (function, routes) in [("Link", "POST/v1/links*"), ("Query", "GET/v1/*")] {
        let source = permissions[&*format!("{function}Permission")]["SourceArn"]["Fn::Sub"].as_str().unwrap();
        assert!(source.ends_with(&format!(":${{BackendApi}}/*/{routes}")), "{source}");
    }
    // SAM lets an event source in `Events` call the alias; one outside says so itself.
    let sources = of_type(template, "AWS::Lambda::EventSourceMapping");
    let called = sources.iter().map(|(name, source)| (*name, source["FunctionName"].clone()));
    assert_eq!(
        called.collect::<Vec<_>>(),
        [
            ("CallbackEventSource", alias("Consumer")),
            ("PublishRetrySource", alias("Publish")),
            ("PublishStreamSource", alias("Publish")),
        ]
    );
    let parameters = names(&template["Parameters"]);
    for (name, function) in rolled_out(template) {
        assert_eq!(function["AutoPublishAlias"], "live", "{name}");
        assert_eq!(function["AutoPublishAliasAllProperties"], true, "{name}");
        // After a rollback the same version can be published once more.
        assert_eq!(function["VersionDeletionPolicy"], "Delete", "{name}");
        // SAM would make a version of a change of these, and Lambda would refuse it: no version holds them.
        for unversioned in ["Tags", "ReservedConcurrentExecutions", "RecursiveLoop"] {
            assert!(function[unversioned].is_null(), "{name}: {unversioned}");
            assert!(template["Globals"]["Function"][unversioned].is_null(), "{unversioned}");
        }
        // A parameter that a version holds must stand in the version's description: only its change makes
        // a new version. One that it does not hold must not, or Lambda would refuse to publish the same.
        let mut held = function.clone();
        for elsewhere in ["Events", "DeploymentPreference", "VersionDescription"] {
            held.as_object_mut().unwrap().remove(elsewhere);
        }
        let (mut used, mut described) = (BTreeSet::new(), BTreeSet::new());
        references(template, &held, &mut used);
        references(template, &function["VersionDescription"], &mut described);
        // Stated once for all functions.
        references(template, &template["Globals"]["Function"], &mut used);
        // `Local` is the same for a stack's whole life.
        used.retain(|name| parameters.contains(name.as_str()) && name != "Local");
        described.retain(|name| parameters.contains(name.as_str()));
        assert_eq!(used, described, "{name}");
    }
}

#[test]
fn a_new_version_takes_over_step_by_step_and_an_alarm_takes_it_back() {
    let template = template();
    let alarms = of_type(template, "AWS::CloudWatch::Alarm");
    for (name, function) in rolled_out(template) {
        let rollout = &function["DeploymentPreference"];
        let by = json!({ "Fn::FindInMap": ["StepByStep", { "Ref": "Rollout" }, { "Ref": "Local" }] });
        assert_eq!((&rollout["Enabled"], &rollout["Type"]), (&by, &json!({ "Ref": "Rollout" })), "{name}");
        // A function that is left out has no group that names alarms.
        assert_eq!(rollout["PassthroughCondition"], true, "{name}");
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
        for (name, properties) in of_type(template, kind) {
            assert_eq!(properties[property], own(no_value()), "{name}");
            kept += 1;
        }
    }
    assert_eq!(kept, 7 + 2 + 12);
    for (name, queue) in of_type(template, "AWS::SQS::Queue") {
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
    const LEFT_OUT: [(&str, &str); 12] = [
        ("AlarmTopicPolicy", "denies what comes without TLS, as all does on the local cloud"),
        ("BusArchive", "the local cloud has none, and refuses the stack"),
        ("CallbackDeadLetterQueuePolicy", "as the topic's policy"),
        ("CallbackQueuePolicy", "the same"),
        ("PublishDeadLetterQueuePolicy", "the same"),
        ("PublishRetryQueuePolicy", "the same"),
        ("NewAtSmileAlarm", "metric maths, which the local cloud refuses"),
        ("UnfoldedAlarm", "metric maths, which the local cloud refuses"),
        ("PublishStoppedAlarm", "metric maths, which the local cloud refuses"),
        ("PushDeadLetterQueuePolicy", "as the topic's policy"),
        ("WebhookDeadLetterQueuePolicy", "the same"),
        ("WebhookQueuePolicy", "the same"),
    ];
    /// What is another value there.
    const OTHERWISE: [(&str, &str); 14] = [
        ("/Outputs/BackendUrl/Value", "the local cloud's name for the API is not known everywhere"),
        ("/Outputs/CallbackUrl/Value", "the same"),
        ("/Outputs/LiveUrl/Value", "the same"),
        ("/Outputs/ScriptUrl/Value", "the same"),
        ("/Outputs/WebhookUrl/Value/Fn::If/2", "the same"),
        (
            "/Resources/CallbackEventSource/Properties/ScalingConfig/MaximumConcurrency",
            "the local cloud takes a parameter for a string here, and stops polling",
        ),
        ("/Resources/LinkFunction/Properties/Environment/Variables/CALLBACK_URL", "as the output"),
        ("/Resources/QueryFunction/Properties/Environment/Variables/BACKEND_URL", "as the output"),
        ("/Resources/LinkFunction/Properties/Environment/Variables/LIVE_URL", "as the output"),
        ("/Resources/LiveFunction/Properties/Environment/Variables/CONNECTIONS_URL", "as the output"),
        ("/Resources/PushFunction/Properties/Environment/Variables/CONNECTIONS_URL", "as the output"),
        ("/Resources/LinkFunction/Properties/Environment/Variables/SCRIPT_URL", "as the output"),
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
    let on_aws: BTreeSet<&str> = &behind("OnAws") | &behind("KnowsSmileOnAws");
    assert_eq!(on_aws, LEFT_OUT.map(|(name, _)| name).into());
    let both = json!({ "Fn::And": [{ "Condition": "KnowsSmile" }, { "Condition": "OnAws" }] });
    assert_eq!(template["Conditions"]["KnowsSmileOnAws"], both);
    // Options, the same on both.
    assert_eq!(behind("OwnDomain"), ["WebhookDomain", "WebhookDomainMapping"].into());
    assert_eq!(behind("AlarmsByEmail"), ["AlarmEmailSubscription"].into());
    assert_eq!(behind("WatchesSilence"), ["SilenceAlarm"].into());
    assert_eq!(behind("ByJwt"), ["BackendAuthorizer"].into());
    // A restored table has a stream only when somebody has switched it on.
    assert_eq!(behind("Streams"), ["PublishStreamSource"].into());
    // Without Smile's API there is no registration, no link, and so no callback; what is known can be read.
    let of_smile =
        ["Callback", "Link", "Live", "Push", "Regist", "Script", "Session", "UnconfirmedConnections"];
    let of_smile: BTreeSet<&str> = resources
        .keys()
        .map(String::as_str)
        .filter(|name| of_smile.iter().any(|of| name.starts_with(of)))
        // Counted by a function that may just have been taken away.
        .filter(|name| *name != "RegistrationOrphanedAlarm")
        .filter(|name| !on_aws.contains(name))
        .collect();
    assert_eq!(behind("KnowsSmile"), of_smile);
    assert_eq!(of_smile.len(), 62);
    assert!(behind("OwnKey").is_empty() && behind("Restored").is_empty());
    let conditions = names(&template["Conditions"]);
    assert_eq!(conditions.len(), 11);
    let mut all = Vec::new();
    choices(template, "", &mut all);
    let local: BTreeSet<&str> =
        all.iter().filter(|(condition, _)| condition == "OnAws").map(|(_, path)| path.as_str()).collect();
    assert_eq!(local, OTHERWISE.map(|(path, _)| path).into());
    // `Local` is read by that condition and, for CodeDeploy, which the local cloud has not, in the one form
    // that SAM takes: a mapping, per function.
    let text = template.to_string();
    assert_eq!(text.matches(r#"{"Ref":"Local"}"#).count(), 1 + 8);
    assert_eq!(template["Conditions"]["OnAws"], json!({ "Fn::Equals": [{ "Ref": "Local" }, "false"] }));
    for condition in conditions {
        assert!(condition == "OnAws" || !template["Conditions"][condition].to_string().contains("Local"));
    }
}

#[test]
fn only_tls_reaches_queues_and_topic_and_the_access_log_says_nothing_personal() {
    let template = template();
    for (name, policy) in of_type(template, "AWS::SQS::QueuePolicy") {
        let statements = policy["PolicyDocument"]["Statement"].as_array().unwrap();
        if name == "PushDeadLetterQueuePolicy" {
            // The rule has no role: what it cannot hand to Lambda it sends by this.
            let rule = json!({ "ArnEquals": { "aws:SourceArn": { "Fn::GetAtt": ["PushRule", "Arn"] } } });
            assert_eq!(
                (&statements[1]["Condition"], &statements[1]["Action"]),
                (&rule, &json!("sqs:SendMessage"))
            );
        }
        assert_eq!(statements.len(), if name == "PushDeadLetterQueuePolicy" { 2 } else { 1 }, "{name}");
        assert_eq!(statements[0]["Effect"], "Deny", "{name}");
        assert_eq!(statements[0]["Condition"]["Bool"]["aws:SecureTransport"], "false", "{name}");
    }
    for (name, policy) in of_type(template, "AWS::SNS::TopicPolicy") {
        let statements = policy["PolicyDocument"]["Statement"].as_array().unwrap();
        assert_eq!(statements.len(), 2, "{name}");
        assert_eq!(statements[0]["Effect"], "Deny", "{name}");
        assert_eq!(statements[0]["Condition"]["Bool"]["aws:SecureTransport"], "false", "{name}");
        assert_eq!(statements[1]["Principal"], json!({ "Service": "cloudwatch.amazonaws.com" }), "{name}");
        // The example's alarm has a name of another stack's, and rings there, too.
        let alarms = &statements[1]["Condition"]["ArnLike"]["aws:SourceArn"]["Fn::Sub"];
        assert!(alarms.as_str().unwrap().ends_with("${AWS::AccountId}:alarm:*"), "{name}");
    }
    for (name, stage) in of_type(template, "AWS::ApiGatewayV2::Stage") {
        if name == "LiveStage" {
            // It would need a role in the account's settings.
            assert!(stage.get("AccessLogSettings").is_none());
            continue;
        }
        let format: BTreeMap<String, String> =
            serde_json::from_str(stage["AccessLogSettings"]["Format"].as_str().unwrap()).unwrap();
        let logged: Vec<&str> = format.keys().map(String::as_str).collect();
        let expected: &[&str] = match name {
            // Where browsers call, an address is a person's.
            "CallbackStage" => &["integrationLatency", "requestId", "responseLength", "routeKey", "status"],
            // Here a caller is a system, and who was given a body must be known.
            "BackendStage" => &[
                "caller",
                "integrationLatency",
                "requestId",
                "responseLength",
                "routeKey",
                "sourceIp",
                "status",
                "subject",
            ],
            _ => &["integrationLatency", "requestId", "responseLength", "routeKey", "sourceIp", "status"],
        };
        assert_eq!(logged, expected, "{name}");
    }
}
