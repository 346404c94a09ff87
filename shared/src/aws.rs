//! How a function reaches AWS: one lean HTTP client (rustls with ring), settings read once, and
//! time-outs on everything.
//!
//! The SDK's own loader reads files, profiles and the instance's metadata, and trusts every root of the
//! system. A Lambda function needs none of that: Lambda puts region and credentials into the
//! environment (AWS Lambda, developer guide, "environment variables"), and AWS's endpoints chain to a
//! handful of roots.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::{SharedTimeSource, SystemTimeSource};
pub use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder as HttpClient, Connector};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use aws_types::sdk_config::{Builder, SharedHttpClient, StalledStreamProtectionConfig};

use crate::variables::{Missing, Variables};

const ROOTS: [&[u8]; 5] = [
    include_bytes!("../roots/amazon-root-ca-1.pem"),
    include_bytes!("../roots/amazon-root-ca-2.pem"),
    include_bytes!("../roots/amazon-root-ca-3.pem"),
    include_bytes!("../roots/amazon-root-ca-4.pem"),
    include_bytes!("../roots/starfield-services-root-g2.pem"),
];

/// Where AWS is and who asks. Prints no credentials.
pub struct Settings {
    region: String,
    endpoint: Option<String>,
    credentials: Credentials,
    ca_bundle: Option<PathBuf>,
}

impl Settings {
    /// Reads what Lambda sets: `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and
    /// `AWS_SESSION_TOKEN`; and what a local cloud or a private network needs: `AWS_ENDPOINT_URL` and
    /// `AWS_CA_BUNDLE`.
    pub fn read(variables: &Variables<'_>) -> Result<Self, Missing> {
        Ok(Self {
            region: variables.required("AWS_REGION")?,
            endpoint: variables.optional("AWS_ENDPOINT_URL"),
            credentials: Credentials::new(
                variables.required("AWS_ACCESS_KEY_ID")?,
                variables.required("AWS_SECRET_ACCESS_KEY")?,
                variables.optional("AWS_SESSION_TOKEN"),
                None,
                "environment",
            ),
            ca_bundle: variables.optional("AWS_CA_BUNDLE").map(PathBuf::from),
        })
    }

    /// Settings for a cloud at a known address, such as a local one.
    pub fn at(endpoint: &str, region: &str, key_id: &str, secret_key: &str) -> Self {
        Self {
            region: region.to_owned(),
            endpoint: Some(endpoint.to_owned()),
            credentials: Credentials::new(key_id, secret_key, None, None, "explicit"),
            ca_bundle: None,
        }
    }
}

/// How long calls may take. What waits at the other end of a function is a sender with a time-out of
/// its own, so the bound of a whole operation, its retries included, is what counts.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// To open a connection.
    pub connect: Duration,
    /// For one try.
    pub attempt: Duration,
    /// For all tries together.
    pub operation: Duration,
    /// How many tries.
    pub attempts: u32,
}

impl Patience {
    /// All but the number of tries, as the SDK has it.
    pub fn timeouts(&self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(self.connect)
            .operation_attempt_timeout(self.attempt)
            .operation_timeout(self.operation)
            .build()
    }
}

/// What went wrong with a call, for a log: code and message of AWS's answer, or why there was none. Never
/// the answer itself, which the SDK's own words end with: it can hold a secret.
pub fn told<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> String {
    let unreadable = |answer: &HttpResponse| format!("an answer ({}) that cannot be read", answer.status());
    match error {
        SdkError::ServiceError(answer) => match (answer.err().code(), answer.err().message()) {
            (Some(code), message) => format!("{code}: {}", message.unwrap_or_default()),
            (None, _) => unreadable(answer.raw()),
        },
        SdkError::ResponseError(answer) => unreadable(answer.raw()),
        SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
            Some(error) => causes(error),
            None => "no connection".to_owned(),
        },
        SdkError::TimeoutError(_) => "no answer in time".to_owned(),
        _ => "the request could not be made".to_owned(),
    }
}

/// An error and what it comes from, one after the other.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let all = std::iter::successors(Some(error), |error| error.source());
    all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The same without the message, for calls that carry somebody's data: a message about it could quote it.
pub fn told_by_code<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> String {
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
    code.map_or_else(|| told(error), str::to_owned)
}

/// The HTTP client of all of the project's programs: rustls with ring, trusting Amazon's roots or the
/// certificates in the file.
pub fn http_client(ca_bundle: Option<&Path>) -> std::io::Result<SharedHttpClient> {
    let client = HttpClient::new().tls_provider(Provider::Rustls(CryptoMode::Ring));
    Ok(client.tls_context(tls(ca_bundle)?).build_https())
}

/// The same, through a proxy where there is one. Not for a Lambda function, which has none.
pub fn http_client_by_proxy(
    ca_bundle: Option<&Path>,
    proxy: ProxyConfig,
) -> std::io::Result<SharedHttpClient> {
    let tls = tls(ca_bundle)?;
    // The one way to give the client a proxy. As the other, it keeps its connectors, and they their connections.
    Ok(HttpClient::new().build_with_connector_fn(move |settings, components| {
        let mut connector = Connector::builder().proxy_config(proxy.clone());
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        connector.tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(tls.clone()).build()
    }))
}

fn tls(ca_bundle: Option<&Path>) -> std::io::Result<TlsContext> {
    let trust = match ca_bundle {
        Some(file) => TrustStore::empty().with_pem_certificate(certificates(file)?),
        None => ROOTS.iter().fold(TrustStore::empty(), |trust, root| trust.with_pem_certificate(*root)),
    };
    TlsContext::builder().with_trust_store(trust).build().map_err(std::io::Error::other)
}

/// A file of certificates. One that has none would trust nobody, and say so at the first call only.
fn certificates(file: &Path) -> std::io::Result<Vec<u8>> {
    let bytes = std::fs::read(file)?;
    let begin = b"-----BEGIN CERTIFICATE-----";
    if !bytes.windows(begin.len()).any(|window| window == begin) {
        let none = format!("{} has no certificate in PEM", file.display());
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, none));
    }
    Ok(bytes)
}

/// Makes the configuration that all of a function's clients share. Reads `AWS_CA_BUNDLE`'s file if
/// there is one, otherwise no file at all.
pub fn config(settings: Settings, patience: Patience) -> std::io::Result<SdkConfig> {
    let client = http_client(settings.ca_bundle.as_deref())?;
    let mut builder: Builder = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(settings.region))
        .credentials_provider(SharedCredentialsProvider::new(settings.credentials))
        .http_client(client)
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .time_source(SharedTimeSource::new(SystemTimeSource::new()))
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(patience.attempts)
                .with_initial_backoff(Duration::from_millis(50))
                .with_max_backoff(Duration::from_millis(500)),
        )
        .timeout_config(patience.timeouts());
    if let Some(endpoint) = settings.endpoint {
        builder = builder.endpoint_url(endpoint);
    }
    Ok(builder.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_refused_at_once() {
        let file = std::env::temp_dir().join(format!("smile-bundle-{}.pem", std::process::id()));
        std::fs::write(&file, "a certificate, but in DER").unwrap();
        let refused = http_client(Some(&file)).unwrap_err();
        assert!(refused.to_string().ends_with(".pem has no certificate in PEM"), "{refused}");
        std::fs::write(&file, ROOTS.concat()).unwrap();
        assert!(http_client(Some(&file)).is_ok());
        std::fs::remove_file(&file).unwrap();
    }
}
