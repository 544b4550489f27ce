//! Reads answers of the upstream.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header, response::Parts};
use serde::Deserialize;

use crate::{
    Accepted, AnswerError, Encoding, Form, Protocol, Refusal,
    buffer::Buffer,
    envelope::{COMPRESSED, Frames},
    error::{BodyError, Place},
    status,
};

/// What the body of an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerKind {
    /// One message without a frame.
    Unary,
    /// The JSON of an error of a unary Connect call.
    UnaryError,
    /// Frames.
    Stream,
    /// Nothing: the headers have the status of gRPC.
    TrailersOnly,
}

/// What the head of an answer says.
#[derive(Clone, Copy, Debug)]
pub struct AnswerHead {
    /// What the body is.
    pub kind: AnswerKind,
    /// The encoding of the body, or of the frames that are flagged as compressed.
    pub encoding: Encoding,
}

impl AnswerHead {
    /// Reads the head of an answer to a call of this [form at the upstream](Form::upstream).
    ///
    /// # Errors
    /// [`AnswerError`] for everything that is not an answer in the same protocol and codec, for example a page of a proxy.
    pub fn read(form: Form, accepted: Accepted, answer: &Parts) -> Result<Self, AnswerError> {
        let text = |name: &str| {
            let mut values = answer.headers.get_all(name).iter();
            match (values.next(), values.next()) {
                (None, _) => Some(""),
                (Some(value), None) => value.to_str().ok(),
                (Some(_), Some(_)) => None,
            }
        };
        let content_type = text(header::CONTENT_TYPE.as_str()).unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let not_ours = || AnswerError::Head { status: answer.status, content_type: media_type.clone() };
        let is_expected = media_type == form.content_type() || form.bare_twin() == Some(media_type.as_str());
        let kind = match form.protocol {
            Protocol::Connect | Protocol::ConnectGet => match answer.status {
                StatusCode::OK if is_expected => AnswerKind::Unary,
                StatusCode::OK => return Err(not_ours()),
                status if media_type == "application/json" && !status.is_redirection() => {
                    AnswerKind::UnaryError
                }
                _ => return Err(not_ours()),
            },
            _ if answer.status != StatusCode::OK || !is_expected => return Err(not_ours()),
            Protocol::Grpc | Protocol::GrpcWeb | Protocol::GrpcWebText
                if answer.headers.contains_key(status::STATUS) =>
            {
                AnswerKind::TrailersOnly
            }
            _ => AnswerKind::Stream,
        };
        let encoding = text(form.protocol.encoding_header())
            .and_then(Encoding::from_name)
            .filter(|encoding| accepted.contains(*encoding))
            .ok_or(AnswerError::Encoding)?;
        if form.protocol.is_framed() && !matches!(text("content-encoding"), Some("" | "identity")) {
            return Err(AnswerError::Encoding);
        }
        Ok(Self { kind, encoding })
    }
}

impl Form {
    /// The media type that leaves the codec out, or names it, where this form does the other.
    fn bare_twin(self) -> Option<&'static str> {
        let twin = Self { is_bare: !self.is_bare, ..self }.content_type();
        (twin != self.content_type()).then_some(twin)
    }
}

/// A part of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A message, decompressed.
    Message(Bytes),
    /// The content of the last frame, decompressed: the trailers of gRPC-Web, or the JSON that ends a Connect stream.
    End(Bytes),
    /// The body of a failed unary Connect call, decompressed: the JSON of an error.
    Error(Bytes),
}

/// Yields the messages of an answer's body.
#[derive(Debug)]
pub struct AnswerReader {
    protocol: Protocol,
    head: AnswerHead,
    limit: usize,
    body: Body,
    is_ended: bool,
    is_complete: bool,
    error: Option<AnswerError>,
}

#[derive(Debug)]
enum Body {
    Whole(Buffer),
    Framed(Frames),
    Taken,
}

impl AnswerReader {
    /// Reads an answer in the [form of the upstream](Form::upstream). A message has at most `limit` bytes, as it is sent and as
    /// it is decompressed.
    #[must_use]
    pub fn new(form: Form, head: AnswerHead, limit: usize) -> Self {
        let body = match head.kind {
            AnswerKind::Unary | AnswerKind::UnaryError => Body::Whole(Buffer::default()),
            AnswerKind::Stream => Body::Framed(Frames::new(limit)),
            AnswerKind::TrailersOnly => Body::Taken,
        };
        let is_complete = head.kind == AnswerKind::TrailersOnly;
        Self { protocol: form.protocol, head, limit, body, is_ended: false, is_complete, error: None }
    }

    fn fail(&mut self, error: AnswerError) -> AnswerError {
        self.error = Some(error.clone());
        error
    }

    /// Adds the next bytes of the body.
    ///
    /// # Errors
    /// [`AnswerError`].
    pub fn push(&mut self, bytes: Bytes) -> Result<(), AnswerError> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let limit = self.limit;
        let error = match &mut self.body {
            _ if self.is_complete => AnswerError::AfterEnd,
            Body::Whole(buffer) if buffer.len().saturating_add(bytes.len()) > limit => {
                AnswerError::Body { place: Place::Body, problem: BodyError::TooLarge { limit } }
            }
            Body::Whole(buffer) => {
                buffer.push(bytes);
                return Ok(());
            }
            Body::Framed(frames) => {
                frames.push(bytes);
                return Ok(());
            }
            Body::Taken => AnswerError::AfterEnd,
        };
        Err(self.fail(error))
    }

    /// Says that the body has ended, with these trailers.
    pub fn end(&mut self, trailers: Option<&HeaderMap>) {
        self.is_ended = true;
        if self.protocol == Protocol::Grpc {
            self.is_complete |= trailers.is_some_and(|trailers| trailers.contains_key(status::STATUS));
        }
    }

    /// The next part, if all of it is there. `None` after [`end`](Self::end): the answer is complete.
    ///
    /// # Errors
    /// [`AnswerError`].
    pub fn next_part(&mut self) -> Result<Option<Part>, AnswerError> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        let (payload, flags, place) = match &mut self.body {
            Body::Whole(buffer) if self.is_ended => {
                let length = buffer.len();
                let payload = buffer.take(length).unwrap_or_default();
                self.body = Body::Taken;
                self.is_complete = true;
                (payload, COMPRESSED, Place::Body)
            }
            Body::Whole(_) | Body::Taken => return Ok(None),
            Body::Framed(frames) => {
                let place = frames.place();
                match frames.next_frame() {
                    Ok(Some(_)) if self.is_complete && self.protocol != Protocol::Grpc => {
                        return Err(self.fail(AnswerError::AfterEnd));
                    }
                    Ok(Some(frame)) => (frame.payload, frame.flags, place),
                    Ok(None) if !self.is_ended => return Ok(None),
                    Ok(None) if !frames.is_at_boundary() => {
                        return Err(self.fail(AnswerError::Body { place, problem: BodyError::CutOff }));
                    }
                    Ok(None) if self.is_complete => return Ok(None),
                    Ok(None) => return Err(self.fail(AnswerError::NoEnd)),
                    Err(problem) => return Err(self.fail(AnswerError::Body { place, problem })),
                }
            }
        };
        let broken = |problem| AnswerError::Body { place, problem };
        let kind = if matches!(self.body, Body::Framed(_)) { flags & !COMPRESSED } else { 0 };
        let is_last = kind != 0 && self.protocol.end_flag() == Some(kind);
        if kind != 0 && !is_last {
            return Err(self.fail(broken(BodyError::Flags(flags))));
        }
        let is_compressed = flags & COMPRESSED != 0;
        if is_compressed && matches!(self.body, Body::Framed(_)) && self.head.encoding == Encoding::Identity {
            return Err(self.fail(broken(BodyError::NoEncoding)));
        }
        let encoding = if is_compressed { self.head.encoding } else { Encoding::Identity };
        let content = match encoding.inflate(payload, self.limit) {
            Ok(content) => content,
            Err(inflate) => return Err(self.fail(broken(inflate.at_limit(self.limit)))),
        };
        self.is_complete |= is_last;
        Ok(Some(match self.head.kind {
            AnswerKind::UnaryError => Part::Error(content),
            _ if is_last => Part::End(content),
            _ => Part::Message(content),
        }))
    }
}

/// The JSON at the end of a Connect stream.
#[derive(Deserialize)]
struct ConnectEnd {
    error: Option<serde_json::Value>,
}

impl Refusal {
    /// The error in the trailers of gRPC, or in the headers of an answer without a body. `Ok(None)` is success.
    ///
    /// # Errors
    /// [`AnswerError::NoEnd`] if they have no status.
    pub fn from_trailers(trailers: &HeaderMap) -> Result<Option<Self>, AnswerError> {
        status::read(trailers).map_err(|()| AnswerError::NoEnd)
    }

    /// The error in the [last frame](Part::End) of an answer. `Ok(None)` is success.
    ///
    /// # Errors
    /// [`AnswerError`] if it does not say how the call ended.
    pub fn from_end(form: Form, content: &[u8]) -> Result<Option<Self>, AnswerError> {
        let malformed = |what| AnswerError::Body { place: Place::End, problem: BodyError::Malformed(what) };
        if form.protocol != Protocol::ConnectStream {
            return Self::from_trailers(&status::parse_lines(content).ok_or(malformed("trailers"))?);
        }
        let end: ConnectEnd = serde_json::from_slice(content).map_err(|_| malformed("JSON"))?;
        end.error.map(|error| Self::from_json(&error).ok_or(malformed("JSON"))).transpose()
    }
}
