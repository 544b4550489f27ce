//! The body of a backend's answer, over either version of HTTP.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::Frame;

use super::{UpstreamError, address::Call, http1, http2};

/// The body of an answer. Dropping it before its end cancels the call at the backend.
#[derive(Debug)]
pub(crate) struct Answer {
    body: Kind,
    call: Call,
}

#[derive(Debug)]
enum Kind {
    Http1(http1::Answer),
    Http2(http2::Answer),
}

impl Answer {
    pub(super) fn http1(body: http1::Answer, call: Call) -> Self {
        Self { body: Kind::Http1(body), call }
    }

    pub(super) fn http2(body: http2::Answer, call: Call) -> Self {
        Self { body: Kind::Http2(body), call }
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        let frame = match &mut self.body {
            Kind::Http1(body) => Pin::new(body).poll_frame(cx),
            Kind::Http2(body) => Pin::new(body).poll_frame(cx),
        };
        if let Poll::Ready(Some(Err(error))) = &frame
            && error.is_failure()
        {
            self.call.note_failure();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Kind::Http1(body) => body.is_end_stream(),
            Kind::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match &self.body {
            Kind::Http1(body) => body.size_hint(),
            Kind::Http2(body) => body.size_hint(),
        }
    }
}
