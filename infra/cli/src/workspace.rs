//! Where the project lies: the directory whose `infra/template.yaml` this tool deploys.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// The project on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// Walks up from the current directory.
    pub fn find() -> anyhow::Result<Self> {
        Self::find_from(&std::env::current_dir().context("the current directory cannot be read")?)
    }

    /// Walks up from `start` to the first `Cargo.toml` with `infra/template.yaml` beside it.
    pub fn find_from(start: &Path) -> anyhow::Result<Self> {
        for directory in start.ancestors() {
            if directory.join("Cargo.toml").is_file() && directory.join("infra/template.yaml").is_file() {
                return Ok(Self { root: directory.to_owned() });
            }
        }
        bail!(
            "neither {} nor a directory above it has a Cargo.toml with infra/template.yaml beside it: go to the project and try again",
            start.display()
        )
    }

    /// The root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The CloudFormation template.
    pub fn template(&self) -> PathBuf {
        self.root.join("infra/template.yaml")
    }

    /// The pinned Python packages of the local cloud.
    pub fn pins(&self) -> PathBuf {
        self.root.join("infra/cli/local-cloud.txt")
    }

    /// The Python environment that the pins are installed into.
    pub fn venv(&self) -> PathBuf {
        self.root.join("target/venv")
    }

    /// Where the local cloud of `smile dev` lives unless told otherwise.
    pub fn dev_dir(&self) -> PathBuf {
        self.root.join("target/dev")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_found_from_below_and_missed_with_a_sentence() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = here.ancestors().nth(2).unwrap();
        let scratch = std::env::temp_dir().join(format!("smile-workspace-{}", std::process::id()));
        std::fs::create_dir_all(scratch.join("infra")).unwrap();
        std::fs::create_dir_all(scratch.join("a/b")).unwrap();
        std::fs::write(scratch.join("Cargo.toml"), "").unwrap();
        let error = Workspace::find_from(&scratch.join("a/b")).unwrap_err().to_string();
        assert!(error.contains("go to the project"), "{error}");
        std::fs::write(scratch.join("infra/template.yaml"), "").unwrap();
        assert_eq!(Workspace::find_from(&scratch.join("a/b")).unwrap().root(), scratch);
        std::fs::remove_dir_all(&scratch).unwrap();
        assert!(root.join("Cargo.toml").is_file());
    }
}
