//! Gathers what has arrived of a body.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};

/// How many bytes one piece has at most, unless it arrived as a larger one.
const MAX_PIECE: usize = 16 << 10;

/// A body in as few pieces as possible. A backend sends each message of a stream in a frame of its own, and each piece costs a chunk
/// or a frame on the way to the caller. This joins the pieces that are there already, and never waits for one.
#[derive(Debug)]
pub(crate) struct Gathered<B: Body> {
    body: B,
    /// What was read after the last piece and is not part of it.
    next: Option<Result<Frame<Bytes>, B::Error>>,
}

impl<B: Body> Gathered<B> {
    pub(crate) fn new(body: B) -> Self {
        Self { body, next: None }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Gathered<B>
where
    B::Error: Unpin,
{
    /// The next piece that is there and fits. Keeps what is not one for later.
    fn more(&mut self, cx: &mut Context<'_>, room: usize) -> Option<Bytes> {
        let Poll::Ready(Some(frame)) = Pin::new(&mut self.body).poll_frame(cx) else { return None };
        let data = frame.map(Frame::into_data);
        self.next = match data {
            Ok(Ok(data)) if data.len() <= room => return Some(data),
            Ok(Ok(data)) => Some(Ok(Frame::data(data))),
            Ok(Err(other)) => Some(Ok(other)),
            Err(error) => Some(Err(error)),
        };
        None
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Gathered<B>
where
    B::Error: Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = match self.next.take() {
            Some(frame) => Some(frame),
            None => ready!(Pin::new(&mut self.body).poll_frame(cx)),
        };
        let first = match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => data,
                Err(other) => return Poll::Ready(Some(Ok(other))),
            },
            other => return Poll::Ready(other),
        };
        let room = MAX_PIECE.saturating_sub(first.len());
        if room == 0 || self.body.is_end_stream() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let Some(second) = self.more(cx, room) else { return Poll::Ready(Some(Ok(Frame::data(first)))) };
        let mut piece = BytesMut::with_capacity(MAX_PIECE);
        piece.extend_from_slice(&first);
        piece.extend_from_slice(&second);
        while let Some(data) = self.more(cx, MAX_PIECE.saturating_sub(piece.len())) {
            piece.extend_from_slice(&data);
        }
        Poll::Ready(Some(Ok(Frame::data(piece.freeze()))))
    }

    fn is_end_stream(&self) -> bool {
        self.next.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.next.is_none() { self.body.size_hint() } else { SizeHint::default() }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{FutureExt as _, StreamExt as _, stream};
    use http::HeaderMap;
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    fn data(length: usize) -> Result<Frame<Bytes>, Infallible> {
        Ok(Frame::data(Bytes::from(vec![b'a'; length])))
    }

    #[test]
    fn what_is_there_is_one_piece() {
        let trailers = || Ok(Frame::trailers(HeaderMap::new()));
        for (arrived, expected) in [
            (vec![data(3), data(4), data(0), data(5)], vec![12]),
            (vec![data(3), trailers()], vec![3, 0]),
            (vec![data(3), data(4), trailers()], vec![7, 0]),
            (vec![trailers()], vec![0]),
            // What is large is not copied, and nothing is joined beyond the limit.
            (vec![data(MAX_PIECE + 1), data(1)], vec![MAX_PIECE + 1, 1]),
            (vec![data(1), data(MAX_PIECE - 1), data(2)], vec![MAX_PIECE, 2]),
            (vec![data(1), data(MAX_PIECE), data(2)], vec![1, MAX_PIECE, 2]),
        ] {
            let mut body = Gathered::new(StreamBody::new(stream::iter(arrived)));
            let mut lengths = Vec::new();
            while let Some(Some(Ok(frame))) = body.frame().now_or_never() {
                lengths.push(frame.into_data().map_or(0, |data| data.len()));
            }
            assert_eq!(lengths, expected);
        }
    }

    #[test]
    fn nothing_waits_for_more() {
        let arrived = stream::iter([data(1), data(2)]).chain(stream::pending());
        let mut body = Gathered::new(StreamBody::new(arrived));
        let piece = body.frame().now_or_never().unwrap().unwrap().unwrap().into_data().unwrap();
        assert_eq!(piece.len(), 3);
        assert!(body.frame().now_or_never().is_none());
    }

    #[test]
    fn an_error_comes_after_what_arrived_before_it() {
        let arrived = [Ok(Frame::data(Bytes::from("a"))), Err("broken"), Ok(Frame::data(Bytes::from("b")))];
        let mut body = Gathered::new(StreamBody::new(stream::iter(arrived)));
        let mut next = || body.frame().now_or_never().unwrap().unwrap();
        assert_eq!(next().unwrap().into_data().unwrap(), "a");
        assert_eq!(next().unwrap_err(), "broken");
    }
}
