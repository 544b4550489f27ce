//! Answers of unary calls that are read to their end before the caller gets any of them.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use flyte_protocol::{
    AnswerError, AnswerHead, AnswerReader, BodyError, Form, Part, Place, Protocol, Refusal,
};
use http_body::Frame;
use http_body_util::BodyExt as _;

use crate::{
    refusal,
    upstream::{Answer, UpstreamError},
};

/// How many bytes an answer may have beside its message: its end, which can have details of an error.
const MAX_END: usize = 1 << 20;

/// The body of an answer.
pub(crate) enum Body {
    /// As it comes from the backend.
    Coming(Answer),
    /// That was read.
    Read(VecDeque<Frame<Bytes>>),
}

/// An answer that was read.
pub(crate) struct Whole {
    frames: VecDeque<Frame<Bytes>>,
    /// The messages in it. Unary answers have one, or none if they fail.
    pub(crate) messages: Vec<Bytes>,
    /// Whether the call has succeeded.
    pub(crate) is_success: bool,
}

impl Whole {
    /// Reads the body of an answer. Its message has at most `limit` bytes.
    ///
    /// # Errors
    /// The refusal that the caller gets if the answer breaks off, or is too large.
    pub(crate) async fn read(
        backend: &str,
        mut body: Answer,
        (form, head): (Form, AnswerHead),
        limit: usize,
    ) -> Result<Self, Refusal> {
        let form = form.upstream();
        let mut reader = AnswerReader::new(form, head, limit);
        let (mut frames, mut messages, mut is_success) = (VecDeque::new(), Vec::new(), true);
        let (mut length, mut trailers) = (0_usize, None);
        while let Some(frame) = body.frame().await {
            match frame.map_err(|error| refusal::of_upstream(backend, &error))?.into_data() {
                Ok(data) => {
                    length = length.saturating_add(data.len());
                    if length > limit.saturating_add(MAX_END) {
                        let problem = BodyError::TooLarge { limit };
                        return Err(AnswerError::Body { place: Place::Body, problem }.into());
                    }
                    reader.push(data.clone())?;
                    frames.push_back(Frame::data(data));
                }
                Err(frame) => trailers = frame.into_trailers().ok().or(trailers),
            }
        }
        reader.end(trailers.as_ref());
        while let Some(part) = reader.next_part()? {
            match part {
                Part::Message(message) => messages.push(message),
                Part::End(end) => is_success &= Refusal::from_end(form, &end)?.is_none(),
                Part::Error(_) => is_success = false,
            }
        }
        if let Some(trailers) = trailers {
            if form.protocol == Protocol::Grpc {
                is_success &= Refusal::from_trailers(&trailers)?.is_none();
            }
            frames.push_back(Frame::trailers(trailers));
        }
        Ok(Self { frames, messages, is_success })
    }

    /// The body, to be passed on.
    pub(crate) fn into_body(self) -> Body {
        Body::Read(self.frames)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        match self.get_mut() {
            Self::Coming(answer) => Pin::new(answer).poll_frame(cx),
            Self::Read(frames) => Poll::Ready(frames.pop_front().map(Ok)),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Coming(answer) => answer.is_end_stream(),
            Self::Read(frames) => frames.is_empty(),
        }
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match self {
            Self::Coming(answer) => answer.size_hint(),
            Self::Read(frames) => {
                let length = frames.iter().filter_map(Frame::data_ref).map(Bytes::len).sum::<usize>();
                http_body::SizeHint::with_exact(length as u64)
            }
        }
    }
}
