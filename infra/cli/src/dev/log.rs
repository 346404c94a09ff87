//! The end of a log, for a complaint.

use std::path::Path;

/// How many lines a complaint shows.
const LINES: usize = 8;

/// The last lines of a file.
pub(super) fn tail(path: &Path) -> String {
    // A log of another encoding is still worth a look.
    let text = std::fs::read(path).unwrap_or_default();
    indented(&String::from_utf8_lossy(&text))
}

/// The last lines of a text, set off from the complaint.
pub(super) fn indented(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(LINES)..];
    last.iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_end() {
        let text: Vec<String> = (1..=30).map(|number| format!("line {number}\n\n")).collect();
        let shown = indented(&text.concat());
        assert!(shown.starts_with("    line 23\n") && shown.ends_with("    line 30"), "{shown}");
        assert_eq!(indented(""), "");
        assert_eq!(tail(Path::new("/nowhere/at/all")), "");
    }
}
