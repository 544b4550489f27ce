//! Reads the body of a request.

use bytes::Bytes;

use crate::{
    Call, Encoding, Protocol, ReadError,
    buffer::Buffer,
    envelope::{COMPRESSED, Frames},
    error::{BodyError, Place},
    text,
};

/// Turns the body of a request into messages, decompressed.
///
/// Push what arrives, and take messages until there is none after each push: no more than one message beyond what was pushed
/// is held then. After an error, the reader yields nothing more.
#[derive(Debug)]
pub struct RequestReader {
    protocol: Protocol,
    encoding: Encoding,
    limit: usize,
    text: text::Decoder,
    body: Body,
    is_ended: bool,
    error: Option<ReadError>,
}

#[derive(Debug)]
enum Body {
    /// The whole body is a message.
    Whole(Buffer),
    /// The message is in the query; taken once.
    Query(Option<Bytes>),
    Framed(Frames),
    /// A message was taken, and there are no more.
    Taken,
}

impl RequestReader {
    /// Reads the body of `call`. A message has at most `limit` bytes, as it is sent and as it is decompressed.
    #[must_use]
    pub fn new(call: &Call, limit: usize) -> Self {
        let protocol = call.form.protocol;
        let body = match protocol {
            Protocol::Connect => Body::Whole(Buffer::default()),
            Protocol::ConnectGet => Body::Query(Some(call.message.clone().unwrap_or_default())),
            _ => Body::Framed(Frames::new(limit)),
        };
        Self {
            protocol,
            encoding: call.encoding,
            limit,
            text: text::Decoder::default(),
            body,
            is_ended: false,
            error: None,
        }
    }

    fn fail(&mut self, place: Place, problem: BodyError) -> ReadError {
        let error = ReadError::Body { place, problem };
        self.error = Some(error.clone());
        error
    }

    fn place(&self) -> Place {
        match &self.body {
            Body::Framed(frames) => frames.place(),
            _ => Place::Body,
        }
    }

    /// Adds the next bytes of the body.
    ///
    /// # Errors
    /// [`ReadError::Body`].
    pub fn push(&mut self, bytes: Bytes) -> Result<(), ReadError> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let limit = self.limit;
        let problem = match &mut self.body {
            Body::Whole(buffer) if buffer.len().saturating_add(bytes.len()) > limit => {
                BodyError::TooLarge { limit }
            }
            Body::Whole(buffer) => {
                buffer.push(bytes);
                return Ok(());
            }
            Body::Query(_) => BodyError::OfGet,
            Body::Framed(frames) if self.protocol == Protocol::GrpcWebText => match self.text.push(&bytes) {
                Ok(bytes) => {
                    frames.push(bytes);
                    return Ok(());
                }
                Err(text::NotBase64) => BodyError::Malformed("base64"),
            },
            Body::Framed(frames) => {
                frames.push(bytes);
                return Ok(());
            }
            Body::Taken if self.protocol == Protocol::ConnectGet => BodyError::OfGet,
            // Nothing comes after the end.
            Body::Taken => return Ok(()),
        };
        Err(self.fail(self.place(), problem))
    }

    /// Says that the body has ended.
    pub fn end(&mut self) {
        self.is_ended = true;
    }

    /// The next message, if all of it is there. `None` after [`end`](Self::end): there are no more.
    ///
    /// # Errors
    /// [`ReadError::Body`].
    pub fn next_message(&mut self) -> Result<Option<Bytes>, ReadError> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        let place = self.place();
        let (payload, is_compressed) = match &mut self.body {
            Body::Whole(buffer) if self.is_ended => {
                let length = buffer.len();
                (buffer.take(length).unwrap_or_default(), true)
            }
            Body::Query(message) => (message.take().unwrap_or_default(), true),
            Body::Whole(_) | Body::Taken => return Ok(None),
            Body::Framed(frames) => match frames.next_frame() {
                Ok(Some(frame)) => {
                    let is_compressed = frame.flags & COMPRESSED != 0;
                    let flags = frame.flags & !COMPRESSED;
                    if flags != 0 {
                        let is_end = self.protocol.end_flag() == Some(flags);
                        let problem = if is_end { BodyError::End } else { BodyError::Flags(frame.flags) };
                        return Err(self.fail(place, problem));
                    }
                    if is_compressed && self.encoding == Encoding::Identity {
                        return Err(self.fail(place, BodyError::NoEncoding));
                    }
                    (frame.payload, is_compressed)
                }
                Ok(None) if self.is_ended && !(frames.is_at_boundary() && self.text.is_at_boundary()) => {
                    return Err(self.fail(place, BodyError::CutOff));
                }
                Ok(None) => return Ok(None),
                Err(problem) => return Err(self.fail(place, problem)),
            },
        };
        if !matches!(self.body, Body::Framed(_)) {
            self.body = Body::Taken;
        }
        let encoding = if is_compressed { self.encoding } else { Encoding::Identity };
        match encoding.inflate(payload, self.limit) {
            Ok(message) => Ok(Some(message)),
            Err(inflate) => Err(self.fail(place, inflate.at_limit(self.limit))),
        }
    }
}
