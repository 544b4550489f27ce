//! The head of a request.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Version, header, request::Parts};

use crate::{
    Accepted, Encoding, Form, Protocol, ReadError,
    form::single,
    format_connect_timeout, format_grpc_timeout, parse_connect_timeout, parse_grpc_timeout,
    query::{self, Query},
};

/// What the head of a request says.
#[derive(Clone, Debug)]
pub struct Call {
    /// The protocol and codec.
    pub form: Form,
    /// The encoding of the body, or of the frames that are flagged as compressed.
    pub encoding: Encoding,
    /// The encodings in which the caller reads the answer.
    pub accepted: Accepted,
    /// How long the caller waits, from now on.
    pub timeout: Option<Duration>,
    /// The message of a GET, not yet decompressed.
    pub(crate) message: Option<Bytes>,
}

impl Call {
    /// Reads the method, version, query and headers of a request. The path is not looked at.
    ///
    /// # Errors
    /// [`ReadError`] for everything that the protocols do not define. What cannot be read is not passed on.
    pub fn read(request: &Parts) -> Result<Self, ReadError> {
        let form = Form::read(request)?;
        let headers = &request.headers;
        if form.protocol == Protocol::Grpc && request.version < Version::HTTP_2 {
            return Err(ReadError::HttpVersion(request.version));
        }
        let version = single(headers, "connect-protocol-version")?;
        if form.is_connect() && version.is_some_and(|version| version != "1") {
            return Err(ReadError::Header {
                name: "connect-protocol-version",
                problem: "is not 1".to_owned(),
            });
        }
        let (message, encoding) = match form.protocol {
            Protocol::ConnectGet => {
                let Query { message, encoding } = query::read(request.uri.query().unwrap_or_default())?;
                (Some(message), encoding)
            }
            protocol => {
                if protocol.is_framed() {
                    // HTTP's own encoding of a body of frames: no implementation writes it, and few read it.
                    encoding(headers, "content-encoding", "accept-encoding", true)?;
                }
                (
                    None,
                    encoding(headers, protocol.encoding_header(), protocol.accept_encoding_header(), false)?,
                )
            }
        };
        let name = form.protocol.timeout_header();
        let timeout = match single(headers, name)? {
            None => None,
            Some(text) => {
                let read = if form.is_connect() { parse_connect_timeout } else { parse_grpc_timeout };
                Some(read(text).map_err(|error| ReadError::Header {
                    name,
                    problem: format!("is not a time limit: {text:?} {error}"),
                })?)
            }
        };
        let accepted = Accepted::read(form.protocol, headers);
        Ok(Self { form, encoding, accepted, timeout, message })
    }

    /// The headers of the same request for the upstream, in the form of [`Form::upstream`] and without compression.
    /// `accepted` has the encodings in which the answer is wanted, `timeout` is what is left of the deadline.
    #[must_use]
    pub fn upstream_headers(&self, accepted: Accepted, timeout: Option<Duration>) -> HeaderMap {
        let form = self.form.upstream();
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
        headers.insert(form.protocol.accept_encoding_header(), HeaderValue::from_static(accepted.value()));
        if form.is_connect() {
            headers.insert("connect-protocol-version", HeaderValue::from_static("1"));
        }
        if form.protocol == Protocol::Grpc {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
        }
        if let Some(timeout) = timeout {
            let write = if form.is_connect() { format_connect_timeout } else { format_grpc_timeout };
            if let Ok(value) = HeaderValue::from_str(&write(timeout)) {
                headers.insert(form.protocol.timeout_header(), value);
            }
        }
        headers
    }
}

/// The encoding that a header names. Without the header, it is identity.
fn encoding(
    headers: &HeaderMap,
    name: &'static str,
    accept: &'static str,
    only_identity: bool,
) -> Result<Encoding, ReadError> {
    let value = single(headers, name)?.unwrap_or_default();
    Encoding::from_name(value)
        .filter(|encoding| !only_identity || *encoding == Encoding::Identity)
        .ok_or_else(|| ReadError::Encoding { place: name, encoding: value.to_owned(), accept })
}
