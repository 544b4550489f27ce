//! The server in front of Flyte 2 backends: the gateway of the settings, and the service that it answers itself.

mod cluster;

use std::{fs, io, path::PathBuf, sync::Arc, time::Duration};

use rustls::pki_types::{CertificateDer, pem::PemObject as _};

use crate::{
    app::Parts,
    tls::{self, TlsError},
};
use flyte_access::door::Storage;
use flyte_gateway::{
    Gateway, HealthOptions, Options, TlsOptions, UpstreamOptions,
    identity::IdentityHeaderNames,
    web::{Web, WebParts},
};
use flyte_identity::session::Sessions;
use flyte_idl::flyteidl2::cluster::ClusterServiceExt as _;
use flyte_model::Stopping;
use flyte_settings::{MAIN_BACKEND, UpstreamConfig};

/// A file of the connection to a backend cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamFileError {
    /// The authorities cannot be read.
    #[error("cannot read \"upstream.authority-file\" {}: {source}", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error("\"upstream.certificate-file\" and \"upstream.key-file\": {0}")]
    Identity(#[from] TlsError),
}

/// Checks the files that the settings name. The gateway reads them again for each connection.
///
/// # Errors
/// [`UpstreamFileError`].
pub(crate) fn check(upstream: &UpstreamConfig) -> Result<(), UpstreamFileError> {
    if let Some(path) = &upstream.authority_file {
        let refused = |source| UpstreamFileError::Authorities { path: path.clone(), source };
        let pem = fs::read(path).map_err(refused)?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        if !certificates.is_ok_and(|certificates| !certificates.is_empty()) {
            let why = "it contains no certificate (a block BEGIN CERTIFICATE)";
            return Err(refused(io::Error::new(io::ErrorKind::InvalidData, why)));
        }
    }
    if let Some(identity) = &upstream.identity {
        tls::read_files(&identity.certificate, &identity.key)?;
    }
    Ok(())
}

/// The gateway to the backends of the settings. It has no connections yet.
pub(crate) fn gateway(
    parts: &Parts,
    upstream: &UpstreamConfig,
    storage: Arc<dyn Storage + Send + Sync>,
    stopping: Stopping,
) -> Arc<Gateway> {
    let own = parts.config.public_url.host_str().unwrap_or_default();
    let shared = flyte_gateway::Parts {
        config: Arc::clone(&parts.config),
        clock: parts.clock.clone(),
        access: Arc::clone(&parts.access),
        store: Arc::clone(&parts.store),
        keys: Arc::clone(&parts.keys),
        audit: parts.audit.clone(),
        stopping,
        storage,
    };
    Arc::new(Gateway::new(shared, options(upstream, own)))
}

/// The console and the apps of the settings; `None` if there are none.
pub(crate) fn web(
    parts: &Parts,
    upstream: &UpstreamConfig,
    gateway: &Arc<Gateway>,
    sessions: Sessions,
    stopping: Stopping,
) -> Option<Arc<Web>> {
    if upstream.console_url.is_none() && upstream.apps.is_empty() {
        return None;
    }
    let shared = WebParts {
        config: Arc::clone(&parts.config),
        clock: parts.clock.clone(),
        store: Arc::clone(&parts.store),
        keys: Arc::clone(&parts.keys),
        access: Arc::clone(&parts.access),
        gateway: Arc::clone(gateway),
        sessions,
        stopping,
    };
    Some(Arc::new(Web::new(shared, upstream)))
}

/// What the settings say, for the gateway. `own` is the host of the server's public URL.
fn options(upstream: &UpstreamConfig, own: &str) -> Options {
    let seconds = |setting: i64| Duration::from_secs(setting.unsigned_abs());
    // The settings allow only names of headers.
    let header = |name: &Option<String>| name.as_ref().and_then(|name| name.parse().ok());
    let backend = |name: &str, url: &url::Url| UpstreamOptions {
        identity_headers: IdentityHeaderNames {
            subject: header(&upstream.subject_header),
            email: header(&upstream.email_header),
        },
        tls: TlsOptions {
            ca: upstream.authority_file.clone(),
            certificate: upstream.identity.as_ref().map(|identity| identity.certificate.clone()),
            key: upstream.identity.as_ref().map(|identity| identity.key.clone()),
            ..TlsOptions::default()
        },
        connect_timeout: seconds(upstream.connect_timeout),
        keep_alive_interval: seconds(upstream.keep_alive_interval),
        keep_alive_timeout: seconds(upstream.keep_alive_interval).min(Duration::from_secs(10)),
        health: Some(HealthOptions {
            path: upstream.health_path.clone(),
            interval: seconds(upstream.health_interval),
            timeout: seconds(upstream.connect_timeout),
        }),
        ..UpstreamOptions::new(name, url.clone())
    };
    let clusters = upstream.clusters.iter().map(|cluster| UpstreamOptions {
        hosts: vec![cluster.host(own)],
        ..backend(&cluster.name, &cluster.url)
    });
    Options {
        max_message: upstream.max_message_size,
        max_concurrent_calls: upstream.max_concurrent_requests,
        unary_timeout: seconds(upstream.request_timeout),
        ..Options::new([backend(MAIN_BACKEND, &upstream.url)].into_iter().chain(clusters).collect())
    }
}

/// Adds the service that the server answers in place of the backends.
pub(crate) fn register(services: connectrpc::Router) -> connectrpc::Router {
    Arc::new(cluster::Service).register(services)
}

#[cfg(test)]
mod tests {
    use flyte_settings::{ClusterUrl, UpstreamIdentity};

    use super::*;
    use crate::testing;

    #[test]
    fn the_gateway_gets_the_settings() {
        let mut upstream = testing::upstream("http://flyte:8090");
        upstream.clusters =
            vec![ClusterUrl { name: "gpu".to_owned(), url: "https://gpu:443".parse().unwrap() }];
        upstream.authority_file = Some("/ca.pem".into());
        upstream.max_message_size = 7;
        upstream.subject_header = Some("X-Auth-Request-User".to_owned());
        let options = options(&upstream, "flyte.example.org");
        assert_eq!((options.max_message, options.max_concurrent_calls), (7, 1024));
        let [main, gpu] = options.upstreams.as_slice() else { panic!("{options:?}") };
        assert_eq!((main.hosts.len(), gpu.hosts.as_slice()), (0, &["gpu.flyte.example.org".to_owned()][..]));
        for (backend, url) in [(main, "http://flyte:8090/"), (gpu, "https://gpu/")] {
            assert_eq!(backend.url.as_str(), url);
            let names = &backend.identity_headers;
            assert_eq!(names.subject.as_ref().map(http::HeaderName::as_str), Some("x-auth-request-user"));
            assert_eq!(names.email, None);
            assert_eq!(backend.tls.ca.as_deref(), Some("/ca.pem".as_ref()));
            let health = backend.health.as_ref().unwrap();
            assert_eq!((health.path.as_str(), health.interval), ("/healthz", Duration::from_secs(5)));
        }
    }

    #[test]
    fn unusable_files_are_found_before_the_start() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ca.pem");
        let mut upstream = testing::upstream("https://flyte:8090");
        upstream.authority_file = Some(file.clone());
        let error = check(&upstream).unwrap_err().to_string();
        assert!(error.contains("upstream.authority-file") && error.contains("ca.pem"), "{error}");
        std::fs::write(&file, "nothing").unwrap();
        assert!(check(&upstream).unwrap_err().to_string().contains("no certificate"));
        upstream.authority_file = None;
        upstream.identity = Some(UpstreamIdentity { certificate: file.clone(), key: file });
        assert!(check(&upstream).unwrap_err().to_string().contains("upstream.certificate-file"));
        upstream.identity = None;
        check(&upstream).unwrap();
    }
}
