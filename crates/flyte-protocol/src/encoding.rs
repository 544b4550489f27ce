//! The encodings of bodies and frames.

use std::io::Read;

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;

use crate::error::Inflate;

/// The largest window of zstd that is accepted, as a power of two: 8 MiB (RFC 9659).
const ZSTD_WINDOW_LOG: u32 = 23;

/// How much is decompressed at a time, in bytes.
const STEP: usize = 16 << 10;

/// An encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// None.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Encoding {
    /// The names of all, for the header of an error.
    pub(crate) const NAMES: &str = "identity, gzip, zstd";

    /// The encoding of a name, in any case (RFC 9110 section 8.4.1). An empty name is none.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Self::Identity),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// The name in headers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// Decompresses a whole body or frame to at most `limit` bytes. Nothing compresses to nothing in some clients.
    pub(crate) fn inflate(self, compressed: Bytes, limit: usize) -> Result<Bytes, Inflate> {
        if compressed.is_empty() || self == Self::Identity {
            return if compressed.len() > limit { Err(Inflate::TooLarge) } else { Ok(compressed) };
        }
        let malformed = |_| Inflate::Malformed(self);
        match self {
            Self::Identity => Ok(compressed),
            Self::Gzip => read(MultiGzDecoder::new(&compressed[..]), self, limit),
            Self::Zstd => {
                let mut decoder =
                    zstd::stream::read::Decoder::with_buffer(&compressed[..]).map_err(malformed)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(malformed)?;
                read(decoder, self, limit)
            }
        }
    }
}

/// Reads to the end, or until the output is larger than `limit`: what is beyond it is never in memory.
fn read(mut decoder: impl Read, encoding: Encoding, limit: usize) -> Result<Bytes, Inflate> {
    let mut output = Vec::new();
    let mut step = vec![0; STEP];
    loop {
        match decoder.read(&mut step) {
            Ok(0) => return Ok(output.into()),
            Ok(length) if output.len() + length > limit => return Err(Inflate::TooLarge),
            Ok(length) => output.extend_from_slice(&step[..length]),
            Err(_) => return Err(Inflate::Malformed(encoding)),
        }
    }
}
