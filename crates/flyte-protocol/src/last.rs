//! The last frame of an answer that passes through.

use bytes::{Bytes, BytesMut};

use crate::{
    AnswerError, AnswerHead, Encoding, Form, Protocol,
    envelope::{self, COMPRESSED, HEAD},
    error::{BodyError, Place},
};

/// Passes the frames of a body on and keeps the last one, which has the error or the trailers of Connect streams and gRPC-Web.
///
/// Of the other frames, it holds no more than the head.
#[derive(Debug)]
pub struct LastFrame {
    protocol: Protocol,
    encoding: Encoding,
    limit: usize,
    /// What has come of a frame's head. It is held until it is known whether the frame is the last one.
    head: [u8; HEAD],
    head_length: usize,
    /// How much of the payload is missing.
    missing: usize,
    last: Option<(u8, BytesMut)>,
    is_complete: bool,
    number: u64,
}

impl LastFrame {
    /// Reads an answer in the [form of the upstream](Form::upstream). The last frame has at most `limit` bytes, as it is sent and
    /// as it is decompressed.
    #[must_use]
    pub fn new(form: Form, head: &AnswerHead, limit: usize) -> Self {
        Self {
            protocol: form.protocol,
            encoding: head.encoding,
            limit,
            head: [0; HEAD],
            head_length: 0,
            missing: 0,
            last: None,
            is_complete: false,
            number: 1,
        }
    }

    fn broken(&self, problem: BodyError) -> AnswerError {
        AnswerError::Body { place: Place::Frame(self.number), problem }
    }

    /// Takes the next bytes, and returns those that can be passed on: all that are known not to belong to the last frame.
    ///
    /// # Errors
    /// [`AnswerError`] for flags that are not defined and for bytes after the end.
    pub fn push(&mut self, bytes: Bytes) -> Result<Bytes, AnswerError> {
        let (held, held_length) = (self.head, self.head_length);
        let (mut at, mut passed) = (0, 0);
        while at < bytes.len() {
            let rest = &bytes[at..];
            if self.is_complete {
                return Err(AnswerError::AfterEnd);
            }
            if self.missing > 0 {
                let part = self.missing.min(rest.len());
                self.missing -= part;
                at += part;
                match &mut self.last {
                    Some((_, payload)) => {
                        payload.extend_from_slice(&rest[..part]);
                        self.is_complete = self.missing == 0;
                    }
                    None => passed = at,
                }
                continue;
            }
            let part = (HEAD - self.head_length).min(rest.len());
            self.head[self.head_length..self.head_length + part].copy_from_slice(&rest[..part]);
            self.head_length += part;
            at += part;
            if self.head_length < HEAD {
                break;
            }
            self.head_length = 0;
            let (flags, length) = envelope::head(self.head);
            let kind = flags & !COMPRESSED;
            self.missing = length;
            if kind == 0 {
                passed = at;
                self.number += 1;
            } else if self.protocol.end_flag() != Some(kind) {
                return Err(self.broken(BodyError::Flags(flags)));
            } else if length > self.limit {
                return Err(self.broken(BodyError::TooLarge { limit: self.limit }));
            } else {
                self.last = Some((flags, BytesMut::new()));
                self.is_complete = length == 0;
            }
        }
        // A head that was held is passed on with its rest.
        if held_length > 0 && passed > 0 {
            return Ok([&held[..held_length], &bytes[..passed]].concat().into());
        }
        Ok(bytes.slice(..passed))
    }

    /// Whether all that was passed on are whole frames.
    #[must_use]
    pub fn is_at_boundary(&self) -> bool {
        self.missing == 0 || self.last.is_some()
    }

    /// The content of the last frame, decompressed; at the end of the body.
    ///
    /// # Errors
    /// [`AnswerError::NoEnd`] if there was none, and if it cannot be decompressed.
    pub fn end(&mut self) -> Result<Bytes, AnswerError> {
        let (true, Some((flags, payload))) = (self.is_complete, self.last.take()) else {
            return Err(AnswerError::NoEnd);
        };
        let encoding = match (flags & COMPRESSED != 0, self.encoding) {
            (true, Encoding::Identity) => return Err(self.broken(BodyError::NoEncoding)),
            (true, encoding) => encoding,
            (false, _) => Encoding::Identity,
        };
        encoding
            .inflate(payload.freeze(), self.limit)
            .map_err(|inflate| self.broken(inflate.at_limit(self.limit)))
    }
}
