//! Typed client of the Flyte control plane.
#![forbid(unsafe_code)]
