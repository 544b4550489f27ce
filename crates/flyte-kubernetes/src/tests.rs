//! Tests against a stub of the API server over HTTPS (`stub`).

mod keys;
mod lab;
mod pods;
mod review;
mod stub;
mod token;
mod watch;
