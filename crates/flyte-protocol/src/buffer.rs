//! Bytes that were pushed and not yet taken.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes, BytesMut};

/// A queue of bytes. What lies in one piece is taken without a copy.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    pieces: VecDeque<Bytes>,
    length: usize,
}

impl Buffer {
    pub(crate) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.length += piece.len();
            self.pieces.push_back(piece);
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
        let Some(first) = self.pieces.front_mut() else { return Some(Bytes::new()) };
        if first.len() > length {
            return Some(first.split_to(length));
        }
        if first.len() == length {
            return self.pieces.pop_front();
        }
        let mut taken = BytesMut::with_capacity(length);
        while taken.len() < length {
            let Some(piece) = self.pieces.front_mut() else { break };
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
