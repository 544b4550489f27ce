//! The version that both commands show.
//!
//! Only the two commands depend on this crate: in release builds, each commit changes it.
#![forbid(unsafe_code)]

/// The version of this build: `0.1.0 (38056f7ab12c)` in a release build, with the commit that it was built from.
///
/// The commit is followed by `-modified` if files differed from it. It is missing if the sources are neither a checkout
/// nor an archive of one. A debug build says so instead of a commit.
pub const VERSION: &str = env!("FLYTE_VERSION");
