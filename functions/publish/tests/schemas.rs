//! The files in `schemas/` are what the code says: consumers make their types of them.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use shared::bus::Detail;

fn written(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    for source in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if source.is_dir() {
            let of_source = std::fs::read_dir(source).unwrap().map(|entry| entry.unwrap().path());
            files.extend(of_source.map(|file| (file.clone(), std::fs::read_to_string(file).unwrap())));
        }
    }
    files
}

/// `UPDATE_SCHEMAS=1 cargo test -p publish --test schemas` writes them anew.
#[test]
fn the_files_are_those_of_the_code() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let right: BTreeMap<PathBuf, String> = Detail::schemas()
        .map(|(name, mut schema)| {
            // The order of keys is that of insertion where another crate of the build has `preserve_order` on.
            schema.sort_all_objects();
            (folder.join(name), serde_json::to_string_pretty(&schema).unwrap() + "\n")
        })
        .collect();
    #[expect(clippy::disallowed_methods, reason = "a variable of this test alone")]
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        for stale in written(&folder).keys().filter(|file| !right.contains_key(*file)) {
            std::fs::remove_file(stale).unwrap();
        }
        for (file, text) in &right {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
    }
    let written = written(&folder);
    let differ: Vec<_> = right
        .keys()
        .chain(written.keys())
        .filter(|file| right.get(*file) != written.get(*file))
        .map(|file| file.strip_prefix(&folder).unwrap())
        .collect();
    assert!(differ.is_empty(), "write them anew with UPDATE_SCHEMAS=1: {differ:?}");
    assert_eq!(right.len(), 37 + 1 + 9 + 1);
}
