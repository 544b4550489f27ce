//! Finds, reads and edits config.yaml, the configuration file that every Flyte tool shares.
#![forbid(unsafe_code)]
