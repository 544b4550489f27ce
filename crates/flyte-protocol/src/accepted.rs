//! Which encodings of answers a caller can read.

use http::HeaderMap;

use crate::{Encoding, Protocol};

/// A set of encodings. [`Encoding::Identity`] is always in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    gzip: bool,
    zstd: bool,
}

impl Accepted {
    /// The encodings that this crate can read, among those that the headers of a request accept. Others are left out, so
    /// that every answer can be read.
    pub(crate) fn read(protocol: Protocol, headers: &HeaderMap) -> Self {
        let mut accepted = Self::default();
        let values = headers.get_all(protocol.accept_encoding_header()).iter();
        for choice in values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')) {
            let mut parts = choice.split(';');
            let name = parts.next().unwrap_or_default().trim();
            // A weight of zero is a refusal (RFC 9110 section 12.4.2).
            let is_refused = parts.filter_map(|part| part.trim().strip_prefix("q=")).any(|weight| {
                weight.starts_with('0') && weight.bytes().all(|byte| matches!(byte, b'0' | b'.'))
            });
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            if is("gzip") || is("x-gzip") {
                accepted.gzip = !is_refused;
            } else if is("zstd") {
                accepted.zstd = !is_refused;
            }
        }
        accepted
    }

    /// Whether the encoding is in the set.
    #[must_use]
    pub fn contains(self, encoding: Encoding) -> bool {
        match encoding {
            Encoding::Identity => true,
            Encoding::Gzip => self.gzip,
            Encoding::Zstd => self.zstd,
        }
    }

    /// The value of the header. Servers take a missing header as the encoding of the request, so that it is never empty.
    pub(crate) fn value(self) -> &'static str {
        match (self.zstd, self.gzip) {
            (true, true) => "zstd, gzip",
            (true, false) => "zstd",
            (false, true) => "gzip",
            (false, false) => "identity",
        }
    }
}
