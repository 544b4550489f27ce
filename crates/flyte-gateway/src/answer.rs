//! The answer of the backend, on its way to the caller.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::response::Response;
use bytes::Bytes;
use flyte_protocol::{
    AnswerHead, AnswerKind, AnswerReader, Call, Code, Ending, Form, Part, Protocol, Refusal,
};
use http::{HeaderValue, StatusCode, header};
use http_body::Frame;
use http_body_util::BodyExt as _;
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    filter::{Filter, Passage},
    gather::Gathered,
    headers,
    interrupt::Interrupt,
    refusal,
    upstream::{Answer, UpstreamError},
    whole::{Body, Whole},
};

/// The largest error of a unary Connect call, in bytes. Its details may be large.
const MAX_ERROR: usize = 1 << 20;

/// An answer whose head is that of an RPC.
pub(crate) struct Received {
    parts: http::response::Parts,
    head: AnswerHead,
    body: Body,
    /// The messages, if the body was read.
    messages: Vec<Bytes>,
    is_success: bool,
}

impl Received {
    /// The message of a successful unary call, if the answer was read.
    pub(crate) fn message(&self) -> Option<&Bytes> {
        self.messages.first().filter(|_| self.is_success)
    }
}

/// Reads the head of an answer.
///
/// # Errors
/// The refusal that the caller gets if the backend's answer is none of its protocol.
pub(crate) fn receive(
    backend: &str,
    call: &Call,
    answer: http::Response<Answer>,
) -> Result<Received, Refusal> {
    let (parts, body) = answer.into_parts();
    let head = AnswerHead::read(call.form.upstream(), call.accepted, &parts).map_err(|error| {
        if parts.status == StatusCode::NOT_FOUND {
            return Refusal::new(Code::Unimplemented, "the backend does not have this RPC");
        }
        tracing::warn!(backend, %error, "a backend's answer is not that of an RPC");
        Refusal::from(error)
    })?;
    Ok(Received { parts, head, body: Body::Coming(body), messages: Vec::new(), is_success: false })
}

impl Received {
    /// Reads the answer of a unary call to its end. Its message has at most `limit` bytes. An error that is not in frames is left
    /// as it is.
    ///
    /// # Errors
    /// The refusal that the caller gets if the answer breaks off, or is too large.
    pub(crate) async fn read(mut self, backend: &str, form: Form, limit: usize) -> Result<Self, Refusal> {
        if matches!(self.head.kind, AnswerKind::UnaryError | AnswerKind::TrailersOnly) {
            return Ok(self);
        }
        if let Body::Coming(body) = self.body {
            let mut whole = Whole::read(backend, body, (form, self.head), limit).await?;
            self.messages = std::mem::take(&mut whole.messages);
            self.is_success = whole.is_success;
            self.body = whole.into_body();
        }
        Ok(self)
    }
}

/// Passes the answer on, as the caller may see it. Messages that are filtered have at most `limit` bytes.
///
/// # Errors
/// The refusal that the caller gets.
pub(crate) async fn pass(
    backend: &str,
    form: Form,
    received: Received,
    mut interrupt: Interrupt,
    slot: Option<OwnedSemaphorePermit>,
    filter: Option<Filter>,
    limit: usize,
) -> Result<Response, Refusal> {
    let is_decided = filter.as_ref().is_some_and(Filter::decides);
    let received = if is_decided {
        // Whether there is an answer decides the head of what the caller gets.
        let interrupted = std::future::poll_fn(|cx| interrupt.poll(cx));
        tokio::select! {
            biased;
            refusal = interrupted => return Err(refusal),
            read = Box::pin(received.read(backend, form, limit)) => read?,
        }
    } else {
        received
    };
    let Received { parts, head, body, messages, .. } = received;
    if let Some(filter) = &filter {
        messages.iter().try_for_each(|message| filter.check(message))?;
    }
    let mut headers = headers::forward_response(&parts.headers);
    if head.kind == AnswerKind::UnaryError {
        return Err(Box::pin(unary_error(backend, form, head, parts, body, interrupt, filter)).await);
    }
    if head.kind == AnswerKind::TrailersOnly {
        // Clients tell this from the head of a stream by its end.
        let status = match &filter {
            Some(filter) => filter.trailers(parts.headers),
            None => parts.headers,
        };
        let mut response = Response::new(axum::body::Body::empty());
        *response.headers_mut() = headers::forward_trailers(&status);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
        return Ok(response);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
    let passage = Passage::new(form.upstream(), head, filter, limit);
    if form.protocol.is_framed() || passage.rewrites() {
        headers.remove(header::CONTENT_LENGTH);
    }
    if passage.rewrites() {
        // Of the body. Frames say themselves whether they are compressed.
        headers.remove(header::CONTENT_ENCODING);
    }
    let body = Gathered::new(body);
    let passing =
        Passing { backend: backend.to_owned(), body, passage, form, interrupt, is_done: false, _slot: slot };
    let mut response = Response::new(axum::body::Body::new(passing));
    *response.headers_mut() = headers;
    Ok(response)
}

/// The error of a unary Connect call: read, and written again.
async fn unary_error(
    backend: &str,
    form: Form,
    head: AnswerHead,
    parts: http::response::Parts,
    mut body: Body,
    mut interrupt: Interrupt,
    filter: Option<Filter>,
) -> Refusal {
    let mut reader = AnswerReader::new(form.upstream(), head, MAX_ERROR);
    let read = async {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| refusal::of_upstream(backend, &error))?;
            if let Ok(data) = frame.into_data() {
                reader.push(data)?;
            }
        }
        reader.end(None);
        reader.next_part().map_err(Refusal::from)
    };
    let interrupted = std::future::poll_fn(|cx| interrupt.poll(cx));
    let part = tokio::select! {
        biased;
        refusal = interrupted => return refusal,
        part = read => part,
    };
    let json = match part {
        Ok(Some(Part::Error(json) | Part::Message(json) | Part::End(json))) => json,
        Ok(None) => Bytes::new(),
        Err(refusal) => return refusal,
    };
    let error = serde_json::from_slice(&json).ok().and_then(|json| Refusal::from_json(&json));
    match error {
        Some(error) => {
            let mut error = match filter {
                Some(filter) => filter.error(error),
                None => error,
            };
            // The metadata of the error.
            for (name, value) in &headers::forward_response(&parts.headers) {
                if name.as_str().starts_with("trailer-") {
                    error.headers.append(name.clone(), value.clone());
                }
            }
            error
        }
        None => {
            let status = parts.status;
            tracing::warn!(backend, %status, "a backend's answer is not that of an RPC");
            let content_type = "application/json".to_owned();
            flyte_protocol::AnswerError::Head { status, content_type }.into()
        }
    }
}

/// The body of an answer that passes through.
struct Passing {
    backend: String,
    body: Gathered<Body>,
    passage: Passage,
    form: Form,
    interrupt: Interrupt,
    is_done: bool,
    /// Held until the answer is complete, if the call counts as one until then.
    _slot: Option<OwnedSemaphorePermit>,
}

/// Breaks the answer off, because its protocol cannot say any more why it ends.
#[derive(Debug, thiserror::Error)]
#[error("the answer was broken off: {0}")]
struct BrokenOff(String);

type Polled = Poll<Option<Result<Frame<Bytes>, BrokenOff>>>;

impl Passing {
    /// Ends the answer with an error.
    fn end_with(&mut self, refusal: &Refusal) -> Polled {
        self.is_done = true;
        // Trailers may follow anything, a frame only a whole frame.
        let may_end = self.form.protocol == Protocol::Grpc || self.passage.is_at_boundary();
        let frame = match refusal.ending(self.form) {
            Ending::Frame(frame) if may_end => Ok(Frame::data(frame)),
            Ending::Trailers(trailers) if may_end => Ok(Frame::trailers(trailers)),
            Ending::Frame(_) | Ending::Trailers(_) | Ending::Reset => Err(BrokenOff(refusal.message.clone())),
        };
        tracing::debug!(backend = self.backend, code = refusal.code.name(), "an answer was ended early");
        Poll::Ready(Some(frame))
    }
}

impl http_body::Body for Passing {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        loop {
            if self.is_done {
                return Poll::Ready(None);
            }
            if let Poll::Ready(refusal) = self.interrupt.poll(cx) {
                return self.end_with(&refusal);
            }
            if let Some(error) = self.passage.take_failure() {
                return self.end_with(&error.into());
            }
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => {
                    let refusal = refusal::of_upstream(&self.backend, &error);
                    return self.end_with(&refusal);
                }
                None => match self.passage.end() {
                    Ok(rest) => {
                        self.is_done = true;
                        let rest = (!rest.is_empty()).then(|| Ok(Frame::data(self.form.body_piece(rest))));
                        return Poll::Ready(rest);
                    }
                    Err(error) => {
                        tracing::warn!(backend = self.backend, %error, "a backend broke an answer off");
                        return self.end_with(&error.into());
                    }
                },
            };
            match frame.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => match self.passage.push(data) {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => return Poll::Ready(Some(Ok(Frame::data(self.form.body_piece(data))))),
                    Err(error) => {
                        tracing::warn!(backend = self.backend, %error, "a backend's answer is broken");
                        return self.end_with(&error.into());
                    }
                },
                Err(frame) => {
                    let Ok(trailers) = frame.into_trailers() else { continue };
                    let trailers = self.passage.trailers(trailers);
                    // Only gRPC has trailers; what others send there says nothing.
                    if self.form.protocol == Protocol::Grpc && self.passage.end().is_ok() {
                        self.is_done = true;
                        let trailers = headers::forward_trailers(&trailers);
                        return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        // Only an end that HTTP alone decides can be known before it is read.
        self.is_done
            || (!self.form.protocol.is_framed() && !self.passage.rewrites() && self.body.is_end_stream())
    }

    fn size_hint(&self) -> http_body::SizeHint {
        if self.form.protocol.is_framed() || self.passage.rewrites() {
            http_body::SizeHint::default()
        } else {
            self.body.size_hint()
        }
    }
}

/// The refusal if a backend answers in time, but not to the end.
pub(crate) fn broken(backend: &str, error: &UpstreamError) -> Refusal {
    match error {
        UpstreamError::RequestEnded => Refusal::new(Code::Canceled, error.to_string()),
        error => refusal::of_upstream(backend, error),
    }
}
