//! In which protocol and codec a call is.

use http::{HeaderMap, Method, header, request::Parts};

use crate::ReadError;

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Connect, unary by POST: the body is the message.
    Connect,
    /// Connect, unary by GET: the message is in the query.
    ConnectGet,
    /// Connect with envelopes, for streams in either direction.
    ConnectStream,
    /// gRPC over HTTP/2.
    Grpc,
    /// gRPC-Web: gRPC with its trailers in the last frame of the body.
    GrpcWeb,
    /// gRPC-Web with its body in base64.
    GrpcWebText,
}

impl Protocol {
    /// Whether bodies consist of frames.
    #[must_use]
    pub fn is_framed(self) -> bool {
        !matches!(self, Self::Connect | Self::ConnectGet)
    }

    /// The header that names the encoding of bodies or frames.
    #[must_use]
    pub fn encoding_header(self) -> &'static str {
        match self {
            Self::Connect | Self::ConnectGet => "content-encoding",
            Self::ConnectStream => "connect-content-encoding",
            Self::Grpc | Self::GrpcWeb | Self::GrpcWebText => "grpc-encoding",
        }
    }

    /// The header that names the encodings that the sender can read.
    #[must_use]
    pub fn accept_encoding_header(self) -> &'static str {
        match self {
            Self::Connect | Self::ConnectGet => "accept-encoding",
            Self::ConnectStream => "connect-accept-encoding",
            Self::Grpc | Self::GrpcWeb | Self::GrpcWebText => "grpc-accept-encoding",
        }
    }

    /// The header of the deadline.
    #[must_use]
    pub fn timeout_header(self) -> &'static str {
        match self {
            Self::Connect | Self::ConnectGet | Self::ConnectStream => "connect-timeout-ms",
            Self::Grpc | Self::GrpcWeb | Self::GrpcWebText => "grpc-timeout",
        }
    }

    /// The flag of the frame that ends a body, if the protocol has one.
    pub(crate) fn end_flag(self) -> Option<u8> {
        match self {
            Self::ConnectStream => Some(0b0000_0010),
            Self::GrpcWeb | Self::GrpcWebText => Some(0b1000_0000),
            Self::Connect | Self::ConnectGet | Self::Grpc => None,
        }
    }
}

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// The binary form of protobuf.
    Proto,
    /// Its JSON form.
    Json,
}

impl Codec {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Proto => "proto",
            Self::Json => "json",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Proto, Self::Json].into_iter().find(|codec| codec.name() == name)
    }
}

/// The protocol and codec of a call: what is needed to answer it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Form {
    /// The protocol.
    pub protocol: Protocol,
    /// The codec.
    pub codec: Codec,
    /// Whether the media type left the codec out, as in `application/grpc`. The answer then does the same.
    pub(crate) is_bare: bool,
}

/// The media types without a codec, which is `+proto` or `+json`.
const FRAMED: [(&str, Protocol); 3] = [
    ("application/grpc", Protocol::Grpc),
    ("application/grpc-web", Protocol::GrpcWeb),
    ("application/grpc-web-text", Protocol::GrpcWebText),
];

impl Form {
    /// A form whose media type names the codec.
    #[must_use]
    pub fn new(protocol: Protocol, codec: Codec) -> Self {
        Self { protocol, codec, is_bare: false }
    }

    /// The form of a request, by its method, its query and its `Content-Type`.
    ///
    /// # Errors
    /// [`ReadError`] if it is that of no protocol.
    pub fn read(request: &Parts) -> Result<Self, ReadError> {
        match request.method {
            Method::POST => Self::of_media_type(single(&request.headers, header::CONTENT_TYPE.as_str())?),
            Method::GET => {
                let codec = crate::query::codec(request.uri.query().unwrap_or_default())?;
                Ok(Self::new(Protocol::ConnectGet, codec))
            }
            _ => Err(ReadError::Method(request.method.clone())),
        }
    }

    /// The form in which to answer a request with an error, whatever is wrong with it.
    ///
    /// A request of no known form is answered as Connect answers unary calls: with an HTTP status that says the same as the
    /// code, and JSON.
    #[must_use]
    pub fn for_errors(request: &Parts) -> Self {
        Self::read(request).unwrap_or(Self::new(Protocol::Connect, Codec::Json))
    }

    fn of_media_type(content_type: Option<&str>) -> Result<Self, ReadError> {
        let content_type = content_type.unwrap_or_default();
        let unsupported = || ReadError::MediaType(content_type.to_owned());
        let mut parts = content_type.split(';');
        let name = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        for parameter in parts {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = value.trim().trim_matches('"');
            // All text in all protocols is UTF-8.
            if key.trim().eq_ignore_ascii_case("charset") && !value.eq_ignore_ascii_case("utf-8") {
                return Err(unsupported());
            }
        }
        let (family, codec) = match name.split_once('+') {
            Some((family, codec)) => (family, Some(Codec::from_name(codec).ok_or_else(unsupported)?)),
            None => (name.as_str(), None),
        };
        let form = match (family, codec) {
            ("application/proto", None) => Self::new(Protocol::Connect, Codec::Proto),
            ("application/json", None) => Self::new(Protocol::Connect, Codec::Json),
            ("application/connect", Some(codec)) => Self::new(Protocol::ConnectStream, codec),
            _ => {
                let (_, protocol) =
                    FRAMED.iter().find(|(known, _)| *known == family).ok_or_else(unsupported)?;
                Self { protocol: *protocol, codec: codec.unwrap_or(Codec::Proto), is_bare: codec.is_none() }
            }
        };
        Ok(form)
    }

    /// The `Content-Type` of answers in this form, and of requests if it is not [`Protocol::ConnectGet`].
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match (self.protocol, self.codec, self.is_bare) {
            (Protocol::Connect | Protocol::ConnectGet, Codec::Proto, _) => "application/proto",
            (Protocol::Connect | Protocol::ConnectGet, Codec::Json, _) => "application/json",
            (Protocol::ConnectStream, Codec::Proto, _) => "application/connect+proto",
            (Protocol::ConnectStream, Codec::Json, _) => "application/connect+json",
            (Protocol::Grpc, Codec::Proto, true) => "application/grpc",
            (Protocol::Grpc, Codec::Proto, false) => "application/grpc+proto",
            (Protocol::Grpc, Codec::Json, _) => "application/grpc+json",
            (Protocol::GrpcWeb, Codec::Proto, true) => "application/grpc-web",
            (Protocol::GrpcWeb, Codec::Proto, false) => "application/grpc-web+proto",
            (Protocol::GrpcWeb, Codec::Json, _) => "application/grpc-web+json",
            (Protocol::GrpcWebText, Codec::Proto, true) => "application/grpc-web-text",
            (Protocol::GrpcWebText, Codec::Proto, false) => "application/grpc-web-text+proto",
            (Protocol::GrpcWebText, Codec::Json, _) => "application/grpc-web-text+json",
        }
    }

    /// The form of the same call at the upstream.
    ///
    /// - A GET becomes a POST. The message is in no URL then, which servers log, and the upstream reads exactly the message that
    ///   was judged. Whether an RPC may be called by GET is for the caller of this crate to decide first: only those without side
    ///   effects may.
    /// - gRPC-Web-text becomes gRPC-Web. Few servers know the text form, the Flyte 2 backend does not, and the messages are the
    ///   same.
    #[must_use]
    pub fn upstream(self) -> Self {
        let protocol = match self.protocol {
            Protocol::ConnectGet => Protocol::Connect,
            Protocol::GrpcWebText => Protocol::GrpcWeb,
            protocol => protocol,
        };
        Self { protocol, ..self }
    }
}

/// The only value of a header.
///
/// # Errors
/// [`ReadError::Header`] if there are several, or if it is not visible ASCII.
pub(crate) fn single<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<Option<&'h str>, ReadError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(ReadError::Header { name, problem: "is there more than once".to_owned() });
    }
    match value.to_str() {
        Ok(value) => Ok(Some(value)),
        Err(_) => Err(ReadError::Header { name, problem: "has bytes that are not ASCII".to_owned() }),
    }
}
