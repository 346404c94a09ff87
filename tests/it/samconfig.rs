//! What `sam` does without flags, held to what it should do.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::it_dir;

/// `samconfig.toml` by section: the lines of each, without comments.
fn samconfig() -> BTreeMap<String, Vec<String>> {
    let text = std::fs::read_to_string(it_dir().join("../../samconfig.toml")).unwrap();
    let mut sections: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut section = String::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.strip_prefix('[') {
            Some(name) => section = String::from(name.strip_suffix(".parameters]").unwrap()),
            None => sections.entry(section.clone()).or_default().push(line.to_owned()),
        }
    }
    sections
}

#[test]
fn sam_builds_from_the_source_deploys_what_it_has_built_and_keeps_environments_apart() {
    let template = smile_cli::template::load(it_dir().join("../../infra/template.yaml")).unwrap();
    let config = samconfig();
    let mut stacks = BTreeMap::new();
    for environment in ["default", "sandbox", "production", "local"] {
        let section = |command: &str| &config[&format!("{environment}.{command}")];
        // Under deploy it would ship the source, and under global it would be under deploy.
        let source = "template_file = \"infra/template.yaml\"".to_owned();
        for (command, is_source) in
            [("validate", true), ("build", true), ("deploy", false), ("global", false)]
        {
            let named = section(command).iter().any(|line| line.starts_with("template"));
            assert_eq!((named, section(command).contains(&source)), (is_source, is_source), "{environment}");
        }
        assert!(section("build").contains(&"beta_features = true".to_owned()), "{environment}");
        // Stated once for build and deploy, which must not differ in the processor.
        for command in ["build", "deploy"] {
            assert!(!section(command).iter().any(|line| line.starts_with("parameter")), "{environment}");
        }
        let [overrides] = section("global").as_slice() else { panic!("{environment}: more than parameters") };
        let overrides =
            overrides.strip_prefix("parameter_overrides = \"").unwrap().strip_suffix('"').unwrap();
        let overrides: BTreeMap<&str, &str> =
            overrides.split(' ').map(|pair| pair.split_once('=').unwrap()).collect();
        assert!(overrides.keys().all(|name| !template["Parameters"][name].is_null()), "{overrides:?}");
        let expected = if environment == "local" {
            [("Architecture", "x86_64"), ("Local", "true"), ("SourceAllowList", "127.0.0.1/32")].into()
        } else {
            BTreeMap::from([("Architecture", "arm64"), ("Rollout", "Canary10Percent5Minutes")])
        };
        assert_eq!(overrides, expected, "{environment}");
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
