//! Refuses requests of HTTP/1 whose body has two lengths.
//!
//! hyper takes a request with both `Content-Length` and `Transfer-Encoding` by the latter and hides the former, and of several
//! equal lengths it shows one (`hyper::proto::h1::role`). A proxy in front may have gone by the other (RFC 9112 section 6.3):
//! such a request is refused, which only what reads before hyper can do. This follows where each head begins, reads it with the
//! parser that hyper has, and breaks its last byte if it is ambiguous, so that hyper itself answers 400 in its turn and closes.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The longest head of a request, in bytes; hyper is told the same and answers 431 to a longer one.
pub(super) const MAX_HEAD: usize = 64 << 10;

/// The most headers that hyper reads of an HTTP/1 request.
const MAX_HEADERS: usize = 100;

/// What ends a head that was broken, so that hyper does not wait for its end.
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

/// Where in the requests of a connection the bytes are.
#[derive(Debug, Default)]
struct Follower {
    place: Place,
    /// What has come of the present head, if it has not come whole.
    head: Vec<u8>,
}

#[derive(Debug, Default)]
enum Place {
    #[default]
    Head,
    /// So many bytes until the next head.
    Body(u64),
    /// In a chunked body: the digits of a chunk's size, the rest of that line, its content and the line's end after it,
    /// and the trailers, whose last line is empty.
    ChunkSize(u64),
    ChunkExtension(u64),
    Chunk(u64),
    Trailer {
        empty: bool,
    },
    /// HTTP/2, or something that hyper refuses.
    Beyond,
    /// What is still to be read of an ambiguous head.
    Refused(&'static [u8]),
}

impl Follower {
    /// Follows what was read, and breaks an ambiguous head in it.
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

    /// Reads on in a head; returns how many of the bytes belong to it.
    fn head(&mut self, bytes: &mut [u8]) -> usize {
        let before = self.head.len();
        let come = bytes.len().min(MAX_HEAD.saturating_sub(before));
        self.head.extend_from_slice(&bytes[..come]);
        // A head ends with a line.
        if !bytes.contains(&b'\n') && self.head.len() < MAX_HEAD {
            return bytes.len();
        }
        let verdict = read_head(&self.head);
        if let Verdict::Partial = verdict {
            if self.head.len() >= MAX_HEAD {
                *self = Self { place: Place::Beyond, head: Vec::new() };
            }
            return bytes.len();
        }
        self.head = Vec::new();
        let (length, place) = match verdict {
            Verdict::Whole { length, body } => (length, body),
            Verdict::Ambiguous { length } => {
                tracing::debug!("a request whose body has two lengths is refused");
                bytes[length - before - 1] = 0;
                (length, Place::Refused(END))
            }
            Verdict::Beyond | Verdict::Partial => (before + bytes.len(), Place::Beyond),
        };
        self.place = place;
        length - before
    }
}

/// What a head says.
enum Verdict {
    Partial,
    Whole {
        length: usize,
        body: Place,
    },
    Ambiguous {
        length: usize,
    },
    /// It is none of HTTP/1.
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
    // A fragment is no part of a target (RFC 9112 section 3.2), and would be cut off in silence.
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

    /// What hyper reads, in pieces of this size.
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
    fn what_is_clear_is_passed_on_as_it_came() {
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
    fn an_ambiguous_head_is_broken_also_after_others() {
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
    fn nothing_is_kept_of_http_2_and_of_nonsense() {
        for sent in [
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
            "\u{1}nonsense\r\n\r\n".to_owned(),
            format!("GET / HTTP/1.1\r\nhost: {}\r\n\r\n", "a".repeat(2 * MAX_HEAD)),
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
