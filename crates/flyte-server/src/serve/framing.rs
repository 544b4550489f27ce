//! Refuses HTTP/1 requests whose body has two lengths.
//!
//! For a request with both `Content-Length` and `Transfer-Encoding`, hyper uses the second and hides the first; of
//! several equal lengths it shows one (`hyper::proto::h1::role`). A proxy in front may have used the other (RFC 9112
//! section 6.3). Such requests must be refused, and only code that reads before hyper can do that. This module finds
//! each head of a request, parses it with the same parser as hyper, and changes its last byte if it is ambiguous, so
//! that hyper answers 400 and closes the connection.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The maximum size of a request head, in bytes. hyper has the same limit and answers 431 above it.
pub(super) const MAX_HEAD_BYTES: usize = 64 << 10;

/// The maximum number of headers that hyper accepts in an HTTP/1 request.
const MAX_HEADERS: usize = 100;

/// The end of a changed head, so that hyper does not wait for it.
const END: &[u8] = b"\r\n\r\n";

/// A connection without ambiguous requests.
#[derive(Debug)]
pub(super) struct Framed<S> {
    stream: S,
    follower: Follower,
}

impl<S> Framed<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, follower: Follower::default() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Framed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Place::Refused(rest) = &mut self.follower.place {
            let (now, later) = rest.split_at(rest.len().min(buf.remaining()));
            buf.put_slice(now);
            *rest = later;
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.follower.follow(&mut buf.filled_mut()[before..]);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Framed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// The position in the requests of a connection.
#[derive(Debug, Default)]
struct Follower {
    place: Place,
    /// The received part of an incomplete head.
    head: Vec<u8>,
}

#[derive(Debug, Default)]
enum Place {
    #[default]
    Head,
    /// The number of bytes before the next head.
    Body(u64),
    /// The parts of a chunked body: the digits of a chunk's size, the rest of that line, the content with its line
    /// end, and the trailers, which end with an empty line.
    ChunkSize(u64),
    ChunkExtension(u64),
    Chunk(u64),
    Trailer {
        empty: bool,
    },
    /// HTTP/2, or data that hyper refuses.
    Beyond,
    /// The remaining data for a refused head.
    Refused(&'static [u8]),
}

impl Follower {
    /// Follows the received bytes and changes an ambiguous head.
    fn follow(&mut self, bytes: &mut [u8]) {
        let mut at = 0;
        while at < bytes.len() {
            let left = (bytes.len() - at) as u64;
            match &mut self.place {
                Place::Head => at += self.head(&mut bytes[at..]),
                Place::Beyond | Place::Refused(_) => return,
                Place::Body(rest) | Place::Chunk(rest) if *rest > left => {
                    *rest -= left;
                    return;
                }
                Place::Body(rest) => {
                    at += usize::try_from(*rest).unwrap_or_default();
                    self.place = Place::Head;
                }
                Place::Chunk(rest) => {
                    at += usize::try_from(*rest).unwrap_or_default();
                    self.place = Place::ChunkSize(0);
                }
                Place::ChunkSize(size) => {
                    self.place = chunk_size(*size, bytes[at]);
                    at += 1;
                }
                Place::ChunkExtension(size) => {
                    if bytes[at] == b'\n' {
                        self.place = match size.checked_add(2) {
                            Some(2) => Place::Trailer { empty: true },
                            Some(rest) => Place::Chunk(rest),
                            None => Place::Beyond,
                        };
                    }
                    at += 1;
                }
                Place::Trailer { empty } => {
                    match bytes[at] {
                        b'\n' if *empty => self.place = Place::Head,
                        b'\n' => *empty = true,
                        b'\r' => {}
                        _ => *empty = false,
                    }
                    at += 1;
                }
            }
        }
    }

    /// Continues with a head; returns how many of the bytes belong to it.
    fn head(&mut self, bytes: &mut [u8]) -> usize {
        let before = self.head.len();
        let come = bytes.len().min(MAX_HEAD_BYTES.saturating_sub(before));
        self.head.extend_from_slice(&bytes[..come]);
        // A head ends with a line end.
        if !bytes.contains(&b'\n') && self.head.len() < MAX_HEAD_BYTES {
            return bytes.len();
        }
        let verdict = read_head(&self.head);
        if let Verdict::Partial = verdict {
            if self.head.len() >= MAX_HEAD_BYTES {
                *self = Self { place: Place::Beyond, head: Vec::new() };
            }
            return bytes.len();
        }
        self.head = Vec::new();
        let (length, place) = match verdict {
            Verdict::Whole { length, body } => (length, body),
            Verdict::Ambiguous { length } => {
                tracing::debug!("refused a request whose body has two lengths");
                bytes[length - before - 1] = 0;
                (length, Place::Refused(END))
            }
            Verdict::Beyond | Verdict::Partial => (before + bytes.len(), Place::Beyond),
        };
        self.place = place;
        length - before
    }
}

/// The result of parsing a head.
enum Verdict {
    Partial,
    Whole {
        length: usize,
        body: Place,
    },
    Ambiguous {
        length: usize,
    },
    /// This is not HTTP/1.
    Beyond,
}

fn read_head(head: &[u8]) -> Verdict {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(head) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Verdict::Partial,
        Err(_) => return Verdict::Beyond,
    };
    let values = |name: &str| {
        let headers = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
        headers.map(|header| header.value).collect::<Vec<_>>()
    };
    // A fragment is not part of a target (RFC 9112 section 3.2), and would be removed silently.
    let has_fragment = request.path.is_some_and(|path| path.contains('#'));
    match (&values("content-length")[..], &values("transfer-encoding")[..]) {
        _ if has_fragment => Verdict::Ambiguous { length },
        ([], []) => Verdict::Whole { length, body: Place::Head },
        ([value], []) => {
            let digits =
                std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
            match digits.and_then(|digits| digits.parse().ok()) {
                Some(0) => Verdict::Whole { length, body: Place::Head },
                Some(rest) => Verdict::Whole { length, body: Place::Body(rest) },
                None => Verdict::Beyond,
            }
        }
        ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") => {
            Verdict::Whole { length, body: Place::ChunkSize(0) }
        }
        _ => Verdict::Ambiguous { length },
    }
}

fn chunk_size(size: u64, byte: u8) -> Place {
    match byte {
        b';' | b' ' | b'\t' | b'\r' => Place::ChunkExtension(size),
        _ => match (char::from(byte).to_digit(16), size.checked_mul(16)) {
            (Some(digit), Some(size)) => Place::ChunkSize(size + u64::from(digit)),
            _ => Place::Beyond,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes that hyper reads, if they arrive in pieces of this size.
    fn read(sent: &str, piece: usize) -> (Vec<u8>, Follower) {
        let mut follower = Follower::default();
        let mut bytes = sent.as_bytes().to_vec();
        bytes.chunks_mut(piece).for_each(|piece| follower.follow(piece));
        (bytes, follower)
    }

    const GOOD: [&str; 6] = [
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=b\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx-a: b\r\n\r\n",
        // A body that looks like an ambiguous head.
        "POST / HTTP/1.1\r\ncontent-length: 71\r\n\r\n\
         POST / HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\nhello",
    ];
    const BAD: [&str; 8] = [
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nCONTENT-LENGTH: 5\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: identity\r\n\r\n",
        "POST / HTTP/1.1\ncontent-length: 5\ntransfer-encoding: chunked\n\n",
        "GET /a#b HTTP/1.1\r\nhost: a\r\n\r\n",
    ];

    #[test]
    fn unambiguous_requests_are_not_changed() {
        let all = GOOD.concat().repeat(2);
        for piece in [1, 2, 3, 7, 24, 100, 10_000] {
            let (bytes, follower) = read(&all, piece);
            assert_eq!(String::from_utf8(bytes).unwrap(), all);
            assert!(
                matches!(follower.place, Place::Head) && follower.head.is_empty(),
                "{piece} {follower:?}"
            );
        }
    }

    #[test]
    fn an_ambiguous_head_is_refused_also_after_other_requests() {
        for bad in BAD {
            for before in [String::new(), GOOD.concat()] {
                for piece in [1, 2, 3, 7, 24, 100, 10_000] {
                    let (bytes, follower) = read(&format!("{before}{bad}rest"), piece);
                    assert!(matches!(follower.place, Place::Refused(END)), "{bad} {piece} {follower:?}");
                    let broken = &bytes[before.len()..][..bad.len()];
                    assert_eq!(&broken[..bad.len() - 1], &bad.as_bytes()[..bad.len() - 1]);
                    assert_eq!(broken.last(), Some(&0));
                    assert_eq!(&bytes[..before.len()], before.as_bytes());
                }
            }
        }
    }

    #[test]
    fn http_2_and_invalid_data_are_not_buffered() {
        for sent in [
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
            "\u{1}nonsense\r\n\r\n".to_owned(),
            format!("GET / HTTP/1.1\r\nhost: {}\r\n\r\n", "a".repeat(2 * MAX_HEAD_BYTES)),
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nnonsense".to_owned(),
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n".to_owned(),
        ] {
            for piece in [1, 24, 1 << 20] {
                let (bytes, follower) = read(&sent, piece);
                assert_eq!(bytes, sent.as_bytes());
                assert!(matches!(follower.place, Place::Beyond), "{piece} {}", &sent[..20]);
                assert!(follower.head.is_empty());
            }
        }
    }
}
