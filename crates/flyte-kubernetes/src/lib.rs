//! Pods as callers: their service-account tokens, and the run, project and domain of each pod.
#![forbid(unsafe_code)]
