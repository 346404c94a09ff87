//! From YAML with CloudFormation's tags to JSON with its functions (AWS CloudFormation user guide,
//! intrinsic function reference).

use anyhow::{Context, bail};
use saphyr::{Scalar, Yaml};
use serde_json::{Map, Number, Value, json};

/// Functions whose long form is `Fn::` and their name.
const FUNCTIONS: [&str; 21] = [
    "And",
    "Base64",
    "Cidr",
    "Equals",
    "FindInMap",
    "ForEach",
    "GetAZs",
    "GetAtt",
    "GetStackOutput",
    "If",
    "ImportValue",
    "Join",
    "Length",
    "Not",
    "Or",
    "Select",
    "Split",
    "Sub",
    "ToJsonString",
    "Transform",
    "ValueOf",
];

/// Converts a whole document.
pub(super) fn convert(node: &Yaml<'_>) -> anyhow::Result<Value> {
    Ok(match node {
        Yaml::Value(scalar) => convert_scalar(scalar)?,
        Yaml::Sequence(items) => items.iter().map(convert).collect::<anyhow::Result<_>>()?,
        Yaml::Mapping(members) => {
            let mut object = Map::new();
            for (key, value) in members {
                let key = convert_key(key)?;
                let value = convert(value).with_context(|| format!("in {key}"))?;
                object.insert(key, value);
            }
            Value::Object(object)
        }
        Yaml::Tagged(tag, inner) if tag.handle == "!" => call(&tag.suffix, convert(inner)?)?,
        Yaml::Tagged(tag, _) => bail!("the tag {tag} has no meaning in a template"),
        Yaml::Representation(..) | Yaml::Alias(_) | Yaml::BadValue => bail!("a value cannot be read"),
    })
}

fn convert_scalar(scalar: &Scalar<'_>) -> anyhow::Result<Value> {
    Ok(match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(value) => (*value).into(),
        Scalar::Integer(value) => (*value).into(),
        Scalar::FloatingPoint(value) => {
            Number::from_f64(value.into_inner()).context("a number is not finite")?.into()
        }
        Scalar::String(text) => text.as_ref().into(),
    })
}

/// JSON's keys are texts; a number such as an account's id becomes its digits.
fn convert_key(key: &Yaml<'_>) -> anyhow::Result<String> {
    match key {
        Yaml::Value(Scalar::String(text)) => Ok(text.to_string()),
        Yaml::Value(Scalar::Integer(number)) => Ok(number.to_string()),
        Yaml::Value(Scalar::Boolean(value)) => Ok(value.to_string()),
        _ => bail!("a key is neither a text nor a number"),
    }
}

fn call(name: &str, argument: Value) -> anyhow::Result<Value> {
    Ok(match (name, argument) {
        ("Ref" | "Condition", argument) => json!({ name: argument }),
        // A logical id has no dot, an attribute can: Nested.Outputs.Url.
        ("GetAtt", Value::String(path)) => match path.split_once('.') {
            Some((resource, attribute)) => json!({ "Fn::GetAtt": [resource, attribute] }),
            None => bail!("!GetAtt {path} names no attribute"),
        },
        (name, argument) if FUNCTIONS.contains(&name) => json!({ format!("Fn::{name}"): argument }),
        (name, _) => bail!("!{name} is no function of CloudFormation"),
    })
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn short_forms_become_long_ones() {
        for (short, long) in [
            ("!Ref Table", json!({ "Ref": "Table" })),
            ("!Condition OnAws", json!({ "Condition": "OnAws" })),
            ("!GetAtt Table.Arn", json!({ "Fn::GetAtt": ["Table", "Arn"] })),
            ("!GetAtt [Table, StreamArn]", json!({ "Fn::GetAtt": ["Table", "StreamArn"] })),
            ("!GetAtt Nested.Outputs.Url", json!({ "Fn::GetAtt": ["Nested", "Outputs.Url"] })),
            ("!Sub '${A}-x'", json!({ "Fn::Sub": "${A}-x" })),
            ("!Sub ['${A}', {A: !Ref B}]", json!({ "Fn::Sub": ["${A}", { "A": { "Ref": "B" } }] })),
            (
                "!If [OnAws, !Ref X, !Ref AWS::NoValue]",
                json!({ "Fn::If": ["OnAws", { "Ref": "X" }, { "Ref": "AWS::NoValue" }] }),
            ),
            ("!Equals [!Ref Local, 'true']", json!({ "Fn::Equals": [{ "Ref": "Local" }, "true"] })),
            ("!Not [!Condition A]", json!({ "Fn::Not": [{ "Condition": "A" }] })),
            (
                "!And [!Condition A, !Condition B]",
                json!({ "Fn::And": [{ "Condition": "A" }, { "Condition": "B" }] }),
            ),
            (
                "!Or [!Condition A, !Condition B]",
                json!({ "Fn::Or": [{ "Condition": "A" }, { "Condition": "B" }] }),
            ),
            ("!Join [',', [a, b]]", json!({ "Fn::Join": [",", ["a", "b"]] })),
            ("!Select [0, !Split [',', a]]", json!({ "Fn::Select": [0, { "Fn::Split": [",", "a"] }] })),
            ("!FindInMap [M, a, b]", json!({ "Fn::FindInMap": ["M", "a", "b"] })),
            ("!ImportValue x", json!({ "Fn::ImportValue": "x" })),
            ("!Base64 x", json!({ "Fn::Base64": "x" })),
            ("!Cidr [10.0.0.0/16, 2, 8]", json!({ "Fn::Cidr": ["10.0.0.0/16", 2, 8] })),
            ("!GetAZs ''", json!({ "Fn::GetAZs": "" })),
        ] {
            assert_eq!(parse(&format!("A: {short}")).unwrap()["A"], long, "{short}");
        }
    }

    #[test]
    fn plain_values_keep_their_kind() {
        let text = "{a: 2012-10-17, b: '1', c: 1, d: true, e: 'true', f: 1.5, g: null, h: yes, i: 010, 12: x, j: !Ref '1'}";
        let expected = json!({
            "a": "2012-10-17", "b": "1", "c": 1, "d": true, "e": "true", "f": 1.5, "g": null, "h": "yes",
            "i": 10, "12": "x", "j": { "Ref": "1" },
        });
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn an_error_says_where() {
        let error = format!("{:#}", parse("Resources: {Table: {Arn: !GetAtt Table}}").unwrap_err());
        assert_eq!(error, "in Resources: in Table: in Arn: !GetAtt Table names no attribute");
    }
}
