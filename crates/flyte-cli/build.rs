//! Gives `flyte.exe` a manifest: paths can be longer than 260 characters, and the code page of the process is UTF-8.
#![forbid(unsafe_code)]

use embed_manifest::{embed_manifest, new_manifest};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The target's, not this machine's.
    if std::env::var_os("CARGO_CFG_WINDOWS").is_some() {
        // Both are among the crate's own settings of a manifest.
        embed_manifest(new_manifest("flyte-auth.flyte"))?;
    }
    println!("cargo:rerun-if-changed=build.rs");
    Ok(())
}
