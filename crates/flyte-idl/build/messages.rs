//! The implementations that each message has in addition to those that `buffa` generates.

use std::error::Error;

use buffa_codegen::{
    context::CodeGenContext,
    generated::descriptor::{DescriptorProto, FileDescriptorProto},
    idents::rust_path_to_tokens,
};
use proc_macro2::TokenStream;
use quote::quote;

use crate::text;

/// Calls `message!` of `src/wire.rs` for each message of `file`, including nested messages.
pub(crate) fn generate(
    file: &FileDescriptorProto,
    types: &CodeGenContext<'_>,
) -> Result<TokenStream, Box<dyn Error>> {
    let mut content = TokenStream::new();
    let package = text(&file.package);
    for message in &file.message_type {
        add(message, &format!(".{package}"), package, types, &mut content)?;
    }
    Ok(content)
}

fn add(
    message: &DescriptorProto,
    scope: &str,
    package: &str,
    types: &CodeGenContext<'_>,
    content: &mut TokenStream,
) -> Result<(), Box<dyn Error>> {
    // The generated code has no type for the entries of a map.
    if message.options.as_option().is_some_and(|options| options.map_entry == Some(true)) {
        return Ok(());
    }
    let name = format!("{scope}.{}", text(&message.name));
    let path = types.rust_type_relative(&name, package, 0).ok_or_else(|| format!("{name} has no type"))?;
    let path = rust_path_to_tokens(&path);
    content.extend(quote! { crate::wire::message!(#path); });
    for inner in &message.nested_type {
        add(inner, &name, package, types, content)?;
    }
    Ok(())
}
