//! Streams of messages from the server.

use connectrpc::client::ServerStream;
use flyte_config::Endpoint;
use flyte_idl::{Decoded, WireMessage};

use crate::error::ClientError;
use crate::transport::Transport;

/// A stream of messages from the server. Dropping it ends the call.
pub struct Watch<T: Transport, M> {
    stream: ServerStream<T::ResponseBody, Decoded<'static, M>>,
    endpoint: Endpoint,
}

impl<T: Transport, M: WireMessage> Watch<T, M> {
    pub(crate) fn new(
        stream: ServerStream<T::ResponseBody, Decoded<'static, M>>,
        endpoint: Endpoint,
    ) -> Self {
        Self { stream, endpoint }
    }

    /// The headers of the response.
    pub(crate) fn headers(&self) -> &http::HeaderMap {
        self.stream.headers()
    }

    /// The next message; `None` at the end of the stream.
    pub(crate) async fn message(&mut self) -> Result<Option<M>, ClientError> {
        let message = self.stream.message::<M>().await;
        let message = message.map_err(|error| ClientError::from_connect(error, &self.endpoint))?;
        Ok(message.map(|message| message.to_owned_message()))
    }
}
