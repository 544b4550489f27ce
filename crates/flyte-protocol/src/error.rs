//! What is wrong with a request or with an answer.

use http::{HeaderValue, Method, StatusCode, Version, header};

use crate::{Code, Encoding, Refusal};

/// Why a request cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Neither POST nor GET.
    #[error("RPCs are called by POST, or by GET in the Connect protocol; this is {0}")]
    Method(Method),
    /// The media type is that of no protocol.
    #[error(
        "the content type {0:?} is that of no RPC: use application/proto, application/json, \
         application/connect+proto, application/grpc or application/grpc-web"
    )]
    MediaType(String),
    /// gRPC needs HTTP/2.
    #[error("gRPC needs HTTP/2, and this is {0:?}: use HTTP/2, gRPC-Web or Connect")]
    HttpVersion(Version),
    /// A header cannot be as it is.
    #[error("the header {name} {problem}")]
    Header {
        /// Its name.
        name: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// A parameter of the query cannot be as it is.
    #[error("the query parameter {name} {problem}")]
    Query {
        /// Its name.
        name: &'static str,
        /// What is wrong.
        problem: &'static str,
    },
    /// An encoding that is not known here.
    #[error("{place} has the encoding {encoding:?}; known are {}", Encoding::NAMES)]
    Encoding {
        /// The header or parameter.
        place: &'static str,
        /// Its value.
        encoding: String,
        /// The header that says what is known.
        accept: &'static str,
    },
    /// The body does not match the protocol.
    #[error("{place} {problem}")]
    Body {
        /// The frame, or the body.
        place: Place,
        /// What is wrong.
        problem: BodyError,
    },
}

/// A part of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// All of it.
    Body,
    /// One frame, counted from 1.
    Frame(u64),
    /// The frame that ends it.
    End,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Body => f.write_str("the body"),
            Self::Frame(number) => write!(f, "frame {number} of the body"),
            Self::End => f.write_str("the last frame of the body"),
        }
    }
}

/// What is wrong with a body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is larger than the limit, compressed or not.
    #[error("is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// It ended too early.
    #[error("is cut off")]
    CutOff,
    /// A flag that is not defined.
    #[error("has the flags {0:#04x}, which are not defined")]
    Flags(u8),
    /// A frame that only a server sends.
    #[error("ends the stream, which only a server may do in this protocol")]
    End,
    /// The flag for compression, without an encoding.
    #[error("is compressed, but no header names the encoding")]
    NoEncoding,
    /// It is not in its encoding.
    #[error("is not well-formed {0}")]
    Malformed(&'static str),
    /// The body of a GET.
    #[error("is not allowed: a GET has its message in the query")]
    OfGet,
}

/// Why something could not be decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inflate {
    TooLarge,
    Malformed(Encoding),
}

impl Inflate {
    pub(crate) fn at_limit(self, limit: usize) -> BodyError {
        match self {
            Self::TooLarge => BodyError::TooLarge { limit },
            Self::Malformed(encoding) => BodyError::Malformed(encoding.name()),
        }
    }
}

impl ReadError {
    /// The code that says it.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Method(_) | Self::MediaType(_) | Self::HttpVersion(_) => Code::Unknown,
            Self::Header { .. } | Self::Query { .. } => Code::InvalidArgument,
            Self::Encoding { .. } => Code::Unimplemented,
            Self::Body { problem, .. } => match problem {
                BodyError::TooLarge { .. } => Code::ResourceExhausted,
                // As in gRPC's specification of compression.
                BodyError::NoEncoding => Code::Internal,
                BodyError::CutOff
                | BodyError::Flags(_)
                | BodyError::End
                | BodyError::Malformed(_)
                | BodyError::OfGet => Code::InvalidArgument,
            },
        }
    }
}

/// The media types of requests, for `Accept-Post`.
const ACCEPT_POST: &str = "application/proto, application/json, application/connect+proto, \
    application/connect+json, application/grpc, application/grpc+proto, application/grpc+json, application/grpc-web, \
    application/grpc-web+proto, application/grpc-web+json, application/grpc-web-text, application/grpc-web-text+proto, \
    application/grpc-web-text+json";

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Self {
        let mut refusal = Self::new(error.code(), error.to_string());
        match error {
            ReadError::Method(_) => {
                refusal.http_status = Some(StatusCode::METHOD_NOT_ALLOWED);
                refusal.headers.insert(header::ALLOW, HeaderValue::from_static("POST, GET"));
            }
            ReadError::MediaType(_) => {
                refusal.http_status = Some(StatusCode::UNSUPPORTED_MEDIA_TYPE);
                refusal.headers.insert("accept-post", HeaderValue::from_static(ACCEPT_POST));
            }
            ReadError::HttpVersion(_) => {
                refusal.http_status = Some(StatusCode::HTTP_VERSION_NOT_SUPPORTED);
            }
            ReadError::Encoding { accept, .. } => {
                refusal.headers.insert(accept, HeaderValue::from_static(Encoding::NAMES));
            }
            ReadError::Header { .. } | ReadError::Query { .. } | ReadError::Body { .. } => {}
        }
        refusal
    }
}

/// What is wrong with an answer of the upstream. Its text says nothing of the answer's content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The head is not one of the protocol: another status, or another media type, for example a page of a proxy.
    #[error("the backend answered with HTTP status {} and content type {content_type:?}", status.as_u16())]
    Head {
        /// The HTTP status.
        status: StatusCode,
        /// The media type.
        content_type: String,
    },
    /// An encoding that was not asked for.
    #[error("the backend answered in an encoding that was not asked for")]
    Encoding,
    /// A frame or body does not match the protocol.
    #[error("the backend's answer is broken: {place} {problem}")]
    Body {
        /// The frame, or the body.
        place: Place,
        /// What is wrong.
        problem: BodyError,
    },
    /// Bytes after the end marker.
    #[error("the backend's answer continues after its end")]
    AfterEnd,
    /// The body ended without the end marker of the protocol.
    #[error("the backend's answer ended too early")]
    NoEnd,
}

impl From<AnswerError> for Refusal {
    fn from(error: AnswerError) -> Self {
        let code = match &error {
            AnswerError::Head { status, .. } => Code::from_http_status(*status),
            // Clients repeat the call or subscribe again.
            AnswerError::NoEnd => Code::Unavailable,
            AnswerError::Body { problem: BodyError::CutOff, .. } => Code::Unavailable,
            AnswerError::Body { problem: BodyError::TooLarge { .. }, .. } => Code::ResourceExhausted,
            AnswerError::Encoding | AnswerError::Body { .. } | AnswerError::AfterEnd => Code::Internal,
        };
        // A backend that asks for credentials lacks a setting; the caller has signed in.
        let code = match code {
            Code::Unauthenticated | Code::PermissionDenied => Code::Internal,
            code => code,
        };
        Self::new(code, error.to_string())
    }
}
