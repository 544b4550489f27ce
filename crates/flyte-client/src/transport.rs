//! The transport of a client's requests.

use std::fmt::Display;

use connectrpc::client::ClientTransport;
use connectrpc::http_body::Body;

/// A Connect transport whose body errors can be displayed. [`Client`](crate::Client) works with any of them.
pub trait Transport: ClientTransport<ResponseBody: Body<Error: Display> + Unpin> {}

impl<T> Transport for T where T: ClientTransport<ResponseBody: Body<Error: Display> + Unpin> {}
