//! Compiles `proto/` with a compiler written in Rust, so that building needs no `protoc`.

use std::{env, error::Error, fs, path::PathBuf};

/// The files to generate, relative to `proto/`.
const FILES: &[&str] = &[
    "cloudidl/common/list.proto",
    "cloudidl/identity/app_service.proto",
    "cloudidl/identity/app_payload.proto",
    "cloudidl/identity/app_definition.proto",
    "cloudidl/identity/enums.proto",
    "flyteauth/api_key.proto",
    "flyteauth/audit.proto",
    "flyteauth/trust.proto",
    "flyteidl2/auth/auth_service.proto",
    "flyteidl2/auth/identity.proto",
    "flyteidl2/common/list.proto",
    "flyteidl2/project/project_service.proto",
    "flyteidl2/task/run.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    let proto = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo::rerun-if-changed={}", proto.display());

    let mut compiler = protox::Compiler::new([&proto])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(FILES)?;
    let descriptors = PathBuf::from(env::var("OUT_DIR")?).join("descriptors.bin");
    fs::write(&descriptors, compiler.encode_file_descriptor_set())?;

    connectrpc_build::Config::new()
        .files(FILES)
        .descriptor_set(&descriptors)
        .include_file("protos.rs")
        .emit_rerun_directives(false)
        .compile()?;
    Ok(())
}
