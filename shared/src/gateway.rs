//! How API Gateway's HTTP APIs hand a request over (API Gateway developer guide, "Lambda proxy integration
//! payload format", 2.0).

/// The path without the stage, which stands before it unless it is the default one.
pub fn behind_stage<'a>(raw_path: &'a str, stage: Option<&str>) -> &'a str {
    let stage = stage.filter(|stage| *stage != "$default");
    let after = stage.and_then(|stage| raw_path.strip_prefix('/')?.strip_prefix(stage));
    after.filter(|rest| rest.starts_with('/')).unwrap_or(raw_path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_stage_is_taken_away() {
        for (raw, stage, path) in [
            ("/prod/v1/links", Some("prod"), "/v1/links"),
            ("/production/v1", Some("prod"), "/production/v1"),
            ("/prod", Some("prod"), "/prod"),
            ("/v1/links", Some("$default"), "/v1/links"),
            ("/v1/links", None, "/v1/links"),
            ("", Some("prod"), ""),
        ] {
            assert_eq!(behind_stage(raw, stage), path, "{raw} {stage:?}");
        }
    }
}
