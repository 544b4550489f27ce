//! Calls of any method with encoded messages, for callers that do not have the message types.

use buffa::Message as _;
use buffa_types::google::protobuf::__buffa::view::EmptyView;
use buffa_types::google::protobuf::Empty;
use bytes::Bytes;
use connectrpc::client::{self, CallOptions, ClientConfig, ServerStream};
use connectrpc::{Spec, StreamType};
use flyte_config::Endpoint;
use flyte_idl::unary_encoded;

use crate::error::ClientError;
use crate::transport::Transport;

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

    /// Calls `procedure` (for example `/flyteidl2.task.TaskService/ListTasks`) with an encoded message, and returns the encoded
    /// answer. `options` has headers and limits for this call only.
    ///
    /// # Errors
    /// [`ClientError::InvalidArgument`] if the request is not an encoded message, and the errors of a call.
    pub async fn unary(
        &self,
        procedure: &'static str,
        request: &[u8],
        options: CallOptions,
    ) -> Result<Bytes, ClientError> {
        let spec = Spec::client(procedure, StreamType::Unary);
        message(request)?;
        let request = Bytes::copy_from_slice(request);
        let answer = unary_encoded(&self.transport, &self.config, spec, request, options).await;
        answer.map_err(|error| ClientError::from_connect(error, &self.endpoint))
    }

    /// Calls a `procedure` that returns a stream of messages.
    ///
    /// # Errors
    /// The errors of [`unary`](Self::unary).
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

/// A stream of encoded messages.
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
    /// The errors of a call. After an error, the stream has ended.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        let message = self.stream.message::<Empty>().await;
        let message = message.map_err(|error| ClientError::from_connect(error, &self.endpoint))?;
        Ok(message.map(|message| message.bytes().clone()))
    }
}

/// Decodes a message without fields, which keeps all fields as unknown ones.
fn message(mut encoded: &[u8]) -> Result<Empty, ClientError> {
    Empty::decode(&mut encoded).map_err(|error| ClientError::InvalidArgument {
        message: format!("it is not an encoded message: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_unchanged() {
        // Field 1 "ada", field 2 = 300, field 3 a fixed64, field 4 empty, field 1 again.
        let encoded = b"\x0a\x03ada\x10\xac\x02\x19\x01\x02\x03\x04\x05\x06\x07\x08\x22\x00\x0a\x01b";
        assert_eq!(message(encoded).unwrap().encode_to_vec(), encoded);
        assert!(message(b"\x0a\xff").is_err());
    }
}
