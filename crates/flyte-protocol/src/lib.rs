//! The bytes of [Connect](https://connectrpc.com/docs/protocol), [gRPC](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md)
//! and [gRPC-Web](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md), for a proxy that reads what it forwards.
//!
//! This crate does no input or output and knows no message. Everything is incremental: push bytes, take messages. Everything
//! is bounded, also while it is decompressed.
//!
//! The way of a call:
//!
//! 1. [`Call::read`] reads the head of the request: protocol, codec, encoding, deadline. [`Form::for_errors`] is the form in which
//!    to refuse a request whose head cannot be read.
//! 2. [`RequestReader`] turns the body into messages, decompressed.
//! 3. [`Call::upstream_headers`] and [`Form::frame`] write the same request for the upstream, without compression.
//! 4. [`AnswerHead::read`] reads the head of the response. [`Watch`] passes the body through and knows whether it has ended as
//!    the protocol demands; [`LastFrame`] keeps the last frame back, and [`AnswerReader`] yields all messages.
//! 5. [`Refusal`] is an error, as a whole response ([`Refusal::response`]) or as the end of one ([`Refusal::ending`]), in the
//!    caller's protocol.
#![forbid(unsafe_code)]

mod accepted;
mod answer;
mod buffer;
mod call;
mod code;
mod encoding;
mod envelope;
mod error;
mod form;
mod last;
mod query;
mod refusal;
mod request;
mod status;
mod text;
mod timeout;
mod watch;

#[cfg(test)]
mod tests;

pub use self::{
    accepted::Accepted,
    answer::{AnswerHead, AnswerKind, AnswerReader, Part},
    call::Call,
    code::Code,
    encoding::Encoding,
    error::{AnswerError, BodyError, Place, ReadError},
    form::{Codec, Form, Protocol},
    last::LastFrame,
    refusal::{Detail, Ending, Refusal},
    request::RequestReader,
    timeout::{
        TimeoutError, format_connect_timeout, format_grpc_timeout, parse_connect_timeout, parse_grpc_timeout,
    },
    watch::Watch,
};
