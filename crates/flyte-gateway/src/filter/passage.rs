//! The body of an answer on its way to the caller.

use bytes::{Bytes, BytesMut};
use flyte_protocol::{
    AnswerError, AnswerHead, AnswerReader, Form, LastFrame, Part, Protocol, Refusal, Watch,
};
use http::HeaderMap;

use super::{Filter, Withheld};

/// Why the body of an answer is not passed on any more.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PassageError {
    /// The answer is broken.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// The caller may not see it.
    #[error(transparent)]
    Withheld(#[from] Withheld),
}

impl From<PassageError> for Refusal {
    fn from(error: PassageError) -> Self {
        match error {
            PassageError::Answer(error) => error.into(),
            PassageError::Withheld(withheld) => withheld.into(),
        }
    }
}

/// Passes the body of an answer on: as it is, or filtered.
#[derive(Debug)]
pub(crate) enum Passage {
    /// Passes bytes through and looks for the end marker.
    Whole(Watch, Option<Filter>),
    /// Passes bytes through, and reads the last frame.
    LastFrame(Box<LastFrame>, Form, Filter),
    /// Reads each message.
    Filtered(Box<Filtering>),
}

/// Reads and writes the messages of an answer.
#[derive(Debug)]
pub(crate) struct Filtering {
    reader: AnswerReader,
    filter: Filter,
    /// The form of the upstream.
    form: Form,
    /// Why nothing follows what was passed on.
    failure: Option<PassageError>,
}

/// The longest last frame, in bytes: trailers, or an error with its details.
const MAX_LAST_FRAME: usize = 1 << 20;

impl Passage {
    /// The passage of an answer in the [form of the upstream](Form::upstream). Messages that are read have at most `limit`
    /// bytes.
    pub(crate) fn new(form: Form, head: AnswerHead, filter: Option<Filter>, limit: usize) -> Self {
        match filter {
            Some(filter) if filter.reads_messages() => {
                let reader = AnswerReader::new(form, head, limit);
                Self::Filtered(Box::new(Filtering { reader, filter, form, failure: None }))
            }
            // The error of a stream is in its last frame, except in gRPC.
            Some(filter) if form.protocol.is_framed() && form.protocol != Protocol::Grpc => {
                Self::LastFrame(Box::new(LastFrame::new(form, &head, MAX_LAST_FRAME)), form, filter)
            }
            filter => Self::Whole(Watch::new(form, &head), filter),
        }
    }

    /// Whether messages are read and written again, so that the encoding and the length of a body change.
    pub(crate) fn rewrites(&self) -> bool {
        matches!(self, Self::Filtered(_))
    }

    /// Takes the next bytes, and returns what the caller gets of them, perhaps nothing.
    ///
    /// # Errors
    /// [`PassageError`].
    pub(crate) fn push(&mut self, bytes: Bytes) -> Result<Bytes, PassageError> {
        match self {
            Self::Whole(watch, _) => {
                watch.see(&bytes)?;
                Ok(bytes)
            }
            Self::LastFrame(last, ..) => Ok(last.push(bytes)?),
            Self::Filtered(filtering) => {
                filtering.reader.push(bytes)?;
                filtering.drain()
            }
        }
    }

    /// Looks at the trailers, and returns them as the caller sees them. Only those of gRPC are passed on.
    pub(crate) fn trailers(&mut self, trailers: HeaderMap) -> HeaderMap {
        let filter = match self {
            Self::Whole(watch, filter) => {
                watch.trailers(&trailers);
                filter.as_ref()
            }
            Self::LastFrame(_, _, filter) => Some(&*filter),
            Self::Filtered(filtering) => {
                filtering.reader.end(Some(&trailers));
                Some(&filtering.filter)
            }
        };
        match filter {
            Some(filter) => filter.trailers(trailers),
            None => trailers,
        }
    }

    /// Says that the body has ended, after the trailers, and returns the last bytes for the caller.
    ///
    /// # Errors
    /// [`PassageError`] if the answer is not complete, or is withheld.
    pub(crate) fn end(&mut self) -> Result<Bytes, PassageError> {
        match self {
            Self::Whole(watch, _) => Ok(watch.end().map(|()| Bytes::new())?),
            Self::LastFrame(last, form, filter) => Ok(filter.end_frame(*form, &last.end()?)?),
            Self::Filtered(filtering) => {
                filtering.reader.end(None);
                let mut output = BytesMut::new();
                filtering.drain_into(&mut output)?;
                Ok(output.freeze())
            }
        }
    }

    /// Why nothing follows what was passed on, if bytes arrived together with those that cannot pass.
    pub(crate) fn take_failure(&mut self) -> Option<PassageError> {
        match self {
            Self::Whole(..) | Self::LastFrame(..) => None,
            Self::Filtered(filtering) => filtering.failure.take(),
        }
    }

    /// Whether a frame may follow what was passed on.
    pub(crate) fn is_at_boundary(&self) -> bool {
        match self {
            Self::Whole(watch, _) => watch.is_at_boundary(),
            Self::LastFrame(last, ..) => last.is_at_boundary(),
            // Only whole frames are passed on.
            Self::Filtered(filtering) => filtering.form.protocol.is_framed(),
        }
    }
}

impl Filtering {
    fn drain(&mut self) -> Result<Bytes, PassageError> {
        let mut output = BytesMut::new();
        match self.drain_into(&mut output) {
            Err(error) if output.is_empty() => Err(error),
            // What has arrived before is passed on before the error.
            drained => {
                self.failure = drained.err();
                Ok(output.freeze())
            }
        }
    }

    fn drain_into(&mut self, output: &mut BytesMut) -> Result<(), PassageError> {
        while let Some(part) = self.reader.next_part()? {
            match part {
                Part::Message(message) => {
                    let filtered = self.filter.message(&message);
                    if let Some(message) = filtered.inspect_err(|error| {
                        tracing::error!(%error, "an answer is not passed on");
                    })? {
                        output.extend_from_slice(&self.form.frame(message.into()));
                    }
                }
                Part::End(end) => output.extend_from_slice(&self.filter.end_frame(self.form, &end)?),
                Part::Error(json) => output.extend_from_slice(&json),
            }
        }
        Ok(())
    }
}

impl Filter {
    /// The last frame as the caller sees it.
    fn end_frame(&self, form: Form, end: &[u8]) -> Result<Bytes, AnswerError> {
        let error = Refusal::from_end(form, end)?.map(|refusal| self.error(refusal));
        form.end_frame(end, error.as_ref())
    }

    /// The trailers of gRPC, or the headers of an answer without a body, as the caller sees them.
    pub(crate) fn trailers(&self, mut trailers: HeaderMap) -> HeaderMap {
        if let Ok(Some(refusal)) = Refusal::from_trailers(&trailers) {
            self.error(refusal).write_status(&mut trailers);
        }
        trailers
    }
}
