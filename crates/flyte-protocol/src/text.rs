//! The base64 of gRPC-Web-text, in which a body may consist of several parts with padding.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{Bytes, BytesMut};

/// Base64 that is not well-formed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotBase64;

/// Decodes a body piece by piece.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// The start of a group of four.
    group: Vec<u8>,
}

impl Decoder {
    /// The bytes of all groups that are complete.
    pub(crate) fn push(&mut self, text: &[u8]) -> Result<Bytes, NotBase64> {
        let mut bytes = BytesMut::with_capacity(text.len() / 4 * 3 + 3);
        let mut rest = text;
        if !self.group.is_empty() {
            let missing = (4 - self.group.len()).min(rest.len());
            let (start, tail) = rest.split_at(missing);
            self.group.extend_from_slice(start);
            rest = tail;
            if self.group.len() < 4 {
                return Ok(Bytes::new());
            }
            decode(&std::mem::take(&mut self.group), &mut bytes)?;
        }
        let (groups, start) = rest.split_at(rest.len() / 4 * 4);
        self.group.extend_from_slice(start);
        decode(groups, &mut bytes)?;
        Ok(bytes.freeze())
    }

    /// Whether no group is incomplete.
    pub(crate) fn is_at_boundary(&self) -> bool {
        self.group.is_empty()
    }
}

/// Decodes whole groups. Padding ends a part; the next one starts after its group.
fn decode(mut groups: &[u8], bytes: &mut BytesMut) -> Result<(), NotBase64> {
    while !groups.is_empty() {
        let end = match groups.iter().position(|byte| *byte == b'=') {
            Some(padding) => (padding / 4 + 1) * 4,
            None => groups.len(),
        };
        let (part, tail) = groups.split_at(end);
        bytes.extend_from_slice(&STANDARD.decode(part).map_err(|_| NotBase64)?);
        groups = tail;
    }
    Ok(())
}

/// Encodes a part, with padding. Nothing stays nothing.
pub(crate) fn encode(bytes: &[u8]) -> Bytes {
    STANDARD.encode(bytes).into()
}
