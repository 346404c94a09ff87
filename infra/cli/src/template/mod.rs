//! The CloudFormation template as plain JSON: short forms such as `!Ref` become `{"Ref": …}`, so that
//! whoever reads it meets one form only.

mod long_form;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use saphyr::{LoadableYamlNode, Yaml};
use serde_json::{Value, json};

/// Reads a template in YAML into its long form.
pub fn load(path: impl AsRef<Path>) -> anyhow::Result<Value> {
    let path = path.as_ref();
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    parse(&text).with_context(|| format!("{} is no template", path.display()))
}

/// Reads a template's text into its long form.
pub fn parse(text: &str) -> anyhow::Result<Value> {
    let documents = Yaml::load_from_str(text).context("the YAML cannot be read")?;
    let [document] = documents.as_slice() else {
        bail!("it has {} YAML documents, not one", documents.len());
    };
    long_form::convert(document)
}

/// A function that is built from this workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// The resource's name in the template.
    pub resource: String,
    /// The cargo package, and the binary in it.
    pub binary: String,
}

impl Function {
    /// Where `sam build` puts the binary, in the folder that it fills.
    pub fn artefact(&self, folder: &Path) -> PathBuf {
        folder.join(&self.resource).join("bootstrap")
    }
}

/// The functions that the template has built: those with `Metadata.BuildProperties.Binary`.
pub fn functions(template: &Value) -> Vec<Function> {
    let resources = template["Resources"].as_object().into_iter().flatten();
    resources
        .filter_map(|(name, resource)| {
            let binary = resource["Metadata"]["BuildProperties"]["Binary"].as_str()?;
            Some(Function { resource: name.clone(), binary: binary.to_owned() })
        })
        .collect()
}

/// Lets a function's code come from a zip file in S3.
pub fn set_code(template: &mut Value, function: &Function, bucket: &str, key: &str) {
    template["Resources"][&function.resource]["Properties"]["CodeUri"] =
        json!({ "Bucket": bucket, "Key": key });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_functions_and_their_code() {
        let mut template = parse(
            "Resources:
              Queue: {Type: AWS::SQS::Queue}
              Hook:
                Type: AWS::Serverless::Function
                Metadata: {BuildMethod: rust-cargolambda, BuildProperties: {Binary: hook}}
                Properties: {CodeUri: .., Timeout: 3}",
        )
        .unwrap();
        let found = functions(&template);
        assert_eq!(found, [Function { resource: "Hook".into(), binary: "hook".into() }]);
        assert_eq!(found[0].artefact(Path::new("build")), Path::new("build/Hook/bootstrap"));
        set_code(&mut template, &found[0], "b", "k");
        let properties = &template["Resources"]["Hook"]["Properties"];
        assert_eq!(properties, &json!({ "CodeUri": { "Bucket": "b", "Key": "k" }, "Timeout": 3 }));
    }

    #[test]
    fn says_what_is_no_template() {
        for (text, words) in [
            ("a: [", "cannot be read"),
            ("", "0 YAML documents"),
            ("a: 1\n---\nb: 2", "2 YAML documents"),
            ("a: 1\na: 2", "cannot be read"),
            ("a: !Nonsense b", "!Nonsense"),
            ("? [a]\n: b", "key"),
        ] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.contains(words), "{text:?}: {error}");
        }
        let error = load("/nowhere/template.yaml").unwrap_err().to_string();
        assert_eq!(error, "/nowhere/template.yaml cannot be read");
    }

    #[test]
    fn reads_this_project_s_template() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
        let template = load(&path).unwrap();
        let binaries: Vec<String> =
            functions(&template).into_iter().map(|function| function.binary).collect();
        for binary in ["consumer", "webhook"] {
            assert!(binaries.iter().any(|found| found == binary), "{binaries:?}");
        }
        let text = template.to_string();
        assert!(text.contains(r#""Fn::GetAtt":["#) && !text.contains("\"!"), "a short form is left");
    }
}
