//! The server trait and the client of each service.
//!
//! They have the shape of those that `connectrpc-build` generates. That generator also needs a borrowed view of each message,
//! and writes a second dispatcher which this project does not use.

use std::error::Error;

use buffa_codegen::{
    context::CodeGenContext,
    generated::descriptor::{
        FileDescriptorProto, MethodDescriptorProto, ServiceDescriptorProto, method_options::IdempotencyLevel,
    },
    idents::{make_field_ident, rust_path_to_tokens},
};
use heck::{ToShoutySnakeCase as _, ToSnakeCase as _};
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use crate::text;

/// A method with the names and types that the templates use.
struct Method {
    /// The name in the `.proto` file.
    name: String,
    /// The name in Rust.
    ident: Ident,
    /// The name of the constant with the `connectrpc::Spec`.
    spec: Ident,
    input: TokenStream,
    output: TokenStream,
    streaming: bool,
    idempotency: Ident,
}

impl Method {
    fn new(
        method: &MethodDescriptorProto,
        service: &ServiceDescriptorProto,
        package: &str,
        types: &CodeGenContext<'_>,
    ) -> Result<Self, Box<dyn Error>> {
        let name = text(&method.name).to_owned();
        if method.client_streaming == Some(true) {
            return Err(
                format!("{name} streams its requests, which build/services.rs cannot generate").into()
            );
        }
        let message = |name: &str| -> Result<TokenStream, Box<dyn Error>> {
            let path =
                types.rust_type_relative(name, package, 0).ok_or_else(|| format!("{name} has no type"))?;
            Ok(rust_path_to_tokens(&path))
        };
        Ok(Self {
            ident: make_field_ident(&name.to_snake_case()),
            spec: format_ident!(
                "{}_{}_SPEC",
                text(&service.name).to_shouty_snake_case(),
                name.to_shouty_snake_case()
            ),
            input: message(text(&method.input_type))?,
            output: message(text(&method.output_type))?,
            streaming: method.server_streaming == Some(true),
            idempotency: match method.options.as_option().and_then(|options| options.idempotency_level) {
                Some(IdempotencyLevel::NO_SIDE_EFFECTS) => format_ident!("NoSideEffects"),
                Some(IdempotencyLevel::IDEMPOTENT) => format_ident!("Idempotent"),
                Some(IdempotencyLevel::IDEMPOTENCY_UNKNOWN) | None => format_ident!("Unknown"),
            },
            name,
        })
    }

    /// The constant with the path and the kind of the method.
    fn constant(&self, service: &str) -> TokenStream {
        let Self { name, spec, idempotency, .. } = self;
        let doc = format!(" The path and kind of `{name}`, for the server side.");
        let path = format!("/{service}/{name}");
        let stream = if self.streaming { format_ident!("ServerStream") } else { format_ident!("Unary") };
        quote! {
            #[doc = #doc]
            pub const #spec: ::connectrpc::Spec =
                ::connectrpc::Spec::server(#path, ::connectrpc::StreamType::#stream)
                    .with_idempotency_level(::connectrpc::IdempotencyLevel::#idempotency);
        }
    }

    /// The trait method that a server implements.
    fn handler(&self) -> TokenStream {
        let Self { name, ident, input, output, .. } = self;
        let doc = format!(" Handles `{name}`.");
        if self.streaming {
            quote! {
                #[doc = #doc]
                fn #ident(
                    &self,
                    context: ::connectrpc::RequestContext,
                    request: ::connectrpc::ServiceRequest<'_, #input>,
                ) -> impl ::std::future::Future<
                    Output = ::connectrpc::ServiceResult<
                        ::connectrpc::ServiceStream<
                            impl ::connectrpc::Encodable<#output> + Send + use<Self>,
                        >,
                    >,
                > + Send;
            }
        } else {
            quote! {
                #[doc = #doc]
                fn #ident<'a>(
                    &'a self,
                    context: ::connectrpc::RequestContext,
                    request: ::connectrpc::ServiceRequest<'_, #input>,
                ) -> impl ::std::future::Future<
                    Output = ::connectrpc::ServiceResult<
                        impl ::connectrpc::Encodable<#output> + Send + use<'a, Self>,
                    >,
                > + Send;
            }
        }
    }

    /// The call that adds the method to a router.
    fn route(&self, service: &Ident) -> TokenStream {
        let Self { name, ident, spec, input, output, .. } = self;
        let view = quote! { ::buffa::view::OwnedView<crate::wire::Decoded<'static, #input>> };
        let request = quote! {
            ::connectrpc::ServiceRequest::<#input>::from_parts(request.reborrow(), request.bytes())
        };
        if self.streaming {
            quote! {
                .route_view_server_stream::<_, _, #output>(
                    #service,
                    #name,
                    ::connectrpc::view_streaming_handler_fn({
                        let service = ::std::sync::Arc::clone(&self);
                        move |context, request: #view| {
                            let service = ::std::sync::Arc::clone(&service);
                            async move { service.#ident(context, #request).await }
                        }
                    }),
                )
                .with_spec(#spec)
            }
        } else {
            let route = match self.idempotency == "NoSideEffects" {
                true => format_ident!("route_view_idempotent"),
                false => format_ident!("route_view"),
            };
            quote! {
                .#route(
                    #service,
                    #name,
                    ::connectrpc::view_handler_fn({
                        let service = ::std::sync::Arc::clone(&self);
                        move |context, request: #view, format| {
                            let service = ::std::sync::Arc::clone(&service);
                            async move {
                                service.#ident(context, #request).await?.encode::<#output>(format)
                            }
                        }
                    }),
                )
                .with_spec(#spec)
            }
        }
    }

    /// The client method.
    fn call(&self) -> TokenStream {
        let Self { name, ident, spec, input, output, .. } = self;
        let doc = format!(" Calls `{name}`.");
        let spec = quote! { #spec.with_origin(::connectrpc::SpecOrigin::Client) };
        let (answer, call) = if self.streaming {
            let view = quote! { crate::wire::Decoded<'static, #output> };
            (
                quote! { ::connectrpc::client::ServerStream<T::ResponseBody, #view> },
                quote! {
                    ::connectrpc::client::call_server_stream(
                        &self.transport,
                        &self.config,
                        #spec,
                        request,
                        ::connectrpc::client::CallOptions::default(),
                    )
                },
            )
        } else {
            (
                quote! { crate::call::UnaryResponse<#output> },
                quote! { crate::call::unary(&self.transport, &self.config, #spec, request) },
            )
        };
        quote! {
            #[doc = #doc]
            pub async fn #ident(&self, request: #input) -> Result<#answer, ::connectrpc::ConnectError> {
                #call.await
            }
        }
    }
}

/// Generates the services of `file`.
pub(crate) fn generate(
    file: &FileDescriptorProto,
    types: &CodeGenContext<'_>,
) -> Result<TokenStream, Box<dyn Error>> {
    let package = text(&file.package);
    let mut content = TokenStream::new();
    for service in &file.service {
        let methods = service.method.iter().map(|method| Method::new(method, service, package, types));
        content.extend(one(text(&service.name), package, &methods.collect::<Result<Vec<_>, _>>()?));
    }
    Ok(content)
}

fn one(name: &str, package: &str, methods: &[Method]) -> TokenStream {
    let full_name = format!("{package}.{name}");
    let constant = format_ident!("{}_SERVICE_NAME", name.to_shouty_snake_case());
    let service = format_ident!("{name}");
    let register = format_ident!("{name}Ext");
    let client = format_ident!("{name}Client");
    let doc = format!(" The server side of `{full_name}`. Implement the methods as `async fn`.");
    let doc_register = format!(" Adds a [`{name}`] to a router.");
    let doc_client = format!(" A client of `{full_name}`.");
    let constants = methods.iter().map(|method| method.constant(&full_name));
    let handlers = methods.iter().map(Method::handler);
    let routes = methods.iter().map(|method| method.route(&constant));
    let calls = methods.iter().map(Method::call);
    quote! {
        /// The full name of the service.
        pub const #constant: &str = #full_name;
        #(#constants)*
        #[doc = #doc]
        pub trait #service: Send + Sync + 'static {
            #(#handlers)*
        }
        #[doc = #doc_register]
        pub trait #register: #service {
            /// Returns `router` with the methods of this service.
            fn register(self: ::std::sync::Arc<Self>, router: ::connectrpc::Router) -> ::connectrpc::Router;
        }
        impl<S: #service> #register for S {
            fn register(self: ::std::sync::Arc<Self>, router: ::connectrpc::Router) -> ::connectrpc::Router {
                router #(#routes)*
            }
        }
        #[doc = #doc_client]
        #[derive(Clone)]
        pub struct #client<T> {
            transport: T,
            config: ::connectrpc::client::ClientConfig,
        }
        impl<T> #client<T>
        where
            T: ::connectrpc::client::ClientTransport,
            <T::ResponseBody as ::connectrpc::http_body::Body>::Error: ::std::fmt::Display,
        {
            /// Creates a client that sends its calls through `transport`.
            pub fn new(transport: T, config: ::connectrpc::client::ClientConfig) -> Self {
                Self { transport, config }
            }
            /// The configuration of this client.
            pub fn config(&self) -> &::connectrpc::client::ClientConfig {
                &self.config
            }
            /// The configuration of this client, mutable.
            pub fn config_mut(&mut self) -> &mut ::connectrpc::client::ClientConfig {
                &mut self.config
            }
            #(#calls)*
        }
    }
}
