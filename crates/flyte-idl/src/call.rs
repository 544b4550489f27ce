//! Unary calls, compiled once for all methods.
//!
//! `connectrpc::client::call_unary` is generic over the request and the response, and each instance compiles the protocol
//! again: several hundred lines for each of some forty methods. The clients in this crate therefore encode the request first,
//! make one call whose messages are opaque bytes, and decode the response last.

use buffa::{
    DecodeContext, DecodeError, DecodeOptions, EncodeError, EncodeSink, Message, MessageView, SizeCache,
    UnknownFields,
    encoding::{Tag, decode_unknown_field},
};
use bytes::{Buf, Bytes};
use connectrpc::{
    ConnectError, ErrorCode, Spec,
    client::{CallOptions, ClientConfig, ClientTransport, call_unary},
    http_body::Body,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use crate::wire::WireMessage;

/// The binary encoding of a message of any type.
///
/// As a message, it encodes to its bytes and decodes from any bytes, without looking at them. It has no JSON form.
#[derive(Clone, Debug, Default, PartialEq)]
struct Encoded(Bytes);

buffa::impl_default_instance!(Encoded);

impl Message for Encoded {
    fn compute_size(&self, _cache: &mut SizeCache) -> u32 {
        buffa::saturate_size(self.0.len() as u64)
    }

    fn write_to(&self, _cache: &mut SizeCache, sink: &mut impl EncodeSink) {
        sink.put_slice(&self.0);
    }

    fn encode_to_bytes(&self) -> Bytes {
        self.0.clone()
    }

    fn merge_field(
        &mut self,
        tag: Tag,
        encoded: &mut impl Buf,
        context: DecodeContext<'_>,
    ) -> Result<(), DecodeError> {
        let mut field = UnknownFields::default();
        field.push(decode_unknown_field(tag, encoded, context)?);
        let mut all = self.0.to_vec();
        field.write_to(&mut all);
        self.0 = all.into();
        Ok(())
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

impl Serialize for Encoded {
    fn serialize<S: Serializer>(&self, _serializer: S) -> Result<S::Ok, S::Error> {
        Err(ser::Error::custom("an encoded message has no JSON form"))
    }
}

impl<'de> Deserialize<'de> for Encoded {
    fn deserialize<D: Deserializer<'de>>(_deserializer: D) -> Result<Self, D::Error> {
        Err(de::Error::custom("an encoded message has no JSON form"))
    }
}

/// The place of a view of [`Encoded`]; the bytes are those of the `buffa::OwnedView` around it.
#[derive(Debug, Default)]
struct EncodedView;

impl<'a> MessageView<'a> for EncodedView {
    type Owned = Encoded;

    fn decode_view(_encoded: &'a [u8]) -> Result<Self, DecodeError> {
        Ok(Self)
    }

    fn merge_into_view(
        &mut self,
        _encoded: &'a [u8],
        _context: DecodeContext<'_>,
    ) -> Result<(), DecodeError> {
        Ok(())
    }

    fn merge_view_field(
        &mut self,
        tag: Tag,
        mut rest: &'a [u8],
        _with_tag: &'a [u8],
        context: DecodeContext<'_>,
    ) -> Result<&'a [u8], DecodeError> {
        decode_unknown_field(tag, &mut rest, context)?;
        Ok(rest)
    }

    fn to_owned_message(&self) -> Result<Encoded, DecodeError> {
        Ok(Encoded::default())
    }

    fn to_owned_from_source(&self, source: Option<&Bytes>) -> Result<Encoded, DecodeError> {
        Ok(Encoded(source.cloned().unwrap_or_default()))
    }
}

/// The response of a unary call.
#[derive(Debug)]
pub struct UnaryResponse<M>(M);

impl<M> UnaryResponse<M> {
    /// The message.
    #[must_use]
    pub fn into_owned(self) -> M {
        self.0
    }
}

/// Calls the method of `spec` with an encoded request, and returns the encoded response.
///
/// # Errors
/// The errors of the transport and of the server.
pub async fn unary_encoded<T>(
    transport: &T,
    config: &ClientConfig,
    spec: Spec,
    request: Bytes,
    options: CallOptions,
) -> Result<Bytes, ConnectError>
where
    T: ClientTransport,
    <T::ResponseBody as Body>::Error: std::fmt::Display,
{
    let response =
        call_unary::<_, _, EncodedView>(transport, config, spec, Encoded(request), options).await?;
    Ok(response.into_view().into_bytes())
}

/// Calls the method of `spec`: what each method of the generated clients does.
pub(crate) async fn unary<T, I, O>(
    transport: &T,
    config: &ClientConfig,
    spec: Spec,
    request: I,
) -> Result<UnaryResponse<O>, ConnectError>
where
    T: ClientTransport,
    <T::ResponseBody as Body>::Error: std::fmt::Display,
    I: WireMessage,
    O: WireMessage,
{
    let request = request.try_to_wire().map_err(unsendable)?;
    let response = unary_encoded(transport, config, spec, request, CallOptions::default()).await?;
    let mut options = DecodeOptions::new();
    if let Some(limit) = config.default_element_memory_limit() {
        options = options.with_element_memory_limit(limit);
    }
    O::from_wire(&response, &options).map(UnaryResponse).map_err(unreadable)
}

fn unsendable(error: EncodeError) -> ConnectError {
    ConnectError::new(ErrorCode::ResourceExhausted, format!("failed to encode request: {error}"))
}

/// The codes are those of `call_unary`.
fn unreadable(error: DecodeError) -> ConnectError {
    let code = match error {
        DecodeError::ElementMemoryLimitExceeded => ErrorCode::ResourceExhausted,
        _ => ErrorCode::Internal,
    };
    ConnectError::new(code, format!("failed to decode response: {error}"))
}

#[cfg(test)]
mod tests {
    use buffa::OwnedView;

    use super::*;
    use crate::flyteidl2::project::Project;

    fn project() -> Project {
        Project { id: "flyte".into(), name: "Flyte".into(), ..Project::default() }
    }

    #[test]
    fn an_encoded_message_keeps_its_bytes() {
        let encoded = Encoded(project().try_to_wire().unwrap());
        assert_eq!(encoded.encode_to_bytes(), encoded.0);
        assert_eq!(encoded.encode_to_vec(), encoded.0);
        assert_eq!(Encoded::decode_from_slice(&encoded.0).unwrap(), encoded);
        let view = OwnedView::<EncodedView>::decode(encoded.0.clone()).unwrap();
        assert_eq!(view.to_owned_message(), encoded);
        assert_eq!(view.into_bytes(), encoded.0);
        assert!(serde_json::to_string(&encoded).is_err());
    }

    #[test]
    fn errors_have_the_codes_of_connectrpc() {
        let wrong = Project::from_wire(b"\x0a\x05ab", &DecodeOptions::new()).unwrap_err();
        assert_eq!(unreadable(wrong).code, ErrorCode::Internal);
        assert_eq!(unreadable(DecodeError::ElementMemoryLimitExceeded).code, ErrorCode::ResourceExhausted);
    }
}
