//! Bytes that were pushed and not yet taken.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes, BytesMut};

/// Shorter pieces are copied together, in bytes. A peer that sends single bytes would otherwise make each of them hold a piece of
/// its own, and the buffer that it was read into.
const SHORT: usize = 4 << 10;

/// A queue of bytes. What lies in one long piece is taken without a copy.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    pieces: VecDeque<Bytes>,
    /// What follows the pieces.
    tail: BytesMut,
    length: usize,
}

impl Buffer {
    pub(crate) fn push(&mut self, piece: Bytes) {
        self.length += piece.len();
        if piece.len() < SHORT {
            self.tail.extend_from_slice(&piece);
        } else {
            self.flush();
            self.pieces.push_back(piece);
        }
    }

    fn flush(&mut self) {
        if !self.tail.is_empty() {
            self.pieces.push_back(self.tail.split().freeze());
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Takes the next `length` bytes, if there are so many.
    pub(crate) fn take(&mut self, length: usize) -> Option<Bytes> {
        if length > self.length {
            return None;
        }
        self.length -= length;
        if self.pieces.is_empty() {
            return Some(self.tail.split_to(length).freeze());
        }
        if self.pieces.front().is_some_and(|first| first.len() == length) {
            return self.pieces.pop_front();
        }
        if let Some(first) = self.pieces.front_mut().filter(|first| first.len() > length) {
            return Some(first.split_to(length));
        }
        let mut taken = BytesMut::with_capacity(length);
        while taken.len() < length {
            let Some(piece) = self.pieces.front_mut() else {
                taken.extend_from_slice(&self.tail.split_to(length - taken.len()));
                break;
            };
            let part = piece.len().min(length - taken.len());
            taken.extend_from_slice(&piece[..part]);
            piece.advance(part);
            if piece.is_empty() {
                self.pieces.pop_front();
            }
        }
        Some(taken.freeze())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_come_out_as_they_went_in(
            steps in prop::collection::vec((prop_oneof![0_usize..10, 4000..5000_usize], 0_usize..9000), 1..30),
        ) {
            let (mut buffer, mut expected, mut next) = (Buffer::default(), VecDeque::<u8>::new(), 0_u8);
            for (pushed, taken) in steps {
                let piece: Vec<u8> = (0..pushed).map(|_| { next = next.wrapping_add(1); next }).collect();
                expected.extend(&piece);
                buffer.push(piece.into());
                prop_assert_eq!(buffer.len(), expected.len());
                let got = buffer.take(taken);
                prop_assert_eq!(got.is_some(), taken <= expected.len());
                if let Some(got) = got {
                    prop_assert_eq!(&got[..], &expected.drain(..taken).collect::<Vec<_>>()[..]);
                }
                prop_assert_eq!(buffer.is_empty(), expected.is_empty());
            }
        }
    }

    #[test]
    fn single_bytes_hold_no_pieces() {
        let mut buffer = Buffer::default();
        for _ in 0..100_000 {
            buffer.push(Bytes::from_static(b"x"));
        }
        assert_eq!(buffer.pieces.len(), 0);
        assert_eq!(buffer.take(100_000).map(|taken| taken.len()), Some(100_000));
    }
}
