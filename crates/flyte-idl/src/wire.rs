//! The connection between generated messages and `connectrpc`.
//!
//! `connectrpc` passes requests and responses as views: structs that borrow from the received bytes. Generated views need
//! more code than the messages themselves, and most callers convert the view to a message immediately. This crate
//! therefore generates no views. [`Decoded`] implements the traits of a view for every message.

use std::{marker::PhantomData, ops::Deref};

use buffa::{
    DecodeContext, DecodeError, DecodeOptions, EncodeError, HasMessageView, Message, MessageName,
    MessageView, OwnedView, ViewReborrow, encoding::Tag,
};
use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

/// A message of `proto/` with non-generic methods to encode and decode it.
///
/// The methods of [`Message`] are generic over the buffer, so every crate that calls them compiles them again, together with
/// those of all nested messages. The methods of this trait are compiled once, in this crate.
pub trait WireMessage:
    Message + MessageName + Serialize + DeserializeOwned + HasMessageView<View<'static> = Decoded<'static, Self>>
{
    /// Encodes the message.
    ///
    /// # Errors
    /// [`EncodeError`] if the message is larger than 2 GiB.
    fn try_to_wire(&self) -> Result<Bytes, EncodeError>;

    /// Merges the fields of an encoded message into this one, within the limits of `context`.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are malformed or exceed a limit.
    fn merge_wire(&mut self, encoded: &[u8], context: DecodeContext<'_>) -> Result<(), DecodeError>;

    /// Decodes a message within the limits of `options`.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are malformed or exceed a limit.
    fn from_wire(encoded: &[u8], options: &DecodeOptions) -> Result<Self, DecodeError> {
        Ok(options.decode_view::<Decoded<'_, Self>>(encoded)?.message)
    }
}

/// Implements [`WireMessage`], the traits that `connectrpc` needs, and JSON for a generated message.
macro_rules! message {
    ($message:path) => {
        impl crate::wire::WireMessage for $message {
            fn try_to_wire(&self) -> Result<::bytes::Bytes, ::buffa::EncodeError> {
                ::buffa::Message::try_encode_to_bytes(self)
            }

            fn merge_wire(
                &mut self,
                mut encoded: &[u8],
                context: ::buffa::DecodeContext<'_>,
            ) -> Result<(), ::buffa::DecodeError> {
                ::buffa::Message::merge(self, &mut encoded, context)
            }
        }

        impl ::buffa::HasMessageView for $message {
            type View<'a> = crate::wire::Decoded<'a, Self>;
            type ViewHandle = crate::wire::Received<Self>;
        }

        impl ::serde::Serialize for $message {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                crate::json::serialize(self, serializer)
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $message {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::json::deserialize(deserializer)
            }
        }
    };
}
pub(crate) use message;

/// An owned message in the place of a borrowed view.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decoded<'a, M> {
    message: M,
    encoded: PhantomData<&'a [u8]>,
}

impl<M> Deref for Decoded<'_, M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.message
    }
}

impl<'a, M: WireMessage> MessageView<'a> for Decoded<'a, M> {
    type Owned = M;

    fn decode_view(encoded: &'a [u8]) -> Result<Self, DecodeError> {
        DecodeOptions::new().decode_view(encoded)
    }

    fn decode_view_with_ctx(encoded: &'a [u8], context: DecodeContext<'_>) -> Result<Self, DecodeError> {
        let mut view = Self::default();
        view.merge_into_view(encoded, context)?;
        Ok(view)
    }

    fn merge_into_view(&mut self, encoded: &'a [u8], context: DecodeContext<'_>) -> Result<(), DecodeError> {
        self.message.merge_wire(encoded, context)
    }

    fn merge_view_field(
        &mut self,
        tag: Tag,
        mut rest: &'a [u8],
        _with_tag: &'a [u8],
        context: DecodeContext<'_>,
    ) -> Result<&'a [u8], DecodeError> {
        self.message.merge_field(tag, &mut rest, context)?;
        Ok(rest)
    }

    fn to_owned_message(&self) -> Result<M, DecodeError> {
        Ok(self.message.clone())
    }
}

impl<M: WireMessage> ViewReborrow for Decoded<'static, M> {
    type Reborrowed<'b>
        = Decoded<'b, M>
    where
        M: 'b;

    fn reborrow<'b>(this: &'b Self) -> &'b Decoded<'b, M> {
        this
    }
}

/// A message of a stream and the bytes that it was decoded from.
pub struct Received<M: WireMessage>(OwnedView<Decoded<'static, M>>);

impl<M: WireMessage> From<OwnedView<Decoded<'static, M>>> for Received<M> {
    fn from(view: OwnedView<Decoded<'static, M>>) -> Self {
        Self(view)
    }
}

impl<M: WireMessage> AsRef<OwnedView<Decoded<'static, M>>> for Received<M> {
    fn as_ref(&self) -> &OwnedView<Decoded<'static, M>> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flyteidl2::project::{GetProjectRequest, Project};

    /// A request with an unknown field: number 100, text `later`.
    fn request() -> Vec<u8> {
        let mut encoded = GetProjectRequest { id: "flyte".into(), ..Default::default() }.encode_to_vec();
        encoded.extend(b"\xa2\x06\x05later");
        encoded
    }

    #[test]
    fn a_request_keeps_its_unknown_fields() {
        let body = Bytes::from(request());
        let view = OwnedView::<Decoded<'static, GetProjectRequest>>::decode(body.clone()).unwrap();
        let request =
            connectrpc::ServiceRequest::<GetProjectRequest>::from_parts(view.reborrow(), view.bytes());
        assert_eq!(request.id, "flyte");
        assert_eq!(request.bytes(), &body);
        assert_eq!(request.to_owned_message().try_to_wire().unwrap(), body);
    }

    #[test]
    fn a_message_of_a_stream_keeps_its_bytes() {
        let body = Bytes::from(request());
        let received = Received::from(OwnedView::decode(body.clone()).unwrap());
        let message = connectrpc::StreamMessage::<GetProjectRequest>::from_owned_view(received.0);
        assert_eq!((message.to_owned_message().id.as_str(), message.bytes()), ("flyte", &body));
    }

    #[test]
    fn limits_are_enforced() {
        let request = request();
        let read = |options: DecodeOptions| GetProjectRequest::from_wire(&request, &options);
        assert!(read(DecodeOptions::new()).is_ok());
        assert!(matches!(
            read(DecodeOptions::new().with_unknown_field_limit(0)),
            Err(DecodeError::UnknownFieldLimitExceeded)
        ));
        assert!(matches!(
            read(DecodeOptions::new().with_max_message_size(5)),
            Err(DecodeError::MessageTooLarge)
        ));
        let domains = b"\x1a\x00".repeat(1000);
        assert_eq!(Project::from_wire(&domains, &DecodeOptions::new()).unwrap().domains.len(), 1000);
        assert!(matches!(
            Project::from_wire(&domains, &DecodeOptions::new().with_element_memory_limit(1000)),
            Err(DecodeError::ElementMemoryLimitExceeded)
        ));
    }

    #[test]
    fn merging_each_field_equals_decoding_the_message() {
        let encoded = request();
        let (unknown, elements) = (std::cell::Cell::new(10), std::cell::Cell::new(1000));
        let context = DecodeContext::new(10, &unknown).with_element_memory(&elements);
        let mut view = Decoded::<GetProjectRequest>::default();
        let mut rest = &encoded[..];
        while !rest.is_empty() {
            let with_tag = rest;
            let tag = Tag::decode(&mut rest).unwrap();
            rest = view.merge_view_field(tag, rest, with_tag, context).unwrap();
        }
        assert_eq!(view, Decoded::decode_view(&encoded).unwrap());
    }

    #[test]
    fn malformed_bytes_are_rejected() {
        assert!(GetProjectRequest::from_wire(b"\x0a\x05ab", &DecodeOptions::new()).is_err());
    }
}
