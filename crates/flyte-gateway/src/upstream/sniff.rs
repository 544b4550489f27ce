//! Notes how the other side of a connection begins.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The first byte that a connection has brought; zero if it has brought nothing. The first frame of HTTP/2 begins with zero as
/// well, because it is short.
#[derive(Clone, Debug, Default)]
pub(super) struct FirstByte(Arc<AtomicU8>);

impl FirstByte {
    /// Whether it is that of a response of HTTP/1: `HTTP/1.1 400 Bad Request`.
    pub(super) fn is_of_http1(&self) -> bool {
        self.0.load(Ordering::SeqCst) == b'H'
    }
}

/// A connection whose first byte is noted.
#[derive(Debug)]
pub(super) struct Sniffed<T> {
    io: T,
    first: Option<FirstByte>,
}

impl<T> Sniffed<T> {
    pub(super) fn new(io: T) -> (Self, FirstByte) {
        let first = FirstByte::default();
        (Self { io, first: Some(first.clone()) }, first)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Sniffed<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        if let Some(byte) = buffer.filled().get(before)
            && let Some(first) = self.first.take()
        {
            first.0.store(*byte, Ordering::SeqCst);
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Sniffed<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
