//! Calls through the gateway, over real sockets, to backends that behave as each test says.

mod attribution;
pub(crate) mod backend;
mod client;
mod connections;
mod endings;
mod filtered;
pub(crate) mod flyte;
mod frames;
mod gateway;
mod http1;
mod namesakes;
mod new_run;
mod protocols;
mod reservations;

use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};

/// The longest that a test waits for something that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A unary RPC that names no project.
const UNARY: &str = "/flyteidl2.project.ProjectService/ListProjects";
/// A stream.
const STREAM: &str = "/flyteidl2.workflow.RunService/WatchRuns";

/// A message in a frame.
fn frame(flags: u8, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(flags);
    frame.put_u32(u32::try_from(payload.len()).unwrap());
    frame.put_slice(payload);
    frame.freeze()
}
