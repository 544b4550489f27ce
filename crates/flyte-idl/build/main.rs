//! Compiles `proto/` with a compiler written in Rust, so that building needs no `protoc`.

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use buffa_codegen::{
    CodeGenConfig, GeneratedFile, GeneratedFileKind, IncludeMode,
    context::CodeGenContext,
    generated::descriptor::{FileDescriptorProto, FileDescriptorSet},
};

mod messages;
mod services;

/// Every `.proto` file below `folder`, relative to `root`, in the order of their names.
fn proto_files(root: &Path, folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(proto_files(root, &path)?);
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path.strip_prefix(root)?.to_owned());
        }
    }
    files.sort();
    Ok(files)
}

/// The text of a descriptor's field, or an empty text.
fn text(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or_default()
}

/// The options of the code generator: owned messages only.
///
/// Borrowed views would be 55 % of the generated lines and JSON another 11 %. `src/wire.rs` and `src/json.rs` replace both
/// with generic code.
fn config() -> CodeGenConfig {
    let mut config = CodeGenConfig::default();
    config.generate_views = false;
    config.generate_json = false;
    config.generate_with_setters = false;
    config.emit_register_fn = false;
    config
}

/// Generates the messages and services of the files in `names`.
fn generate(files: &[FileDescriptorProto], names: &[String]) -> Result<Vec<GeneratedFile>, Box<dyn Error>> {
    let config = config();
    let mut generated = buffa_codegen::generate(files, names, &config)?;
    let types = CodeGenContext::for_generate(files, names, &config);
    let mut companions = Vec::new();
    for file in files.iter().filter(|file| file.name.as_ref().is_some_and(|name| names.contains(name))) {
        let mut content = messages::generate(file, &types)?;
        content.extend(services::generate(file, &types)?);
        companions.push(GeneratedFile {
            name: format!("{}.rpc.rs", buffa_codegen::proto_path_to_stem(text(&file.name))),
            package: text(&file.package).to_owned(),
            kind: GeneratedFileKind::Companion,
            content: prettyplease::unparse(&syn::parse2(content)?),
        });
    }
    buffa_codegen::apply_companions(&mut generated, companions);
    Ok(generated)
}

fn main() -> Result<(), Box<dyn Error>> {
    let proto = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo::rerun-if-changed={}", proto.display());
    println!("cargo::rerun-if-changed=build");

    let files = proto_files(&proto, &proto)?;
    let mut compiler = protox::Compiler::new([&proto])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(&files)?;
    let mut descriptors: FileDescriptorSet =
        buffa_codegen::tooling_decode_options()?.decode_from_slice(&compiler.encode_file_descriptor_set())?;
    let names: Vec<_> = files.iter().map(|file| file.to_string_lossy().replace('\\', "/")).collect();

    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut packages = Vec::new();
    for file in generate(&descriptors.file, &names)? {
        fs::write(out.join(&file.name), file.content)?;
        if file.kind == GeneratedFileKind::PackageMod {
            packages.push((file.name, file.package));
        }
    }
    fs::write(
        out.join("protos.rs"),
        buffa_codegen::generate_module_tree(&packages, IncludeMode::OutDir, false),
    )?;

    // The comments are in the generated code; no program reads them at run time.
    for file in &mut descriptors.file {
        file.source_code_info = Default::default();
    }
    fs::write(out.join("descriptors.bin"), buffa::Message::encode_to_vec(&descriptors))?;
    Ok(())
}
