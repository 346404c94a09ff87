//! What the pages let people type, held to how AWS takes it.

use std::path::{Path, PathBuf};

use crate::support::it_dir;

/// Every page of the project, by its place in it.
fn pages() -> Vec<(String, String)> {
    fn walk(dir: &Path, into: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            let name = entry.file_name().unwrap().to_string_lossy().into_owned();
            if entry.is_dir() && !matches!(name.as_str(), "target" | "node_modules") && !name.starts_with('.')
            {
                walk(&entry, into);
            } else if entry.extension().is_some_and(|extension| extension == "md") {
                into.push(entry);
            }
        }
    }
    let root = it_dir().join("../..").canonicalize().unwrap();
    let mut found = Vec::new();
    walk(&root, &mut found);
    let name = |page: &Path| page.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
    found.iter().map(|page| (name(page), std::fs::read_to_string(page).unwrap())).collect()
}

/// The commands of each block of a page, each on one line.
fn blocks(page: &str) -> Vec<Vec<String>> {
    let blocks = page.split("\n```").skip(1).step_by(2);
    let joined =
        blocks.map(|block| block.split_once('\n').map_or("", |(_, commands)| commands).replace("\\\n", ""));
    joined.map(|block| block.lines().map(|line| line.trim().to_owned()).collect()).collect()
}

#[test]
fn a_table_that_is_changing_is_waited_for() {
    let mut seen = 0;
    for (page, text) in pages() {
        for commands in blocks(&text) {
            for pair in commands.windows(2) {
                let [command, next] = pair else { unreachable!() };
                // DynamoDB makes the change later, and refuses the next one until then.
                let waits = if command.starts_with("aws dynamodb restore-table-to-point-in-time") {
                    // The waiter gives up after eight minutes, and a restore takes 20 and more.
                    next.starts_with("wait_until_active ")
                } else if command.starts_with("aws dynamodb update-table ") {
                    next.starts_with("wait_until_active ")
                        || next.starts_with("aws dynamodb wait table-exists ")
                } else {
                    continue;
                };
                seen += 1;
                assert!(waits, "{page}: after `{command}` comes `{next}`");
            }
        }
    }
    assert_eq!(seen, 4, "the restore, its two changes, and the deletion");
}
