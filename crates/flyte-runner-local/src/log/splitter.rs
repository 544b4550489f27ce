//! Splits output into lines.

/// The maximum length of a line, in bytes. A longer line is split.
pub const MAX_LINE_BYTES: usize = 16 << 10;

/// Splits the output of a command into lines.
#[derive(Debug, Default)]
pub struct LineSplitter {
    rest: Vec<u8>,
}

impl LineSplitter {
    /// Adds bytes and returns the lines that are complete now. U+FFFD replaces bytes that are not UTF-8.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(piece);
            let whole = self.rest.strip_suffix(b"\n");
            let whole = whole.map(|line| line.strip_suffix(b"\r").unwrap_or(line).len());
            match whole {
                Some(length) => {
                    self.rest.truncate(length);
                    lines.extend(self.take());
                }
                None if self.rest.len() >= MAX_LINE_BYTES => {
                    let rest = self.rest.split_off(find_split(&self.rest));
                    lines.extend(self.take());
                    self.rest = rest;
                }
                None => {}
            }
        }
        lines
    }

    /// Returns the last line if it does not end with a newline.
    pub fn finish(&mut self) -> Vec<String> {
        if self.rest.is_empty() { Vec::new() } else { self.take() }
    }

    fn take(&mut self) -> Vec<String> {
        let mut bytes = std::mem::take(&mut self.rest);
        let mut lines = Vec::new();
        while bytes.len() > MAX_LINE_BYTES {
            let rest = bytes.split_off(find_split(&bytes));
            lines.push(String::from_utf8_lossy(&bytes).into_owned());
            bytes = rest;
        }
        lines.push(String::from_utf8_lossy(&bytes).into_owned());
        lines
    }
}

/// Returns the position at which to split `bytes`, without splitting a character. `bytes` has at least [`MAX_LINE_BYTES`].
fn find_split(bytes: &[u8]) -> usize {
    let begins = |at: &usize| bytes.get(*at).is_none_or(|byte| byte & 0xc0 != 0x80);
    (MAX_LINE_BYTES - 3..=MAX_LINE_BYTES).rev().find(begins).unwrap_or(MAX_LINE_BYTES)
}
