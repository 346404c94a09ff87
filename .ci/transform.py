"""Holds the templates to what CloudFormation does with them, in every combination of their optional parts.

It runs AWS's own SAM transform as the pinned SAM CLI has it, resolves conditions and intrinsic functions as CloudFormation
does, and looks for what a deployment would be refused for: a reference to a resource that is left out, a circle, a value
above a quota. `sam validate` and cfn-lint read the source, and with the parameters' defaults only. Nothing is asked of AWS.

Run it from the project's root with the Python that SAM is installed for. It plants faults first, and fails unless it finds
each of them.
"""

import collections
import concurrent.futures
import copy
import glob
import graphlib
import itertools
import json
import logging
import os
import re
import sys
import time

import tomlkit
from cfnlint.api import ManualArgs, lint
from samcli.cli.types import CfnParameterOverridesType
from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform

REGION = "ap-southeast-1"
ACCOUNT = "123456789012"
ARN = f"arn:aws:%s:{REGION}:{ACCOUNT}:%s"
CANARY = {"Rollout": "Canary10Percent5Minutes"}

# The values that are the same in all combinations of a template, as long as they may be, and then its optional parts. A part
# is a list of choices, and a choice sets one parameter or several that go together.
CERTIFICATE = ARN % ("acm", "certificate/11111111-2222-3333-4444-555555555555")

TEMPLATES = {
    "infra/template.yaml": (
        {
            "SourceAllowList": ",".join(f"203.0.113.{n}/32" for n in range(101, 112)),
            "CallbackOrigins": ",".join(f"https://app-{n}.example.com" for n in range(10, 17)),
            "RunbookUrl": "https://wiki.example.com/teams/open-finance/services/smile-receiver/runbook",
        },
        [
            [{"Rollout": "AllAtOnce"}, CANARY],
            [{"KmsKeyArn": ""}, {"KmsKeyArn": ARN % ("kms", "key/11111111-2222-3333-4444-555555555555")}],
            [
                {"DomainName": "", "CertificateArn": "", "RegisteredUrl": ""},
                # The URL is decided apart from the name, in a later deployment.
                {"DomainName": "hooks.example.com", "CertificateArn": CERTIFICATE, "RegisteredUrl": ""},
                {
                    "DomainName": "hooks.example.com",
                    "CertificateArn": CERTIFICATE,
                    "RegisteredUrl": "https://hooks.example.com/v1/webhooks/smile",
                },
            ],
            [{"AlarmEmail": ""}, {"AlarmEmail": "on-call@example.com"}],
            [{"SilenceMinutes": "0"}, {"SilenceMinutes": "1440"}],
            [
                {"SmileCredentialsSecretArn": ""},
                {"SmileCredentialsSecretArn": ARN % ("secretsmanager", f"secret:{'smile/api/' * 8}key-AbCdEf")},
            ],
            [
                {"JwtIssuer": "", "JwtAudience": ""},
                {
                    "JwtIssuer": f"https://cognito-idp.{REGION}.amazonaws.com/{REGION}_AbCdEfGhI",
                    "JwtAudience": "back-end,back-office",
                },
            ],
            [
                {"RestoredTable": "", "RestoredTableStreamArn": ""},
                {"RestoredTable": "smile-receiver-production-restored-03-01", "RestoredTableStreamArn": ""},
                {
                    "RestoredTable": "smile-receiver-production-restored-03-01",
                    "RestoredTableStreamArn": ARN
                    % ("dynamodb", "table/smile-receiver-production-restored-03-01/stream/2026-03-01T10:00:00.000"),
                },
            ],
            [{"Local": "false"}, {"Local": "true"}],
        ],
    ),
    "infra/examples/guarded-api/template.yaml": (
        {"WebhookFunctionName": "smile-receiver-production-webhook"},
        [[{"AlarmTopicArn": ""}, {"AlarmTopicArn": ARN % ("sns", "smile-receiver-production-alarms")}]],
    ),
    "infra/examples/task-finished/template.yaml": (
        {
            "BusName": "smile-receiver-production",
            "BackendUrl": f"https://abcde12345.execute-api.{REGION}.amazonaws.com",
            "BackendApiId": "abcde12345",
        },
        [[{"AlarmTopicArn": ""}, {"AlarmTopicArn": ARN % ("sns", "smile-receiver-production-alarms")}]],
    ),
}


class Fault(Exception):
    """What a deployment would be refused for."""


def load(path):
    """The source of a template, as `sam package` would leave it: with code that lies in S3."""
    with open(path, encoding="utf-8") as file:
        source = yaml_parse(file.read())
    for name, resource in source["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = f"s3://aws-sam-cli-managed-default-samclisourcebucket-abcdef012345/{name}"
    return source


class NoManagedPolicies:
    """The transform asks IAM for them by name. The templates name none, and nothing is asked of AWS."""

    def load(self):
        raise Fault("a managed policy is named, which only IAM could resolve")


def transformed(source, values):
    return transform(copy.deepcopy(source), dict(values), NoManagedPolicies())


def walk(node):
    """Every object within a value, itself included."""
    if isinstance(node, dict):
        yield node
    if isinstance(node, (dict, list)):
        for child in node.values() if isinstance(node, dict) else node:
            yield from walk(child)


def names_of(node):
    """What an intrinsic function names: of `Ref`, `Fn::GetAtt` and `Fn::Sub`; none for any other value."""
    if "Ref" in node:
        return [node["Ref"]]
    if "Fn::GetAtt" in node:
        return [split_attribute(node["Fn::GetAtt"])[0]]
    if "Fn::Sub" in node:
        text, own = sub_of(node)
        return [name.split(".")[0] for name in re.findall(r"\$\{([^!}][^}]*)\}", text) if name not in own]
    return []


def sub_of(node):
    """The text of an `Fn::Sub` and the variables that it brings itself."""
    return (node["Fn::Sub"], {}) if isinstance(node["Fn::Sub"], str) else node["Fn::Sub"]


def split_attribute(value):
    return value.split(".", 1) if isinstance(value, str) else value


def values_of(source, given):
    """Every parameter's value, given or by default. Fails as CloudFormation does for one that may not be."""
    values = {}
    for name, parameter in source.get("Parameters", {}).items():
        if name not in given and "Default" not in parameter:
            raise Fault(f"the parameter {name} has no value")
        value = values[name] = str(given.get(name, parameter.get("Default")))
        allowed = [str(allowed) for allowed in parameter.get("AllowedValues", [value])]
        fits = (
            value in allowed
            and re.fullmatch(parameter.get("AllowedPattern", ".*"), value)
            and len(value) <= parameter.get("MaxLength", 4096)
            and len(value) >= parameter.get("MinLength", 0)
        )
        if fits and parameter["Type"] == "Number":
            fits = parameter.get("MinValue", 0) <= float(value) <= parameter.get("MaxValue", float("inf"))
        if not fits:
            raise Fault(f"the parameter {name} may not be {value!r}")
    unknown = given.keys() - values.keys()
    if unknown:
        raise Fault(f"no parameter has the name {min(unknown)}")
    return values


class Stack:
    """A transformed template with the values of its parameters: what CloudFormation makes of it."""

    def __init__(self, template, values, name):
        self.template = template
        self.values = values
        self.pseudo = {
            "AWS::AccountId": ACCOUNT,
            "AWS::NoValue": None,
            "AWS::Partition": "aws",
            "AWS::Region": REGION,
            "AWS::StackId": ARN % ("cloudformation", f"stack/{name}/11111111-2222-3333-4444-555555555555"),
            "AWS::StackName": name,
            "AWS::URLSuffix": "amazonaws.com",
        }
        self.faults = []
        self.conditions = {}
        self.created = {
            name: resource for name, resource in template["Resources"].items() if self.holds(resource.get("Condition"))
        }

    def holds(self, condition):
        """Whether a condition is true. What has none always is."""
        if condition is None:
            return True
        if condition not in self.template.get("Conditions", {}):
            raise Fault(f"no condition has the name {condition}")
        if condition not in self.conditions:
            self.conditions[condition] = self.resolve(self.template["Conditions"][condition], condition)
        return self.conditions[condition]

    def physical(self, name, attribute, place):
        """A resource's id or attribute. Their length is about that of AWS's own."""
        if name not in self.template["Resources"]:
            raise Fault(f"{place} names {name}, which nothing has as its name")
        if name not in self.created:
            self.faults.append(f"{place} names {name}, which is left out")
        if attribute == "ApiEndpoint":
            return f"https://abcde12345.execute-api.{REGION}.amazonaws.com"
        return ARN % ("service", f"{self.pseudo['AWS::StackName']}-{name}-ABCDEFGHIJKL")

    def named(self, name, place):
        if name in self.pseudo:
            return self.pseudo[name]
        if name not in self.values:
            return self.physical(name, None, place)
        is_list = self.template["Parameters"][name]["Type"] == "CommaDelimitedList"
        return self.values[name].split(",") if is_list else self.values[name]

    def resolve(self, node, place):
        """The value with all intrinsic functions resolved; None for what is no value."""
        if isinstance(node, list):
            items = [self.resolve(item, place) for item in node]
            return [item for item in items if item is not None]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            [(function, argument)] = node.items()
            if function in ("Ref", "Condition") and isinstance(argument, str):
                return self.named(argument, place) if function == "Ref" else self.holds(argument)
            if function.startswith("Fn::"):
                return self.call(function, argument, place)
        members = {name: self.resolve(member, f"{place}/{name}") for name, member in node.items()}
        return {name: member for name, member in members.items() if member is not None}

    def call(self, function, argument, place):
        def resolve(node):
            return self.resolve(node, place)

        match function:
            case "Fn::If":
                return resolve(argument[1 if self.holds(argument[0]) else 2])
            case "Fn::Equals":
                first, second = resolve(argument)
                return str(first) == str(second)
            case "Fn::And":
                return all(resolve(argument))
            case "Fn::Or":
                return any(resolve(argument))
            case "Fn::Not":
                return not resolve(argument)[0]
            case "Fn::GetAtt":
                return self.physical(*split_attribute(argument), place)
            case "Fn::Sub":
                text, own = sub_of({function: argument})
                own = {name: resolve(value) for name, value in own.items()}

                def one(match):
                    name, _, attribute = match[1].partition(".")
                    if match[1] in own:
                        return str(own[match[1]])
                    return str(self.physical(name, attribute, place) if attribute else self.named(name, place))

                return re.sub(r"\$\{([^!}][^}]*)\}", one, text).replace("${!", "${")
            case "Fn::Join":
                return argument[0].join(resolve(argument[1]))
            case "Fn::Split":
                return resolve(argument[1]).split(argument[0])
            case "Fn::Select":
                return resolve(argument[1])[int(argument[0])]
            case "Fn::FindInMap":
                mapping, first, second = resolve(argument)
                return self.template["Mappings"][mapping][str(first)][str(second)]
        raise Fault(f"{place} calls {function}, which this check does not know")

    def find_faults(self):
        """Everything that CloudFormation would refuse."""
        for name, rule in self.template.get("Rules", {}).items():
            for assertion in rule["Assertions"]:
                if not self.resolve(assertion["Assert"], name):
                    raise Fault(f"the rule {name} refuses this")
        resources = {}
        for name, resource in self.created.items():
            # A `DependsOn` of what is left out is no fault.
            body = {part: value for part, value in resource.items() if part not in ("Condition", "DependsOn", "Metadata")}
            resources[name] = self.resolve(body, name)
        outputs = {
            name: self.resolve({part: value for part, value in output.items() if part != "Condition"}, f"Outputs/{name}")
            for name, output in self.template.get("Outputs", {}).items()
            if self.holds(output.get("Condition"))
        }
        self.find_circle()
        for what, size, most in itertools.chain(self.sizes(resources, outputs), sizes_of_resources(resources)):
            if size > most:
                self.faults.append(f"{what}: {size}, and AWS takes {most} at most")
        return self.faults

    def find_circle(self):
        """Follows both ways of every `Fn::If`, which is more than CloudFormation can do."""
        resources = self.template["Resources"]
        graph = {}
        for name, resource in resources.items():
            needed = [named for node in walk(resource) for named in names_of(node)]
            depends_on = resource.get("DependsOn", [])
            needed += [depends_on] if isinstance(depends_on, str) else depends_on
            graph[name] = [needed for needed in needed if needed in resources]
        try:
            graphlib.TopologicalSorter(graph).prepare()
        except graphlib.CycleError as error:
            self.faults.append(f"a circle: {' needs '.join(reversed(error.args[1]))}")

    def sizes(self, resources, outputs):
        """CloudFormation's own quotas: (what it is, how much, at most)."""
        template = self.template
        yield "bytes of the template", len(json.dumps(template)), 1_000_000
        yield "bytes of the template's description", len(template.get("Description", "").encode()), 1024
        yield "resources", len(resources), 500
        yield "outputs", len(outputs), 200
        for part in ("Parameters", "Mappings"):
            yield part, len(template.get(part, {})), 200
        for part in ("Parameters", "Resources", "Outputs", "Mappings"):
            for name in template.get(part, {}):
                yield f"characters of the name {name}", len(name), 255
        for name, parameter in template.get("Parameters", {}).items():
            for text in ("Description", "ConstraintDescription"):
                yield f"characters of {name}'s {text}", len(parameter.get(text, "")), 4000
        for name, output in outputs.items():
            yield f"bytes of the description of the output {name}", len(output.get("Description", "").encode()), 1024


# Quotas of services: the property, and how long it may be, in characters or items.
LENGTHS = {
    "AWS::ApiGatewayV2::Api": {"Name": 128, "Description": 1024},
    "AWS::CloudWatch::Alarm": {
        "AlarmName": 255,
        "AlarmDescription": 1024,
        "AlarmActions": 5,
        "OKActions": 5,
        "Dimensions": 30,
        "Metrics": 20,
    },
    "AWS::Events::Archive": {"Description": 512},
    "AWS::Events::EventBus": {"Name": 256},
    "AWS::Events::Rule": {"Description": 512, "Targets": 5},
    "AWS::IAM::Role": {"Description": 1000},
    "AWS::Lambda::Function": {"FunctionName": 64, "Description": 256},
    "AWS::Lambda::Version": {"Description": 256},
    "AWS::Logs::LogGroup": {"LogGroupName": 512},
    "AWS::SecretsManager::Secret": {"Description": 2048},
    "AWS::SNS::Topic": {"TopicName": 256},
    "AWS::SQS::Queue": {"QueueName": 80},
}


def sizes_of_resources(resources):
    """Quotas of services: (what it is, how much, at most)."""
    of_api = collections.Counter()
    for name, resource in resources.items():
        kind, properties = resource["Type"], resource.get("Properties", {})
        for property, most in LENGTHS.get(kind, {}).items():
            yield f"{name}, {property}", len(properties.get(property, "")), most
        match kind:
            case "AWS::IAM::Role":
                # IAM does not count white space.
                policies = [compact(policy["PolicyDocument"]) for policy in properties.get("Policies", [])]
                yield f"{name}, characters of its inline policies", sum(map(len, policies)), 10_240
                yield f"{name}, characters of its trust policy", len(compact(properties["AssumeRolePolicyDocument"])), 2048
            case "AWS::Lambda::Function":
                variables = properties.get("Environment", {}).get("Variables", {})
                yield f"{name}, bytes of its environment", len(compact(variables).encode()), 4096
            case "AWS::Lambda::EventSourceMapping":
                for filter in properties.get("FilterCriteria", {}).get("Filters", []):
                    yield f"{name}, characters of its filter", len(filter["Pattern"]), 4096
            case "AWS::CodeDeploy::DeploymentGroup":
                yield f"{name}, alarms", len(properties["AlarmConfiguration"]["Alarms"]), 10
            case "AWS::CloudWatch::Alarm":
                metrics = [metric["MetricStat"] for metric in properties.get("Metrics", []) if "MetricStat" in metric]
                period = max([metric["Period"] for metric in metrics] or [properties.get("Period")])
                # A day, and for periods from an hour a week.
                most = 86_400 if period < 3600 else 604_800
                yield f"{name}, seconds that it looks back", period * int(properties["EvaluationPeriods"]), most
            case "AWS::CloudWatch::Dashboard":
                try:
                    widgets = json.loads(properties["DashboardBody"])["widgets"]
                except ValueError as error:
                    raise Fault(f"{name}: its body is no JSON: {error}") from error
                yield f"{name}, widgets", len(widgets), 500
                yield f"{name}, metrics", sum(len(widget["properties"].get("metrics", [])) for widget in widgets), 2500
            case "AWS::Events::Rule":
                yield f"{name}, characters of its pattern", len(compact(properties["EventPattern"])), 2048
            case "AWS::ApiGatewayV2::Route" | "AWS::ApiGatewayV2::Integration":
                of_api[f"{kind} of {properties['ApiId']}"] += 1
    for what, count in of_api.items():
        yield what, count, 300


def compact(value):
    return json.dumps(value, separators=(",", ":"))


def find_faults(source, given, stack_name):
    """The faults of one combination, and which of the template's conditions hold in it."""
    try:
        values = values_of(source, given)
        stack = Stack(transformed(source, values), values, stack_name)
        faults = stack.find_faults()
        return faults, {name: stack.holds(name) for name in source.get("Conditions", {})}
    except Fault as fault:
        return [str(fault)], {}


def combinations(always, parts):
    for choices in itertools.product(*parts):
        yield always | {name: value for choice in choices for name, value in choice.items()}


def forgotten(source, parts):
    """Parameters that decide what a stack has, and are no part of any combination."""
    deciding = [source.get("Conditions", {}), source.get("Rules", {})]
    deciding += [node["Fn::FindInMap"] for node in walk(source) if "Fn::FindInMap" in node]
    named = {name for place in deciding for node in walk(place) for name in names_of(node)}
    parameters = source.get("Parameters", {}).keys()
    return (named & parameters) - {name for part in parts for choice in part for name in choice}


def environments():
    """What samconfig.toml gives each environment: its parameters and the stack's name."""
    with open("samconfig.toml", encoding="utf-8") as file:
        config = tomlkit.parse(file.read()).unwrap()
    for name, commands in config.items():
        if name != "version":
            deploy = commands.get("global", {}).get("parameters", {}) | commands["deploy"]["parameters"]
            given = CfnParameterOverridesType().convert(deploy.get("parameter_overrides", ""), None, None)
            yield name, given, deploy["stack_name"]


def plant(path, given, edit):
    """The faults that are found after an edit of the source, of one combination and of the list of parts."""
    source = load(path)
    edit(source)
    always, parts = TEMPLATES[path]
    missing = [f"{name} is forgotten" for name in forgotten(source, parts)]
    return find_faults(source, always | given, "planted")[0] + missing


def find_planted_faults():
    """Plants a fault of each kind, and fails unless each is found, and none where none was planted."""

    def ungrouped(source):
        del source["Resources"]["LinkFunction"]["Properties"]["DeploymentPreference"]["PassthroughCondition"]

    def unconditional(source):
        del source["Outputs"]["SessionSecretArn"]["Condition"]

    def circular(source):
        source["Resources"]["WebhookRole"]["DependsOn"] = "WebhookFunction"

    def talkative(source):
        policy = source["Resources"]["QueryRole"]["Properties"]["Policies"][0]["PolicyDocument"]
        policy["Statement"] += policy["Statement"] * 20

    def another(source):
        source["Conditions"]["Another"] = {"Fn::Equals": [{"Ref": "LogRetentionDays"}, 7]}

    def untouched(_):
        pass

    template = "infra/template.yaml"
    for edit, given, expected in [
        (untouched, CANARY, ""),
        (ungrouped, CANARY, "LinkFunctionDeploymentGroup/.* names LinkErrorsAlarm, which is left out"),
        (unconditional, {}, "Outputs/SessionSecretArn/.* names SessionSecret, which is left out"),
        (circular, {}, "a circle: .*WebhookFunction needs WebhookRole"),
        (talkative, {}, r"QueryRole, characters of its inline policies: \d+, and AWS takes 10240"),
        (another, {}, "LogRetentionDays is forgotten"),
        (untouched, {"DomainName": "hooks.example.com"}, "the rule DomainAndCertificate refuses this"),
        (untouched, {"RetentionDays": "0"}, "the parameter RetentionDays may not be '0'"),
    ]:
        found = plant(template, given, edit)
        if not (any(re.match(expected, fault) for fault in found) if expected else not found):
            raise SystemExit(f"planted, and not found: {expected or 'nothing'}; found: {found}")


def check(job):
    path, given, stack_name = job
    if path not in SOURCES:
        SOURCES[path] = load(path)
    return find_faults(SOURCES[path], given, stack_name)


SOURCES = {}


def lint_output(job):
    """What cfn-lint says of the transform's output, which has resources that the source does not show."""
    path, given = job
    source = load(path)
    output = json.dumps(transformed(source, values_of(source, given)))
    # The transform has used up what only it reads: a parameter and a mapping.
    found = lint(output, config=ManualArgs(regions=[REGION], ignore_checks=["W2001", "W7001"]))
    return [f"cfn-lint: {match.rule.id} {match.message} ({'/'.join(map(str, match.path or []))})" for match in found]


def main():
    started = time.monotonic()
    os.environ["AWS_DEFAULT_REGION"] = REGION
    logging.disable(logging.CRITICAL)
    find_planted_faults()
    faults = collections.defaultdict(list)
    jobs = []
    outcomes = collections.defaultdict(set)
    for path in ["infra/template.yaml", *sorted(glob.glob("infra/examples/*/template.yaml"))]:
        always, parts = TEMPLATES[path]
        for name in forgotten(load(path), parts):
            faults[f"{path}: {name} decides what a stack has, and is no part in {__file__}"].append({})
        jobs += [(path, given, "smile-receiver-production") for given in combinations(always, parts)]
    count = collections.Counter(path for path, *_ in jobs)
    for name, given, stack_name in environments():
        jobs.append(("infra/template.yaml", given, stack_name))
    outputs = [(path, always | CANARY if path == "infra/template.yaml" else always) for path, (always, _) in TEMPLATES.items()]
    with concurrent.futures.ProcessPoolExecutor() as pool:
        linted = [pool.submit(lint_output, output) for output in outputs]
        for (path, given, _), (found, conditions) in zip(jobs, pool.map(check, jobs, chunksize=16)):
            for fault in found:
                faults[f"{path}: {fault}"].append(given)
            for condition, holds in conditions.items():
                outcomes[f"{path}: the condition {condition}"].add(holds)
        for (path, given), found in zip(outputs, linted):
            for fault in found.result():
                faults[f"{path}: {fault}"].append(given)
    for condition, seen in outcomes.items():
        if len(seen) < 2:
            faults[f"{condition} is the same in all combinations"].append({})
    for fault, where in faults.items():
        first = " ".join(f"{name}={value}" for name, value in where[0].items() if value)
        print(f"{fault}\n    in {len(where)} of them, the first: {first}", file=sys.stderr)
    if faults:
        raise SystemExit(1)
    for path, number in count.items():
        print(f"{path}: {number} combinations of its optional parts")
    print(f"{len(jobs) - sum(count.values())} environments of samconfig.toml. Transformed in {time.monotonic() - started:.0f} s.")


if __name__ == "__main__":
    main()
