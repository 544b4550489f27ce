//! Gets, keeps and refreshes OAuth 2 tokens for Flyte clients.
#![forbid(unsafe_code)]
