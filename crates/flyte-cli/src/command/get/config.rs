//! `flyte get config`

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;

pub(crate) const HELP: &str = "\
The command shows the settings of the configuration file as the environment variables, FLYTE_API_KEY and the options of this \
command line change them. It asks no server, and shows no secret.";

/// The effective configuration.
#[derive(Serialize)]
struct Effective {
    file: Option<PathBuf>,
    endpoint: Option<String>,
    insecure: bool,
    insecure_skip_verify: bool,
    ca_cert_file: Option<PathBuf>,
    /// The host only: the URL may contain a password.
    http_proxy: Option<String>,
    auth_type: String,
    credentials: String,
    client_id: Option<String>,
    scopes: Vec<String>,
    token_store: Option<&'static str>,
    org: Option<String>,
    project: Option<String>,
    domain: Option<String>,
    image_builder: Option<String>,
    image_registry: Option<String>,
    images: BTreeMap<String, String>,
}

pub(super) fn run(context: &Context) -> Result<Exit, Failure> {
    output::print(context.global.format, &Effective::of(context), details)?;
    Ok(Exit::Success)
}

impl Effective {
    fn of(context: &Context) -> Self {
        let config = &context.config;
        let (admin, task, image) = (&config.admin, &config.task, &config.image);
        let chosen = context.global.image_builder.map(|builder| builder.as_str().to_owned());
        Self {
            file: config.source.clone(),
            endpoint: admin.endpoint.as_ref().map(ToString::to_string),
            insecure: admin.insecure,
            insecure_skip_verify: admin.insecure_skip_verify,
            ca_cert_file: admin.ca_cert_file_path.clone(),
            http_proxy: admin
                .http_proxy_url
                .as_ref()
                .and_then(|url| Some(format!("{}://{}", url.scheme(), url.host_str()?))),
            auth_type: admin.auth_type.to_string(),
            credentials: context.credentials(),
            client_id: admin.client_id.clone(),
            scopes: admin.scopes.clone(),
            token_store: admin.store_kind().map(flyte_config::StoreKind::as_str),
            org: task.org.clone(),
            project: task.project.clone(),
            domain: task.domain.clone(),
            image_builder: chosen.or_else(|| image.builder.clone()),
            image_registry: image.registry.clone(),
            images: image.image_refs.clone(),
        }
    }
}

fn details(config: &Effective) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let path =
        |value: &Option<PathBuf>| value.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    let yes = |value: bool| if value { "yes".to_owned() } else { String::new() };
    let images: Vec<_> = config.images.iter().map(|(name, image)| format!("{name}={image}")).collect();
    output::details([
        ("File", path(&config.file)),
        ("Endpoint", text(&config.endpoint)),
        ("Plain HTTP", yes(config.insecure)),
        ("Any certificate", yes(config.insecure_skip_verify)),
        ("CA certificates", path(&config.ca_cert_file)),
        ("Proxy", text(&config.http_proxy)),
        ("Sign-in", config.auth_type.clone()),
        ("Credentials", config.credentials.clone()),
        ("Client ID", text(&config.client_id)),
        ("Scopes", config.scopes.join(" ")),
        ("Token store", config.token_store.unwrap_or_default().to_owned()),
        ("Organization", text(&config.org)),
        ("Project", text(&config.project)),
        ("Domain", text(&config.domain)),
        ("Image builder", text(&config.image_builder)),
        ("Image registry", text(&config.image_registry)),
        ("Images", images.join(", ")),
    ])
}
