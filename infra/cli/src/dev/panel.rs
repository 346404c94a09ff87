//! What `smile dev` shows when it is ready.

use std::path::Path;
use std::time::Duration;

use super::environment;
use crate::stack::Stack;
use crate::ui::{bold, dim, table};
use crate::workspace::Workspace;

/// The whole panel. Paths in the project are shown from its root on.
pub(super) fn panel(
    stack: &Stack,
    dir: &Path,
    workspace: &Workspace,
    took: Duration,
    detached: bool,
) -> String {
    let smile = environment::command_name();
    let short = |path: &Path| path.strip_prefix(workspace.root()).unwrap_or(path).display().to_string();
    let elsewhere = if dir == workspace.dev_dir() { String::new() } else { format!(" --dir {}", short(dir)) };
    let mut facts = vec![
        ("Webhook", stack.webhook_url.clone()),
        ("AWS", format!("{}  {}", stack.aws_endpoint, dim(&format!("{}, IAM enforced", stack.region)))),
        ("Table", stack.table.clone()),
        ("Queue", stack.queue_url.clone()),
        ("Stack", format!("{}  {}", short(&Stack::path(dir)), dim("ids, secret, credentials"))),
        ("Log", short(&super::process::log_path(dir))),
    ];
    if let Some(callbacks) = stack.callback_url() {
        facts.insert(1, ("Callbacks", callbacks.to_owned()));
    }
    if let (Some(smile), Some(control)) = (&stack.smile_url, &stack.simulator_url) {
        facts.insert(0, ("Smile", format!("{smile}  {}", dim("simulated; the webhook is registered"))));
        facts.insert(1, ("Control", format!("{control}  {}", dim("see smile simulate --help"))));
    }
    if let Some(site) = &stack.site_url {
        facts
            .insert(0, ("Web site", format!("{}  {}", bold(site), dim("a customer's, with Smile's widget"))));
    }
    if let Some(console) = &stack.console_url {
        facts.insert(0, ("Console", bold(console)));
    }
    let facts = table(facts);
    let examples = [
        ("send ACCOUNT_CONNECTED", "one signed event"),
        ("send --all", "a user's whole life, all 37 types"),
        ("send --all --times 3 --shuffle", "repeats, in any order"),
        ("show user ID", "what the events add up to"),
    ]
    .map(|(command, what)| (format!("{smile} {command}{elsewhere}"), what));
    let width = examples.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
    let examples = examples.map(|(command, what)| format!("  {command:<width$}  {}", dim(what)));
    let (heading, end) = if detached {
        ("Try", format!("{smile} dev stop{elsewhere} ends it and leaves nothing behind."))
    } else {
        ("Try in another terminal", "Ctrl-C ends it and leaves nothing behind.".to_owned())
    };
    format!(
        "\n{}\n\n{facts}\n\n{}\n\n{}\n\n{end}",
        bold(&format!("The local cloud is ready after {:.1} s", took.as_secs_f64())),
        bold(heading),
        examples.join("\n"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::tests::a_stack;

    #[test]
    fn fits_a_hundred_columns_and_shows_no_secret() {
        console::set_colors_enabled_stderr(false);
        let mut stack = a_stack();
        stack.webhook_url = "http://127.0.0.1:45666/_aws/execute-api/1a2b3c4d/v1/webhooks/smile".into();
        stack.queue_url = "http://localhost:45666/000000000000/smile-webhook".into();
        let callbacks = "http://localhost:45666/_aws/execute-api/1a2b3c4d/v1/callbacks";
        stack.outputs.insert("CallbackUrl".into(), callbacks.into());
        stack.smile_url = Some("http://127.0.0.1:45667/v1".into());
        stack.simulator_url = Some("http://127.0.0.1:45667/_simulate".into());
        stack.site_url = Some("http://127.0.0.1:45668".into());
        stack.console_url = Some(format!("http://127.0.0.1:45669/#key={}", "k".repeat(43)));
        let project = tempfile::tempdir().unwrap();
        std::fs::create_dir(project.path().join("infra")).unwrap();
        std::fs::write(project.path().join("Cargo.toml"), "").unwrap();
        std::fs::write(project.path().join("infra/template.yaml"), "").unwrap();
        let workspace = Workspace::find_from(project.path()).unwrap();
        let shown = panel(&stack, &workspace.dev_dir(), &workspace, Duration::from_millis(4321), false);
        assert!(shown.contains(&stack.webhook_url) && shown.contains(" target/dev/stack.json"), "{shown}");
        assert!(shown.contains("/v1/callbacks"), "{shown}");
        assert!(shown.contains(stack.console_url.as_deref().unwrap()), "{shown}");
        for url in [&stack.smile_url, &stack.simulator_url, &stack.site_url] {
            assert!(shown.contains(&format!("  {}  ", url.clone().unwrap())), "{shown}");
        }
        assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
        assert!(!shown.contains("hush") && !shown.contains("--dir"), "{shown}");
        let elsewhere = project.path().join("target/b");
        let shown = panel(&stack, &elsewhere, &workspace, Duration::ZERO, true);
        assert!(
            shown.contains("send --all --dir target/b ") && shown.contains("dev stop --dir target/b "),
            "{shown}"
        );
        assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
    }
}
