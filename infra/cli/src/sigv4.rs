//! Signs requests (SigV4) for services whose SDK crate is not worth its build time.

use std::time::{Duration, SystemTime};

use anyhow::Context;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use jiff::Timestamp;

use crate::stack::Stack;

/// Signs requests with one key, for one region.
#[derive(Debug, Clone)]
pub struct Signer {
    region: String,
    credentials: Credentials,
}

impl Signer {
    /// Signs with this key.
    pub fn new(region: &str, key_id: &str, secret_key: &str) -> Self {
        Self::with_credentials(region, Credentials::new(key_id, secret_key, None, None, "local cloud"))
    }

    /// Signs with these credentials.
    pub fn with_credentials(region: &str, credentials: Credentials) -> Self {
        Self { region: region.to_owned(), credentials }
    }

    /// Signs with the key of a local cloud.
    pub fn of_stack(stack: &Stack) -> Self {
        Self::new(&stack.region, &stack.access_key_id, &stack.secret_access_key)
    }

    /// Returns the request with these headers and those of its signature. `service` is the service's name in signatures,
    /// such as `execute-api`.
    pub fn sign<B: AsRef<[u8]>>(
        &self,
        service: &str,
        request: http::Request<B>,
        now: Timestamp,
    ) -> anyhow::Result<http::Request<B>> {
        let mut settings = SigningSettings::default();
        if service == "s3" {
            // S3 takes the path as it is, and asks for the body's hash in a header (Amazon S3 API reference,
            // "Authenticating Requests: Using the Authorization Header").
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        }
        let identity = self.credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(service)
            .time(SystemTime::UNIX_EPOCH + Duration::try_from(now.as_duration())?)
            .settings(settings)
            .build()
            .context("the request cannot be signed")?
            .into();
        let (mut parts, body) = request.into_parts();
        let headers = parts.headers.iter().map(|(name, value)| Ok((name.as_str(), value.to_str()?)));
        let headers: Vec<_> = headers.collect::<Result<_, http::header::ToStrError>>()?;
        let url = parts.uri.to_string();
        let method = parts.method.as_str();
        let signable =
            SignableRequest::new(method, url, headers.into_iter(), SignableBody::Bytes(body.as_ref()))
                .context("the request cannot be signed")?;
        let (signed, _) = sign(signable, &params).context("the request cannot be signed")?.into_parts();
        for (name, value) in signed.headers() {
            parts.headers.insert(http::HeaderName::try_from(name)?, value.parse()?);
        }
        Ok(http::Request::from_parts(parts, body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "GET Object" of "Examples: Signature Calculations" in the Amazon S3 API reference, with the header `range` as there.
    #[test]
    fn signs_as_aws_shows_it() {
        let signer =
            Signer::new("us-east-1", "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        let request = http::Request::get("https://examplebucket.s3.amazonaws.com/test.txt")
            .header("range", "bytes=0-9")
            .body(b"")
            .unwrap();
        let request = signer.sign("s3", request, "2013-05-24T00:00:00Z".parse().unwrap()).unwrap();
        let authorization = request.headers()["authorization"].to_str().unwrap();
        assert!(
            authorization.ends_with(
                "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, \
                 Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
            ),
            "{authorization}"
        );
    }
}
