//! The files of the page, which are in `infra/cli/site`, and what a stack changes in them.

use crate::loopback::{origin, origins};
use crate::stack::Stack;

pub(super) const STYLE: &str = include_str!("../../site/site.css");
pub(super) const SCRIPT: &str = include_str!("../../site/site.js");
const INDEX: &str = include_str!("../../site/index.html");
const WIDGET: &str = include_str!("../../site/smile.v2.js");
const SCREENS: &str = include_str!("../../site/screens.js");
const WIDGET_STYLE: &str = include_str!("../../site/widget.css");
/// The widget's ways: which screen follows which, and what is called back in between.
pub(super) const WALK: &str = include_str!("../../site/walk.json");

/// The page. With the receiver's script, as soon as the stack has one.
pub(super) fn index(stack: &Stack) -> String {
    let script = stack
        .script_url()
        .map_or_else(String::new, |url| format!("<script src=\"{}\"></script>", attribute(url)));
    let api = if stack.callback_url().is_some() { "there" } else { "missing" };
    INDEX.replace("<!-- wink-events -->", &script).replace("{callbacks}", api)
}

/// The stand-in of Smile's widget.
pub(super) fn widget() -> String {
    WIDGET
        .replacen("{/* walk.json */}", WALK.trim_end(), 1)
        .replacen("\"/* widget.css */\"", &serde_json::Value::from(WIDGET_STYLE).to_string(), 1)
        .replacen("  /* screens.js */\n", SCREENS, 1)
}

/// What the page may load and ask: itself, and the receiver. The console alone may show it in a frame.
pub(super) fn policy(stack: &Stack) -> String {
    let origin = |url: Option<&str>| url.and_then(origin).unwrap_or_default().to_owned();
    let (script, callbacks) = (origin(stack.script_url()), origin(stack.callback_url()));
    let console = stack.console_url.as_deref().map(|url| origins(url).join(" "));
    let console = console.as_deref().unwrap_or("'none'");
    format!(
        "default-src 'none'; script-src 'self' {script}; style-src 'self'; img-src 'self' data:; connect-src 'self' {callbacks}; base-uri 'none'; form-action 'none'; frame-ancestors {console}"
    )
}

fn attribute(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::tests::a_stack;

    #[test]
    fn the_page_has_the_receiver_s_script_as_soon_as_there_is_one() {
        let mut stack = a_stack();
        assert!(!index(&stack).contains("<!--") || !index(&stack).contains("wink-events -->"));
        assert!(index(&stack).contains("data-callbacks=\"missing\""));
        assert!(policy(&stack).contains("connect-src 'self' ;"));
        let api = "http://localhost:4566/_aws/execute-api/a1/v1";
        stack.outputs.insert("ScriptUrl".into(), format!("{api}/wink-events.js"));
        stack.outputs.insert("CallbackUrl".into(), format!("{api}/callbacks"));
        assert!(index(&stack).contains(&format!("<script src=\"{api}/wink-events.js\"></script>")));
        assert!(index(&stack).contains("data-callbacks=\"there\""));
        assert!(policy(&stack).contains("connect-src 'self' http://localhost:4566;"), "{}", policy(&stack));
    }

    #[test]
    fn the_console_alone_may_frame_it() {
        let mut stack = a_stack();
        assert!(policy(&stack).ends_with("frame-ancestors 'none'"));
        stack.console_url = Some("http://127.0.0.1:4571/#key=hush".into());
        let ends = "frame-ancestors http://127.0.0.1:4571 http://localhost:4571";
        assert!(policy(&stack).ends_with(ends), "{}", policy(&stack));
    }

    #[test]
    fn nothing_comes_from_elsewhere() {
        for file in [INDEX, STYLE, SCRIPT, &widget()] {
            assert!(!file.contains("https://") && !file.contains("@import"), "{file}");
        }
        for part in ["walk.json */", "widget.css */", "screens.js */"] {
            assert!(!widget().contains(part), "{part} is put in");
        }
    }
}
