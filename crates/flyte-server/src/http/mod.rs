//! What every request passes before it reaches a handler.

mod client_addr;

pub use client_addr::ClientAddr;
