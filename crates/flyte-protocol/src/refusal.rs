//! Errors, in the protocol of the caller.

use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    AnswerError, Code, Form, Protocol, envelope,
    error::{BodyError, Place},
    status, text,
};

/// A detail of an error: a message of protobuf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// The full name of the message's type.
    pub type_name: String,
    /// Its binary form.
    pub value: Bytes,
}

/// An error that a caller gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code.
    pub code: Code,
    /// What happened, for people.
    pub message: String,
    /// What programs can know about it.
    pub details: Vec<Detail>,
    /// Headers of the response, for example `WWW-Authenticate`.
    pub headers: Box<HeaderMap>,
    /// The HTTP status of a unary Connect response, if it is not that of the code.
    pub http_status: Option<StatusCode>,
}

/// How a response ends whose head has been sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The last bytes of the body.
    Frame(Bytes),
    /// The trailers.
    Trailers(HeaderMap),
    /// Only by breaking the connection or the stream of HTTP/2 off: a body without frames has no place for an error.
    Reset,
}

/// The error of a unary Connect response, or in the last frame of a Connect stream.
#[derive(Deserialize)]
struct ConnectError {
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    details: Vec<ConnectDetail>,
}

#[derive(Deserialize)]
struct ConnectDetail {
    #[serde(rename = "type")]
    type_name: String,
    #[serde(default)]
    value: String,
}

impl Refusal {
    /// An error without details.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            details: Vec::new(),
            headers: Box::default(),
            http_status: None,
        }
    }

    /// Adds a header of the response.
    #[must_use]
    pub fn with_header(mut self, name: http::HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// The JSON of Connect.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut error = Map::new();
        error.insert("code".to_owned(), json!(self.code.name()));
        if !self.message.is_empty() {
            error.insert("message".to_owned(), json!(self.message));
        }
        if !self.details.is_empty() {
            let details = self.details.iter().map(
                |detail| json!({"type": detail.type_name, "value": status::BASE64.encode(&detail.value)}),
            );
            error.insert("details".to_owned(), details.collect());
        }
        Value::Object(error)
    }

    /// Reads the JSON of Connect; `None` if it is not that of an error.
    #[must_use]
    pub fn from_json(json: &Value) -> Option<Self> {
        let error = ConnectError::deserialize(json).ok()?;
        let mut refusal = Self::new(Code::from_name(&error.code).unwrap_or(Code::Unknown), error.message);
        for ConnectDetail { type_name, value } in error.details {
            let value = status::BASE64.decode(value).ok()?.into();
            refusal.details.push(Detail { type_name, value });
        }
        Some(refusal)
    }

    /// Writes the status of gRPC in headers or trailers, in place of the one that they have.
    pub fn write_status(&self, headers: &mut HeaderMap) {
        status::write(self, headers);
    }

    /// The last frame of a Connect stream.
    fn end_stream(&self) -> Bytes {
        envelope::write(0b10, json!({"error": self.to_json()}).to_string().as_bytes())
    }

    /// The last frame of gRPC-Web.
    fn trailers_frame(&self, form: Form) -> Bytes {
        let mut trailers = HeaderMap::new();
        status::write(self, &mut trailers);
        form.trailers_frame(&trailers)
    }

    /// The whole response.
    ///
    /// - gRPC and gRPC-Web: HTTP status 200 and the error in the headers, without a body.
    /// - Connect, unary: the HTTP status of the code, and JSON.
    /// - Connect, streams: HTTP status 200, and one frame that ends the stream.
    #[must_use]
    pub fn response(&self, form: Form) -> Response<Bytes> {
        let mut headers = HeaderMap::clone(&self.headers);
        let (status, content_type, body) = match form.protocol {
            Protocol::Connect | Protocol::ConnectGet => {
                let status = self.http_status.unwrap_or_else(|| self.code.http_status());
                (status, "application/json", self.to_json().to_string().into())
            }
            Protocol::ConnectStream => (StatusCode::OK, form.content_type(), self.end_stream()),
            Protocol::Grpc | Protocol::GrpcWeb | Protocol::GrpcWebText => {
                status::write(self, &mut headers);
                (StatusCode::OK, form.content_type(), Bytes::new())
            }
        };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }

    /// The end of a response that has begun. The frame may only follow a whole frame.
    #[must_use]
    pub fn ending(&self, form: Form) -> Ending {
        match form.protocol {
            Protocol::Connect | Protocol::ConnectGet => Ending::Reset,
            Protocol::ConnectStream => Ending::Frame(self.end_stream()),
            Protocol::Grpc => {
                let mut trailers = HeaderMap::new();
                status::write(self, &mut trailers);
                Ending::Trailers(trailers)
            }
            Protocol::GrpcWeb | Protocol::GrpcWebText => {
                Ending::Frame(form.body_piece(self.trailers_frame(form)))
            }
        }
    }
}

impl Form {
    /// Whether this is one of the forms of Connect.
    pub(crate) fn is_connect(self) -> bool {
        matches!(self.protocol, Protocol::Connect | Protocol::ConnectGet | Protocol::ConnectStream)
    }

    /// A message as bytes of a body: in a frame, if the protocol has frames, without compression. For
    /// [`Protocol::GrpcWebText`], [`body_piece`](Self::body_piece) does the rest.
    #[must_use]
    pub fn frame(self, message: Bytes) -> Bytes {
        if self.protocol.is_framed() { envelope::write(0, &message) } else { message }
    }

    /// A piece of a body as it is sent: in base64 for [`Protocol::GrpcWebText`].
    #[must_use]
    pub fn body_piece(self, piece: Bytes) -> Bytes {
        if self.protocol == Protocol::GrpcWebText { text::encode(&piece) } else { piece }
    }

    /// The last frame of an answer with this [content](crate::Part::End), and with another error in place of its own. The metadata
    /// in it stays.
    ///
    /// # Errors
    /// [`AnswerError`] if the content cannot be read.
    pub fn end_frame(self, content: &[u8], error: Option<&Refusal>) -> Result<Bytes, AnswerError> {
        let malformed = |what| AnswerError::Body { place: Place::End, problem: BodyError::Malformed(what) };
        if self.protocol == Protocol::ConnectStream {
            let Some(error) = error else { return Ok(envelope::write(0b10, content)) };
            let mut end: Map<String, Value> =
                serde_json::from_slice(content).map_err(|_| malformed("JSON"))?;
            end.insert("error".to_owned(), error.to_json());
            return Ok(envelope::write(0b10, Value::Object(end).to_string().as_bytes()));
        }
        let mut trailers = status::parse_lines(content).ok_or(malformed("trailers"))?;
        if let Some(error) = error {
            status::write(error, &mut trailers);
        }
        Ok(self.trailers_frame(&trailers))
    }

    /// Trailers as the last frame of gRPC-Web, before [`body_piece`](Self::body_piece).
    #[must_use]
    pub fn trailers_frame(self, trailers: &HeaderMap) -> Bytes {
        let mut lines = Vec::new();
        for (name, value) in trailers {
            lines.extend_from_slice(name.as_str().as_bytes());
            lines.extend_from_slice(b": ");
            lines.extend_from_slice(value.as_bytes());
            lines.extend_from_slice(b"\r\n");
        }
        envelope::write(0b1000_0000, &lines)
    }
}
