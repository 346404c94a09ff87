//! What `sam` does without flags, held to what it should do.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::support::{it_dir, template};

/// A TOML file of the project's root by section: the lines of each, without comments.
fn sections(file: &str) -> BTreeMap<String, Vec<String>> {
    let text = std::fs::read_to_string(it_dir().join("../..").join(file)).unwrap();
    let mut sections: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut section = String::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.strip_prefix('[') {
            Some(name) => section = String::from(name.strip_suffix(']').unwrap()),
            None => sections.entry(section.clone()).or_default().push(line.to_owned()),
        }
    }
    sections
}

/// The parameters that a section gives, if it does.
fn overrides(section: &[String]) -> Option<BTreeMap<String, String>> {
    let line = section.iter().find_map(|line| line.strip_prefix("parameter_overrides = \""))?;
    let pairs = line.strip_suffix('"').unwrap().replace("\\\"", "");
    let pair = |pair: &str| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    Some(pairs.split_whitespace().filter_map(pair).collect())
}

#[test]
fn sam_builds_from_the_source_deploys_what_it_has_built_and_keeps_environments_apart() {
    let template = template();
    let config = sections("samconfig.toml");
    let mut stacks = BTreeMap::new();
    for environment in ["default", "sandbox", "production", "local"] {
        let section = |command: &str| &config[&format!("{environment}.{command}.parameters")];
        // Under deploy it would ship the source, and under global it would be under deploy.
        let source = "template_file = \"infra/template.yaml\"".to_owned();
        for (command, is_source) in
            [("validate", true), ("build", true), ("deploy", false), ("global", false)]
        {
            let named = section(command).iter().any(|line| line.starts_with("template"));
            assert_eq!((named, section(command).contains(&source)), (is_source, is_source), "{environment}");
        }
        // The pinned SAM builds Rust without it, and it would switch on every other feature that is not released.
        assert!(!section("build").iter().any(|line| line.starts_with("beta_features")), "{environment}");
        // `sam deploy --guided` writes every parameter under deploy. Both must mean the same processor, and
        // what is not on the local cloud must not take itself for it.
        let told = overrides(section("global")).expect("what build and deploy are told");
        let deployed = overrides(section("deploy")).unwrap_or_else(|| told.clone());
        assert!(overrides(section("build")).is_none(), "{environment}");
        assert!(deployed.keys().all(|name| !template["Parameters"][name].is_null()), "{deployed:?}");
        assert_eq!(told["Architecture"], deployed["Architecture"], "{environment}");
        let is_local = deployed.get("Local").is_some_and(|local| local == "true");
        assert_eq!(is_local, environment == "local");
        let architecture = &template["Parameters"]["Architecture"];
        let known: Vec<&str> = architecture["AllowedValues"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|value| value.as_str())
            .collect();
        assert!(known.contains(&told["Architecture"].as_str()), "{environment}");
        // What the README calls the default is what its first deployment has.
        assert!(is_local || architecture["Default"] == told["Architecture"], "{environment}");
        // The template's default has to do without steps, for the local cloud's sake.
        assert!(is_local || deployed.contains_key("Rollout"), "{environment}");
        let stack = section("deploy").iter().find_map(|line| line.strip_prefix("stack_name = "));
        stacks.insert(environment, stack.unwrap().trim_matches('"').to_owned());
        // Production asks before it changes anything.
        let confirms = section("deploy").contains(&"confirm_changeset = true".to_owned());
        assert_eq!(confirms, environment == "production", "{environment}");
    }
    // Without a word the sandbox is meant.
    assert_eq!(stacks["default"], stacks["sandbox"]);
    let stacks: BTreeSet<String> = stacks.into_values().collect();
    assert_eq!(stacks.len(), 3, "{stacks:?}");
}

#[test]
fn the_functions_for_aws_are_built_without_what_only_tests_or_the_tool_ask_for() {
    let config = sections("Cargo.toml");
    let build = &config["workspace.metadata.lambda.build"];
    assert_eq!(build[..], ["workspace = true", "exclude = [\"it\", \"smile-cli\"]"]);
    // cargo-lambda chooses each key that is missing here. Its choice for `panic` ends the process, and with it all messages
    // of a batch.
    let profile = &config["profile.release"];
    assert!(profile.contains(&"panic = \"unwind\"".to_owned()), "{profile:?}");
    for key in ["codegen-units", "lto", "strip"] {
        assert!(profile.iter().any(|line| line.starts_with(&format!("{key} = "))), "{key}");
    }
}

/// The processor that a program is for, by its ELF header (`e_machine`).
fn processor(program: &Path) -> &'static str {
    let bytes = std::fs::read(program).unwrap();
    assert_eq!(bytes[..4], *b"\x7fELF", "{}", program.display());
    match u16::from_le_bytes([bytes[18], bytes[19]]) {
        0x3e => "x86_64",
        0xb7 => "arm64",
        other => panic!("{}: {other:#x}", program.display()),
    }
}

#[test]
fn every_function_is_built_for_the_processor_that_it_runs_on() {
    let template = template();
    assert_eq!(
        template["Globals"]["Function"]["Architectures"],
        serde_json::json!([{ "Ref": "Architecture" }])
    );
    let local = overrides(&sections("samconfig.toml")["local.global.parameters"]).unwrap();
    // SAM's build is that of the local environment; cargo's is for this machine.
    let here = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };
    let expected = if crate::binaries::are_of_sam() { local["Architecture"].as_str() } else { here };
    let functions = smile_cli::template::functions(template);
    assert!(functions.len() >= 9, "{}", functions.len());
    for function in functions {
        assert!(
            template["Resources"][&function.resource]["Properties"]["Architectures"].is_null(),
            "{}",
            function.resource
        );
        assert_eq!(processor(&crate::binaries::function(&function.binary)), expected, "{}", function.binary);
    }
}
