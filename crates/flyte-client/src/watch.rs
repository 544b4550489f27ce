//! Answers that come one after another for as long as there is something to tell.

use buffa::view::{HasMessageView, MessageView};
use connectrpc::StreamMessage;
use connectrpc::client::ServerStream;
use flyte_config::Endpoint;

use crate::client::Transport;
use crate::error::ClientError;

/// What a server tells as it happens. Dropping it ends the call.
pub struct Watch<T: Transport, V> {
    stream: ServerStream<T::ResponseBody, V>,
    endpoint: Endpoint,
}

impl<T: Transport, V> Watch<T, V> {
    pub(crate) fn new(stream: ServerStream<T::ResponseBody, V>, endpoint: Endpoint) -> Self {
        Self { stream, endpoint }
    }

    /// The headers of the answer.
    pub(crate) fn headers(&self) -> &http::HeaderMap
    where
        V: MessageView<'static> + Send,
        V::Owned: buffa::Message + serde::de::DeserializeOwned,
    {
        self.stream.headers()
    }

    /// The next message; `None` where the server has no more to tell.
    pub(crate) async fn message<M>(&mut self) -> Result<Option<StreamMessage<M>>, ClientError>
    where
        V: MessageView<'static, Owned = M> + Send,
        M: HasMessageView<View<'static> = V> + buffa::Message + serde::de::DeserializeOwned,
    {
        self.stream.message().await.map_err(|error| ClientError::from_connect(error, &self.endpoint))
    }
}
