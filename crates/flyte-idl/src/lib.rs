//! The wire: messages, typed clients and service traits of the subset of `flyteidl2` that this
//! project speaks, of the hosted control plane's `cloudidl` what keeps API keys, and of our own `flyteauth`, generated at build time from the `.proto` files in `proto/`.
//!
//! Module paths follow the proto packages, so `flyteidl2.project.ProjectService` is served by
//! implementing [`flyteidl2::project::ProjectService`] and called through
//! [`flyteidl2::project::ProjectServiceClient`], over Connect, gRPC or gRPC-Web.
#![forbid(unsafe_code)]

mod call;
mod json;
mod wire;

#[allow(missing_docs, unreachable_pub, rust_2018_idioms, clippy::all)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/protos.rs"));
}

pub use call::{UnaryResponse, unary_encoded};
pub use generated::{cloudidl, flyteauth, flyteidl2, google};
pub use wire::{Decoded, Received, WireMessage};

/// The compiled `google.protobuf.FileDescriptorSet` of `proto/` and of all that it imports, without comments.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// What a message says, in one form: encodings of a message differ in the order in which the entries of its maps come.
#[must_use]
pub fn canonical<T: buffa::Message + serde::Serialize>(message: &T) -> Vec<u8> {
    // The JSON tree sorts its keys.
    serde_json::to_value(message)
        .map_or_else(|_| message.encode_to_vec(), |json| json.to_string().into_bytes())
}
