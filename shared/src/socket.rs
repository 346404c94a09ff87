//! WebSocket connections behind API Gateway: what is sent to them, and their end.

use aws_sdk_apigatewaymanagement::Client;
use aws_sdk_apigatewaymanagement::operation::delete_connection::DeleteConnectionError;
use aws_sdk_apigatewaymanagement::operation::post_to_connection::PostToConnectionError;
use aws_sdk_apigatewaymanagement::primitives::Blob;
use aws_types::SdkConfig;

use crate::aws::told_by_code;

/// The connections of one API's stage.
#[derive(Clone)]
pub struct Sockets {
    client: Client,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Posted {
    /// The gateway has it.
    Sent,
    /// There is no such connection any more.
    Gone,
}

/// The gateway did not do it. Says its code, never what was sent.
#[derive(Debug, thiserror::Error)]
#[error("the gateway refused: {0}")]
pub struct GatewayRefused(String);

impl Sockets {
    /// The connections of the API with this callback URL: `https://{api}.execute-api.{region}.amazonaws.com/{stage}`.
    pub fn new(config: &SdkConfig, callback_url: &str) -> Self {
        let config = aws_sdk_apigatewaymanagement::config::Builder::from(config).endpoint_url(callback_url);
        Self { client: Client::from_conf(config.build()) }
    }

    /// Sends a message on a connection.
    pub async fn post(&self, connection: &str, message: &str) -> Result<Posted, GatewayRefused> {
        let post = self.client.post_to_connection().connection_id(connection).data(Blob::new(message));
        match post.send().await {
            Ok(_) => Ok(Posted::Sent),
            Err(error) => match error.as_service_error() {
                Some(PostToConnectionError::GoneException(_)) => Ok(Posted::Gone),
                _ => Err(GatewayRefused(told_by_code(&error))),
            },
        }
    }

    /// Ends a connection. One that is gone has ended.
    pub async fn end(&self, connection: &str) -> Result<(), GatewayRefused> {
        match self.client.delete_connection().connection_id(connection).send().await {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(DeleteConnectionError::GoneException(_)) => Ok(()),
                _ => Err(GatewayRefused(told_by_code(&error))),
            },
        }
    }
}
