//! Calls of any method, asked and answered in encoded messages: for callers that know messages by their names only.

use buffa::Message as _;
use buffa_types::google::protobuf::__buffa::view::EmptyView;
use buffa_types::google::protobuf::Empty;
use bytes::Bytes;
use connectrpc::client::{self, CallOptions, ClientConfig, ServerStream};
use connectrpc::{Spec, StreamType};
use flyte_config::Endpoint;

use crate::client::Transport;
use crate::error::ClientError;

/// Calls of methods by their names.
#[derive(Clone)]
pub struct RawCalls<T> {
    transport: T,
    config: ClientConfig,
    endpoint: Endpoint,
}

impl<T: Transport> RawCalls<T> {
    pub(crate) fn new(transport: T, config: ClientConfig, endpoint: Endpoint) -> Self {
        Self { transport, config, endpoint }
    }

    /// Calls `procedure`, such as `/flyteidl2.task.TaskService/ListTasks`, with an encoded message, and returns the encoded
    /// answer. `options` holds headers and limits of this call alone.
    ///
    /// # Errors
    /// [`ClientError::InvalidArgument`] where the request is no message; those of a call.
    pub async fn unary(
        &self,
        procedure: &'static str,
        request: &[u8],
        options: CallOptions,
    ) -> Result<Bytes, ClientError> {
        let spec = Spec::client(procedure, StreamType::Unary);
        let request = message(request)?;
        let answer = client::call_unary::<_, _, EmptyView<'static>>(
            &self.transport,
            &self.config,
            spec,
            request,
            options,
        );
        let answer = answer.await.map_err(|error| ClientError::from_connect(error, &self.endpoint))?;
        Ok(answer.into_view().into_bytes())
    }

    /// Calls a `procedure` that answers with a stream of messages.
    ///
    /// # Errors
    /// Those of [`unary`](Self::unary).
    pub async fn stream(
        &self,
        procedure: &'static str,
        request: &[u8],
        options: CallOptions,
    ) -> Result<RawStream<T>, ClientError> {
        let spec = Spec::client(procedure, StreamType::ServerStream);
        let request = message(request)?;
        let stream = client::call_server_stream(&self.transport, &self.config, spec, request, options).await;
        let stream = stream.map_err(|error| ClientError::from_connect(error, &self.endpoint))?;
        Ok(RawStream { stream, endpoint: self.endpoint.clone() })
    }
}

/// Encoded messages, as they arrive.
pub struct RawStream<T: Transport> {
    stream: ServerStream<T::ResponseBody, EmptyView<'static>>,
    endpoint: Endpoint,
}

impl<T: Transport> RawStream<T>
where
    T::ResponseBody: Unpin,
{
    /// The next message; `None` after the last.
    ///
    /// # Errors
    /// Those of a call; the stream has ended then.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        let message = self.stream.message::<Empty>().await;
        let message = message.map_err(|error| ClientError::from_connect(error, &self.endpoint))?;
        Ok(message.map(|message| message.bytes().clone()))
    }
}

/// A message that knows none of its fields and so keeps all of them as they are.
fn message(mut encoded: &[u8]) -> Result<Empty, ClientError> {
    Empty::decode(&mut encoded).map_err(|error| ClientError::InvalidArgument {
        message: format!("it is no encoded message: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_sent_as_it_is() {
        // Field 1 "ada", field 2 = 300, field 3 a fixed64, field 4 empty, field 1 again.
        let encoded = b"\x0a\x03ada\x10\xac\x02\x19\x01\x02\x03\x04\x05\x06\x07\x08\x22\x00\x0a\x01b";
        assert_eq!(message(encoded).unwrap().encode_to_vec(), encoded);
        assert!(message(b"\x0a\xff").is_err());
    }
}
