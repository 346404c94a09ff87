//! What CloudFormation asks for (CloudFormation, "Custom resource request objects").
//!
//! Read in two steps: first who is to be answered, for which hardly anything can be wrong, and then what is
//! to be done. So whatever is wrong with the second can be answered.

use serde_json::Value;
use shared::registration::{Desired, EventTypes, Unregistrable};
use shared::smile_api::SecretText;

/// Who is to be answered, and about what.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// Where the answer goes. Whoever has it may answer: it prints as a secret.
    pub response_url: SecretText,
    /// What is asked for; none for a word that is not known.
    pub kind: Option<Kind>,
    /// The request.
    pub request_id: String,
    /// The stack.
    pub stack_id: String,
    /// The resource's name in the template.
    pub logical_id: String,
    /// The resource, once it is there.
    pub physical_id: Option<String>,
}

/// What happens to the resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It is created.
    Create,
    /// Its properties change; in a rollback, back to what they were.
    Update,
    /// It is deleted: with its stack, alone, or in a rollback.
    Delete,
}

impl Kind {
    /// CloudFormation's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "Create",
            Self::Update => "Update",
            Self::Delete => "Delete",
        }
    }
}

impl Envelope {
    /// Reads it; none if there is nowhere to answer to.
    pub fn read(event: &Value) -> Option<Self> {
        let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
        let kinds = [Kind::Create, Kind::Update, Kind::Delete];
        Some(Self {
            response_url: SecretText::new(event["ResponseURL"].as_str()?),
            kind: kinds.into_iter().find(|kind| event["RequestType"] == kind.word()),
            request_id: text("RequestId"),
            stack_id: text("StackId"),
            logical_id: text("LogicalResourceId"),
            physical_id: event["PhysicalResourceId"].as_str().map(str::to_owned),
        })
    }
}

/// The resource's properties. All of them come as texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Properties {
    /// `ApiUrl`: Smile's API.
    pub api_url: String,
    /// `CredentialsSecretArn`: whose account at Smile it is. Read from the function's variable; here, so that
    /// a change is a change of the resource.
    pub credentials: String,
    /// `Name`: by which the registration is known as ours.
    pub name: String,
    /// `Url`: where events go.
    pub url: String,
    /// `DomainName`: the stack's own domain name, if it has one.
    domain: Option<String>,
    event_types: Option<String>,
    include_payload: bool,
}

/// Why properties cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadProperties {
    /// Not there.
    #[error("the property {0} is missing")]
    Missing(&'static str),
    /// Smile would not take it.
    #[error(transparent)]
    Unregistrable(#[from] Unregistrable),
}

impl Properties {
    /// Reads `ResourceProperties` or `OldResourceProperties`.
    pub fn read(properties: &Value) -> Result<Self, BadProperties> {
        let text = |name: &'static str| {
            let text = properties[name].as_str().filter(|text| !text.is_empty());
            text.map(str::to_owned).ok_or(BadProperties::Missing(name))
        };
        Ok(Self {
            api_url: text("ApiUrl")?,
            credentials: text("CredentialsSecretArn")?,
            name: text("Name")?,
            url: text("Url")?,
            domain: text("DomainName").ok(),
            event_types: text("EventTypes").ok(),
            include_payload: properties["IncludePayload"] == "true",
        })
    }

    /// What should be registered.
    pub fn desired(&self, secret: &SecretText) -> Result<Desired, BadProperties> {
        let types = self.event_types.as_deref().map_or(Ok(EventTypes::all()), str::parse)?;
        Ok(Desired::new(&self.name, &self.url, types, self.include_payload, secret.clone())?)
    }

    /// Whether these are about the same place at Smile, where one registration takes the other's place.
    pub fn is_same_place(&self, other: &Self) -> bool {
        (&self.api_url, &self.name, &self.url) == (&other.api_url, &other.name, &other.url)
    }

    /// The stack's own domain name of before, when the URL still has it and the stack does not any more. Behind that
    /// URL nothing answers once the deployment is complete.
    pub fn lost_domain<'a>(&self, old: &'a Self) -> Option<&'a str> {
        let lost = old.domain.as_deref().filter(|_| old.domain != self.domain)?;
        let after = self.url.strip_prefix("https://")?.strip_prefix(lost)?;
        (after.is_empty() || after.starts_with(['/', ':'])).then_some(lost)
    }

    /// Whether these are about the same account at Smile, as far as can be known.
    pub fn is_same_account(&self, other: &Self) -> bool {
        (&self.api_url, &self.credentials) == (&other.api_url, &other.credentials)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whoever_can_be_answered_is() {
        assert!(Envelope::read(&json!({ "RequestType": "Create" })).is_none());
        let nothing = Envelope::read(&json!({ "ResponseURL": "https://hush/" })).unwrap();
        assert_eq!((nothing.kind, nothing.physical_id.as_deref()), (None, None));
        assert!(!format!("{nothing:?}").contains("hush"));
        let full =
            json!({ "ResponseURL": "u", "RequestType": "Delete", "PhysicalResourceId": "p", "StackId": 1 });
        let full = Envelope::read(&full).unwrap();
        assert_eq!((full.kind, full.physical_id.as_deref()), (Some(Kind::Delete), Some("p")));
    }

    #[test]
    fn what_is_wrong_with_the_properties_is_named() {
        let good = json!({ "ApiUrl": "https://a", "CredentialsSecretArn": "arn", "Name": "n", "Url": "https://h/",
            "EventTypes": "USER_CREATED", "IncludePayload": "true", "ServiceToken": "t" });
        let properties = Properties::read(&good).unwrap();
        let desired = properties.desired(&SecretText::new("s")).unwrap();
        assert_eq!(
            (desired.event_types().to_string().as_str(), desired.include_payload()),
            ("USER_CREATED", true)
        );
        for name in ["ApiUrl", "CredentialsSecretArn", "Name", "Url"] {
            let mut bad = good.clone();
            bad[name] = json!("");
            assert_eq!(Properties::read(&bad), Err(BadProperties::Missing(name)));
        }
        let mut bad = good.clone();
        bad["Url"] = json!("http://h/");
        let unusable = Properties::read(&bad).unwrap().desired(&SecretText::new("s")).unwrap_err();
        assert!(unusable.to_string().contains("https://"), "{unusable}");
        let with_domain = |domain: &str| {
            let mut of_domain = good.clone();
            of_domain["DomainName"] = json!(domain);
            Properties::read(&of_domain).unwrap()
        };
        assert_eq!(with_domain("").lost_domain(&with_domain("h")), Some("h"));
        assert_eq!(with_domain("i").lost_domain(&with_domain("h")), Some("h"));
        for (new, old) in [("h", "h"), ("h", ""), ("", "other"), ("", "")] {
            assert_eq!(with_domain(new).lost_domain(&with_domain(old)), None, "{new:?} {old:?}");
        }
        let mut elsewhere = properties.clone();
        elsewhere.url.push('x');
        assert!(!elsewhere.is_same_place(&properties) && elsewhere.is_same_account(&properties));
    }
}
