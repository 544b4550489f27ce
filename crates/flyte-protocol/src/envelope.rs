//! Frames: a byte of flags, four bytes of length, the payload.

use bytes::{Bytes, BytesMut};

use crate::{
    buffer::Buffer,
    error::{BodyError, Place},
};

/// The length of a frame's head.
pub(crate) const HEAD: usize = 5;

/// The flag of a compressed payload, in all protocols.
pub(crate) const COMPRESSED: u8 = 0b0000_0001;

/// A frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) flags: u8,
    pub(crate) payload: Bytes,
    /// Counted from 1.
    pub(crate) number: u64,
}

/// The head of a frame.
pub(crate) fn head(bytes: [u8; HEAD]) -> (u8, usize) {
    let [flags, length @ ..] = bytes;
    (flags, usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX))
}

/// Cuts a body into frames. A frame that is too long is an error as soon as its head is there.
#[derive(Debug)]
pub(crate) struct Frames {
    buffer: Buffer,
    head: Option<(u8, usize)>,
    limit: usize,
    /// The number of the frame that comes next.
    number: u64,
}

impl Frames {
    pub(crate) fn new(limit: usize) -> Self {
        Self { buffer: Buffer::default(), head: None, limit, number: 1 }
    }

    pub(crate) fn push(&mut self, bytes: Bytes) {
        self.buffer.push(bytes);
    }

    /// Whether nothing of a frame is there that is not taken.
    pub(crate) fn is_at_boundary(&self) -> bool {
        self.head.is_none() && self.buffer.is_empty()
    }

    pub(crate) fn place(&self) -> Place {
        Place::Frame(self.number)
    }

    /// The next frame, if all of it is there.
    pub(crate) fn next_frame(&mut self) -> Result<Option<Frame>, BodyError> {
        let (flags, length) = match self.head {
            Some(head) => head,
            None => {
                let Some(bytes) = self.buffer.take(HEAD) else { return Ok(None) };
                let head = head(<[u8; HEAD]>::try_from(&bytes[..]).unwrap_or_default());
                if head.1 > self.limit {
                    return Err(BodyError::TooLarge { limit: self.limit });
                }
                *self.head.insert(head)
            }
        };
        let Some(payload) = self.buffer.take(length) else { return Ok(None) };
        self.head = None;
        let number = self.number;
        self.number += 1;
        Ok(Some(Frame { flags, payload, number }))
    }
}

/// Writes a frame.
pub(crate) fn write(flags: u8, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(HEAD + payload.len());
    frame.extend_from_slice(&[flags]);
    // Payloads are bounded far below: every reader of this crate has a limit.
    frame.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame.extend_from_slice(payload);
    frame.freeze()
}
