//! The options of `smile send`.

use std::num::NonZeroUsize;

use crate::cli::LocalArgs;

/// Send signed events, as Smile would
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that stands for itself")]
pub struct Args {
    /// Types of events (account-connected will do), a file, or - for standard input
    #[arg(value_name = "TYPE|FILE|-", required_unless_present_any = ["all", "list"])]
    pub(super) what: Vec<String>,

    /// Send a user's whole life, in which all types occur
    #[arg(long, conflicts_with_all = ["what", "list"])]
    pub(super) all: bool,

    /// List the types
    #[arg(long, conflicts_with = "what")]
    pub(super) list: bool,

    /// The user's id [default: a new one]
    #[arg(long, value_name = "ID", help_heading = "What is in the events")]
    pub(super) user: Option<String>,

    /// The account's id [default: a new one]
    #[arg(long, value_name = "ID", help_heading = "What is in the events")]
    pub(super) account: Option<String>,

    /// The archive's id [default: a new one]
    #[arg(long, value_name = "ID", help_heading = "What is in the events")]
    pub(super) archive: Option<String>,

    /// Payloads of about this size; above 150 KB Smile would cut them
    #[arg(long, value_name = "N", help_heading = "What is in the events")]
    pub(super) payload_kb: Option<usize>,

    /// Take a type that is not known yet as it is
    #[arg(long, help_heading = "What is in the events")]
    pub(super) any_type: bool,

    /// So many events of each type, or lives, with ids of their own
    #[arg(long, value_name = "N", default_value = "1", help_heading = "How they are sent")]
    pub(super) count: NonZeroUsize,

    /// Each event so often: the same bytes, as when Smile tries again
    #[arg(long, value_name = "N", default_value = "1", help_heading = "How they are sent")]
    pub(super) times: NonZeroUsize,

    /// Send them in any order
    #[arg(long, help_heading = "How they are sent")]
    pub(super) shuffle: bool,

    /// Have so many requests under way at once
    #[arg(long, value_name = "N", default_value = "1", help_heading = "How they are sent")]
    pub(super) concurrency: NonZeroUsize,

    /// Change the body after signing it; 401 is then the right answer
    #[arg(long, conflicts_with = "no_signature", help_heading = "How they are sent")]
    pub(super) tamper: bool,

    /// Leave the signature out; 401 is then the right answer
    #[arg(long, help_heading = "How they are sent")]
    pub(super) no_signature: bool,

    /// Where to post to, if not to smile dev's cloud
    #[arg(long, env = "SMILE_WEBHOOK_URL", hide_env_values = true, help_heading = "Where to")]
    pub(super) url: Option<String>,

    /// What to sign with; better set in the variable
    #[arg(long, env = "SMILE_WEBHOOK_SECRET", hide_env_values = true, help_heading = "Where to")]
    pub(super) secret: Option<String>,

    /// To a deployed stack on AWS, with its secret; from an address not listed this is an alarm
    #[arg(long, value_name = "NAME", help_heading = "Where to")]
    pub(super) stack: Option<String>,

    /// The profile of your AWS credentials
    #[arg(long, value_name = "NAME", requires = "stack", help_heading = "Where to")]
    pub(super) profile: Option<String>,

    /// The stack's region
    #[arg(long, value_name = "REGION", requires = "stack", help_heading = "Where to")]
    pub(super) region: Option<String>,

    /// One more header; can be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = header, help_heading = "Where to")]
    pub(super) header: Vec<(String, String)>,

    #[command(flatten)]
    pub(super) local: LocalArgs,

    /// One JSON object a line on stdout
    #[arg(long)]
    pub(super) json: bool,

    /// Print signature and body instead of sending
    #[arg(long)]
    pub(super) dry_run: bool,
}

const EXAMPLES: &str = "\
Examples:
  smile send ACCOUNT_CONNECTED                       one event to the local cloud
  smile send task-started task-finished --user demo-1
  smile send --all --times 3 --shuffle               repeats, in any order
  smile send TASK_FINISHED --payload-kb 120          a large payload
  smile send INCOMES_ADDED --tamper                  must be refused
  smile send event.json --url https://…/v1/webhooks/smile
  smile send ACCOUNT_CREATED --dry-run               print signature and body

Exit codes: 0 as expected, 1 otherwise answered, 2 wrong usage, 3 cannot be reached.";

/// Reads `NAME=VALUE`.
fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
impl Args {
    /// Reads a command line, without the command itself.
    pub(super) fn from_line(line: &str) -> Result<Self, clap::Error> {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: Args,
        }
        let words = std::iter::once("send").chain(line.split_whitespace());
        clap::Parser::try_parse_from(words).map(|Line { args }| args)
    }
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;

    #[test]
    fn reads_the_options() {
        let args = Args::from_line(
            "account-created - --user u --header A=b=c --header X-Y= --times 3 --shuffle --concurrency 4 --json",
        )
        .unwrap();
        assert_eq!(args.what, ["account-created", "-"]);
        assert_eq!(args.user.as_deref(), Some("u"));
        assert_eq!(args.header, [("A".into(), "b=c".into()), ("X-Y".into(), String::new())]);
        assert_eq!((args.times.get(), args.concurrency.get(), args.count.get()), (3, 4, 1));
        assert!(args.shuffle && args.json && !args.tamper);
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        for (line, kind) in [
            ("", ErrorKind::MissingRequiredArgument),
            ("USER_CREATED --all", ErrorKind::ArgumentConflict),
            ("USER_CREATED --tamper --no-signature", ErrorKind::ArgumentConflict),
            ("USER_CREATED --times 0", ErrorKind::ValueValidation),
            ("USER_CREATED --header nothing", ErrorKind::ValueValidation),
            ("USER_CREATED --header =x", ErrorKind::ValueValidation),
        ] {
            assert_eq!(Args::from_line(line).unwrap_err().kind(), kind, "{line}");
        }
        let line = "USER_CREATED --region r";
        assert_eq!(Args::from_line(line).unwrap_err().kind(), ErrorKind::MissingRequiredArgument);
        assert!(Args::from_line("--all").unwrap().all);
        assert!(Args::from_line("--list").unwrap().list);
    }
}
