//! The encodings of requests and answers: gzip, and zstd with a bounded window.

use std::io::Read;

use bytes::Bytes;
use connectrpc::{CompressionProvider, CompressionRegistry, ConnectError};

/// The largest window of zstd that is accepted, as a power of two: 8 MiB (RFC 9659). It is in memory whatever the limit of the
/// message is.
const WINDOW_LOG: u32 = 23;
/// Fast, as that of gzip.
const LEVEL: i32 = 1;

/// All encodings.
pub(crate) fn encodings() -> CompressionRegistry {
    CompressionRegistry::default().register(Zstd)
}

/// RFC 8878.
struct Zstd;

impl CompressionProvider for Zstd {
    fn name(&self) -> &'static str {
        "zstd"
    }

    fn compress(&self, data: &[u8]) -> Result<Bytes, ConnectError> {
        let compressed = zstd::bulk::compress(data, LEVEL);
        Ok(compressed.map_err(|error| ConnectError::internal(format!("zstd failed: {error}")))?.into())
    }

    fn decompressor<'a>(&self, data: &'a [u8]) -> Result<Box<dyn Read + 'a>, ConnectError> {
        let failed = |error| ConnectError::internal(format!("zstd failed: {error}"));
        let mut decoder = zstd::stream::read::Decoder::with_buffer(data).map_err(failed)?;
        decoder.window_log_max(WINDOW_LOG).map_err(failed)?;
        Ok(Box::new(decoder))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use connectrpc::ErrorCode;

    use super::*;

    #[test]
    fn a_limit_holds_while_decompressing() {
        let encodings = encodings();
        let message = vec![7_u8; 1 << 20];
        let compressed = encodings.compress("zstd", &message).unwrap();
        assert!(compressed.len() < 1 << 10);
        let open =
            |data: &[u8], limit| encodings.decompress_with_limit("zstd", Bytes::copy_from_slice(data), limit);
        assert_eq!(open(&compressed, 1 << 20).unwrap(), message);
        assert_eq!(open(&compressed, (1 << 20) - 1).unwrap_err().code, ErrorCode::ResourceExhausted);
        for broken in [&compressed[..compressed.len() - 1], b"no zstd"] {
            assert_eq!(open(broken, 1 << 20).unwrap_err().code, ErrorCode::InvalidArgument);
        }
    }

    #[test]
    fn a_large_window_is_refused() {
        for (window_log, is_accepted) in [(23, true), (24, false)] {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), LEVEL).unwrap();
            encoder.window_log(window_log).unwrap();
            // Without its length, so that the window is what the frame says.
            encoder.write_all(b"message").unwrap();
            encoder.flush().unwrap();
            let compressed = encoder.finish().unwrap();
            let opened = encodings().decompress_with_limit("zstd", compressed.into(), 100);
            assert_eq!(opened.is_ok(), is_accepted, "{window_log}: {opened:?}");
        }
    }
}
