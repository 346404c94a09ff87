//! The nine callbacks, typed (Smile, Wink Widget reference, "Callbacks").
//!
//! Reading is lenient: what is missing or of another shape is left out. An object may also come as a text
//! that holds JSON, as Android's web view passes `uploads`, `account` and `archive`; any object is read in
//! both forms.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::event::words::{is_word, words};
use crate::id::AccountId;

words! {
    /// The callbacks' names.
    Name {
        AccountCreated = "onAccountCreated",
        AccountConnected = "onAccountConnected",
        AccountRemoved = "onAccountRemoved",
        AccountError = "onAccountError",
        TokenExpired = "onTokenExpired",
        Close = "onClose",
        UploadsCreated = "onUploadsCreated",
        UploadsRemoved = "onUploadsRemoved",
        UiEvent = "onUIEvent",
    }

    /// The widget's screens (`eventName` of `onUIEvent`).
    Screen {
        ConsentPageOpened = "ConsentPageOpened",
        ProviderListPageOpened = "ProviderListPageOpened",
        LoginPageOpened = "LoginPageOpened",
        MfaPageOpened = "MfaPageOpened",
        ConnectSuccessPageOpened = "ConnectSuccessPageOpened",
        AccountRevokePageOpened = "AccountRevokePageOpened",
        LoginOptionsPageOpened = "LoginOptionsPageOpened",
        EmployerSurveyPageOpened = "EmployerSurveyPageOpened",
        FileTypeListPageOpened = "FileTypeListPageOpened",
        FileTypePageOpened = "FileTypePageOpened",
        ArchiveSuccessPageOpened = "ArchiveSuccessPageOpened",
        RevokeArchivePageOpened = "RevokeArchivePageOpened",
    }

    /// Why the widget was closed.
    CloseReason {
        Close = "close",
        Exit = "exit",
        Error = "error",
    }

    /// Which of the vendor's worlds.
    Mode {
        Sandbox = "SANDBOX",
        Production = "PRODUCTION",
    }
}

impl Name {
    /// A bounded set of words for metrics: the name, or `unknown`.
    pub fn metric_word(&self) -> &str {
        match self {
            Self::Unknown(_) => "unknown",
            known => known.as_str(),
        }
    }
}

/// An account, as the browser names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClaimedAccount {
    /// `accountId`, where it has the form of an id.
    pub account: Option<AccountId>,
    /// `providerId`.
    pub provider: Option<String>,
}

/// Files that the user handed over or took back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uploads {
    /// How many, where `uploads` is a list.
    pub count: Option<u64>,
}

/// A screen was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UiEvent {
    /// `eventName`.
    pub screen: Screen,
    /// `mode`.
    pub mode: Option<Mode>,
    /// Of `account`.
    pub account: ClaimedAccount,
    /// `fileType` of `archive`.
    pub file_type: Option<String>,
}

/// What a callback says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Linking was started: credentials were sent.
    AccountCreated(ClaimedAccount),
    /// Linking succeeded, as far as the widget knows.
    AccountConnected(ClaimedAccount),
    /// The user took access back.
    AccountRemoved(ClaimedAccount),
    /// Linking ended in an error.
    AccountError {
        /// Of which account.
        account: ClaimedAccount,
        /// The vendor's code.
        error_code: Option<String>,
    },
    /// The link token has expired.
    TokenExpired,
    /// The widget was closed; newer widgets say why.
    Close(Option<CloseReason>),
    /// Documents were submitted.
    UploadsCreated(Uploads),
    /// Documents were taken back.
    UploadsRemoved(Uploads),
    /// A screen was shown.
    UiEvent(UiEvent),
    /// A callback that is not known yet, or one of the nine without what makes it one.
    Unknown,
}

impl Said {
    /// Reads a callback's argument.
    pub fn read(name: &Name, value: Option<&RawValue>) -> Self {
        let data = value.and_then(|raw| object(serde_json::from_str(raw.get()).ok()?)).unwrap_or_default();
        match name {
            Name::AccountCreated => Self::AccountCreated(account(&data)),
            Name::AccountConnected => Self::AccountConnected(account(&data)),
            Name::AccountRemoved => Self::AccountRemoved(account(&data)),
            Name::AccountError => {
                Self::AccountError { account: account(&data), error_code: word(&data, "errorCode") }
            }
            Name::TokenExpired => Self::TokenExpired,
            Name::Close => Self::Close(word(&data, "reason").map(|word| CloseReason::from(word.as_str()))),
            Name::UploadsCreated => Self::UploadsCreated(uploads(&data)),
            Name::UploadsRemoved => Self::UploadsRemoved(uploads(&data)),
            Name::UiEvent => match word(&data, "eventName") {
                Some(screen) => Self::UiEvent(UiEvent {
                    screen: Screen::from(screen.as_str()),
                    mode: word(&data, "mode").map(|word| Mode::from(word.as_str())),
                    account: data
                        .get("account")
                        .and_then(|it| object(it.clone()))
                        .as_ref()
                        .map(account)
                        .unwrap_or_default(),
                    file_type: data
                        .get("archive")
                        .and_then(|it| object(it.clone()))
                        .and_then(|archive| word(&archive, "fileType")),
                }),
                None => Self::Unknown,
            },
            Name::Unknown(_) => Self::Unknown,
        }
    }
}

/// An object, also one that comes as a text.
pub(super) fn object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(object) => Some(object),
        Value::String(text) => match serde_json::from_str(&text).ok()? {
            Value::Object(object) => Some(object),
            _ => None,
        },
        _ => None,
    }
}

fn account(data: &Map<String, Value>) -> ClaimedAccount {
    ClaimedAccount {
        account: data
            .get("accountId")
            .and_then(Value::as_str)
            .filter(|id| is_word(id))
            .and_then(|id| AccountId::new(id).ok()),
        provider: word(data, "providerId"),
    }
}

fn uploads(data: &Map<String, Value>) -> Uploads {
    let list = match data.get("uploads") {
        Some(Value::String(text)) => serde_json::from_str(text).ok(),
        other => other.cloned(),
    };
    Uploads { count: list.as_ref().and_then(Value::as_array).and_then(|list| u64::try_from(list.len()).ok()) }
}

fn word(data: &Map<String, Value>, name: &str) -> Option<String> {
    data.get(name).and_then(Value::as_str).filter(|text| is_word(text)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(name: &str, value: &Value) -> Said {
        let raw = RawValue::from_string(value.to_string()).unwrap();
        Said::read(&Name::from(name), Some(&raw))
    }

    fn claimed(account: &str, provider: &str) -> ClaimedAccount {
        ClaimedAccount { account: Some(AccountId::new(account).unwrap()), provider: Some(provider.into()) }
    }

    #[test]
    fn reads_all_nine() {
        let of = json!({ "accountId": "a-1", "userId": "u-1", "providerId": "sss_ph" });
        let account = || claimed("a-1", "sss_ph");
        assert_eq!(read("onAccountCreated", &of), Said::AccountCreated(account()));
        assert_eq!(read("onAccountConnected", &of), Said::AccountConnected(account()));
        assert_eq!(read("onAccountRemoved", &of), Said::AccountRemoved(account()));
        let mut failed = of.clone();
        failed["errorCode"] = json!("INVALID_MFA");
        assert_eq!(
            read("onAccountError", &failed),
            Said::AccountError { account: account(), error_code: Some("INVALID_MFA".into()) }
        );
        assert_eq!(Said::read(&Name::TokenExpired, None), Said::TokenExpired);
        assert_eq!(read("onTokenExpired", &Value::Null), Said::TokenExpired);
        assert_eq!(Said::read(&Name::Close, None), Said::Close(None));
        assert_eq!(read("onClose", &json!({ "reason": "exit" })), Said::Close(Some(CloseReason::Exit)));
        let two = json!({ "uploads": [{}, {}], "userId": "u-1" });
        assert_eq!(read("onUploadsCreated", &two), Said::UploadsCreated(Uploads { count: Some(2) }));
        assert_eq!(read("onUploadsRemoved", &two), Said::UploadsRemoved(Uploads { count: Some(2) }));
        assert_eq!(read("onSomethingNew", &of), Said::Unknown);
        assert_eq!(Name::KNOWN.len(), 9);
    }

    #[test]
    fn reads_all_twelve_screens_with_what_they_carry() {
        for screen in [
            "ConsentPageOpened",
            "ProviderListPageOpened",
            "LoginPageOpened",
            "MfaPageOpened",
            "ConnectSuccessPageOpened",
            "AccountRevokePageOpened",
            "LoginOptionsPageOpened",
            "EmployerSurveyPageOpened",
            "FileTypeListPageOpened",
            "FileTypePageOpened",
            "ArchiveSuccessPageOpened",
            "RevokeArchivePageOpened",
        ] {
            let said = read(
                "onUIEvent",
                &json!({
                    "eventName": screen, "eventTime": "2026-03-01T10:00:00Z", "mode": "SANDBOX", "userId": "u-1",
                    "account": { "accountId": "a-1", "providerId": "sss_ph" }, "archive": { "fileType": "PAYSLIP" },
                }),
            );
            let Said::UiEvent(event) = said else { panic!("{screen}: {said:?}") };
            assert!(Screen::KNOWN.contains(&event.screen), "{screen}");
            assert_eq!(event.screen.as_str(), screen);
            assert_eq!((event.mode, event.account), (Some(Mode::Sandbox), claimed("a-1", "sss_ph")));
            assert_eq!(event.file_type.as_deref(), Some("PAYSLIP"));
        }
        assert_eq!(Screen::KNOWN.len(), 12);
        let new = read("onUIEvent", &json!({ "eventName": "NewPageOpened" }));
        assert!(matches!(new, Said::UiEvent(UiEvent { screen: Screen::Unknown(_), .. })));
        assert_eq!(read("onUIEvent", &json!({ "account": {} })), Said::Unknown);
    }

    #[test]
    fn what_is_no_word_is_left_out() {
        let script = json!({ "accountId": "<script>alert(1)</script>", "providerId": "x".repeat(65),
                             "__proto__": { "accountId": "a-1" }, "constructor": 1 });
        assert_eq!(read("onAccountConnected", &script), Said::AccountConnected(ClaimedAccount::default()));
        let numbers = json!({ "accountId": 7, "providerId": ["a"], "errorCode": {} });
        assert_eq!(
            read("onAccountError", &numbers),
            Said::AccountError { account: ClaimedAccount::default(), error_code: None }
        );
        for odd in [json!([]), json!(1), json!("text"), json!("[1]"), json!(null)] {
            assert_eq!(read("onClose", &odd), Said::Close(None), "{odd}");
        }
    }

    prop_compose! {
        fn any_account()(account in "[A-Za-z0-9-]{1,40}", provider in "[a-z_]{1,20}") -> Value {
            json!({ "accountId": account, "providerId": provider })
        }
    }

    proptest! {
        /// Android's web view passes some objects as texts; they mean the same.
        #[test]
        fn a_text_that_holds_json_means_the_same(
            account in any_account(),
            archive in "[A-Z_]{1,20}",
            count in 0_usize..5,
            screen in 0_usize..12,
        ) {
            let archive = json!({ "fileType": archive });
            let event = |account: Value, archive: Value| json!({
                "eventName": Screen::KNOWN[screen].as_str(), "mode": "PRODUCTION", "account": account, "archive": archive,
            });
            let whole = event(account.clone(), archive.clone());
            let texts = event(json!(account.to_string()), json!(archive.to_string()));
            prop_assert_eq!(read("onUIEvent", &whole), read("onUIEvent", &texts));
            prop_assert_eq!(read("onUIEvent", &whole), read("onUIEvent", &json!(texts.to_string())));
            let list = json!(vec![json!({ "id": 1 }); count]);
            let said = read("onUploadsCreated", &json!({ "uploads": list.to_string() }));
            prop_assert_eq!(said, Said::UploadsCreated(Uploads { count: Some(count as u64) }));
        }

        /// Whatever a browser sends, reading it ends, and only words come out.
        #[test]
        fn anything_can_be_read(name in "on[A-Z][A-Za-z]{0,20}", text in "\\PC{0,200}", known in 0_usize..9) {
            for name in [name.as_str(), Name::KNOWN[known].as_str()] {
                let value = json!({ "accountId": text, "providerId": text, "errorCode": text, "reason": text,
                                    "eventName": text, "account": text, "archive": text, "uploads": text });
                let said = format!("{:?}", read(name, &value));
                prop_assert!(is_word(&text) || text.len() < 4 || !said.contains(&text));
            }
        }
    }
}
