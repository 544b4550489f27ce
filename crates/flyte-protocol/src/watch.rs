//! Watches the body of an answer that passes through.

use http::HeaderMap;

use crate::{
    AnswerError, AnswerHead, AnswerKind, Form, Protocol,
    envelope::{self, HEAD},
    error::Place,
    status,
};

/// Follows the body of an answer from the upstream without holding any of it, and knows whether the end marker of the protocol
/// was seen: the last frame in Connect streams and gRPC-Web, the trailers in gRPC. A body without frames has no marker; its end
/// is that of HTTP.
#[derive(Debug)]
pub struct Watch {
    protocol: Protocol,
    kind: AnswerKind,
    /// What has come of a frame's head.
    head: [u8; HEAD],
    head_length: usize,
    /// How much of the payload is missing.
    missing: usize,
    is_last: bool,
    is_complete: bool,
    number: u64,
}

impl Watch {
    /// Watches an answer in the [form of the upstream](Form::upstream).
    #[must_use]
    pub fn new(form: Form, head: &AnswerHead) -> Self {
        Self {
            protocol: form.protocol,
            kind: head.kind,
            head: [0; HEAD],
            head_length: 0,
            missing: 0,
            is_last: false,
            is_complete: head.kind == AnswerKind::TrailersOnly,
            number: 1,
        }
    }

    /// Looks at the next bytes. They may be passed on if this is `Ok`.
    ///
    /// # Errors
    /// [`AnswerError`] for flags that are not defined and for bytes after the end.
    pub fn see(&mut self, mut bytes: &[u8]) -> Result<(), AnswerError> {
        if self.kind != AnswerKind::Stream {
            return match self.kind {
                AnswerKind::TrailersOnly if !bytes.is_empty() => Err(AnswerError::AfterEnd),
                _ => Ok(()),
            };
        }
        while !bytes.is_empty() {
            if self.is_complete {
                return Err(AnswerError::AfterEnd);
            }
            if self.missing == 0 {
                let part = (HEAD - self.head_length).min(bytes.len());
                self.head[self.head_length..self.head_length + part].copy_from_slice(&bytes[..part]);
                self.head_length += part;
                bytes = &bytes[part..];
                if self.head_length < HEAD {
                    return Ok(());
                }
                let (flags, length) = envelope::head(self.head);
                let flags_of_kind = flags & !envelope::COMPRESSED;
                self.is_last = flags_of_kind != 0 && self.protocol.end_flag() == Some(flags_of_kind);
                if flags_of_kind != 0 && !self.is_last {
                    return Err(AnswerError::Body {
                        place: Place::Frame(self.number),
                        problem: crate::error::BodyError::Flags(flags),
                    });
                }
                self.missing = length;
            }
            let part = self.missing.min(bytes.len());
            self.missing -= part;
            bytes = &bytes[part..];
            if self.missing == 0 {
                self.head_length = 0;
                self.number += 1;
                self.is_complete |= self.is_last;
            }
        }
        Ok(())
    }

    /// Looks at the trailers.
    pub fn trailers(&mut self, trailers: &HeaderMap) {
        if self.protocol == Protocol::Grpc && self.is_at_boundary() {
            self.is_complete |= trailers.contains_key(status::STATUS);
        }
    }

    /// Whether a frame may follow what was seen: all of it are whole frames.
    #[must_use]
    pub fn is_at_boundary(&self) -> bool {
        self.kind == AnswerKind::Stream && self.head_length == 0 && self.missing == 0
    }

    /// Decides at the end of the body, after the trailers.
    ///
    /// # Errors
    /// [`AnswerError::NoEnd`] if the end marker is missing. The caller must not see a clean end then.
    pub fn end(&self) -> Result<(), AnswerError> {
        match self.kind {
            AnswerKind::Unary | AnswerKind::UnaryError | AnswerKind::TrailersOnly => Ok(()),
            AnswerKind::Stream if self.is_complete => Ok(()),
            AnswerKind::Stream => Err(AnswerError::NoEnd),
        }
    }
}
