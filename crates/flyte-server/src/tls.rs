//! TLS: the source of the certificate, and its renewal while the server runs.

mod authority;
mod certificate;

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use axum_server::tls_rustls::RustlsConfig;

pub use self::{
    authority::Authority,
    certificate::{CertificateError, Details, Name, ServerCertificate},
};
use crate::data_dir::DataDir;
use flyte_model::clock::UnixTime;
use flyte_secrets::write_atomically;
use flyte_settings::{Config, TlsSource};

/// The reason why TLS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The local authority's file is damaged.
    #[error(
        "the certificate authority in {path} is damaged; restore it from a backup. Or run `rm {path}` to create a new one, \
         which clients must then trust",
        path = path.display()
    )]
    DamagedAuthority {
        /// The file.
        path: PathBuf,
    },
    /// The certificate or key file is not usable.
    #[error("{} with {}: {source}", certificate.display(), key.display())]
    Files {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
        /// Why.
        source: CertificateError,
    },
    /// A new certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A certificate could not be created.
    #[error("cannot create a certificate: {0}")]
    Making(#[from] rcgen::Error),
}

/// The certificate in use. If it is replaced, existing connections keep the old one.
#[derive(Debug)]
pub struct Tls {
    source: Source,
    acceptor: RustlsConfig,
    loaded: Mutex<Loaded>,
}

#[derive(Debug)]
enum Source {
    LocalAuthority { directory: PathBuf, bundle: PathBuf, names: BTreeSet<Name> },
    Files { certificate: PathBuf, key: PathBuf },
}

/// The certificate in use, and the state of its files at the last attempt to read them.
#[derive(Debug)]
struct Loaded {
    details: Details,
    files: Vec<FileState>,
}

/// The state of a file, for detecting changes: modification time, size and inode.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FileState(Option<(i64, i64, u64, u64)>);

impl FileState {
    fn of(path: &Path) -> Self {
        // A file that cannot be inspected has its own state. Reading the file then reports the cause.
        Self(fs::metadata(path).ok().map(|m| (m.mtime(), m.mtime_nsec(), m.size(), m.ino())))
    }
}

impl Tls {
    /// Reads or creates the certificate; `None` if the configuration turns encryption off.
    ///
    /// # Errors
    /// [`TlsError`] if there is no usable certificate.
    pub fn open(config: &Config, directory: &DataDir, now: UnixTime) -> Result<Option<Self>, TlsError> {
        let source = match &config.tls.source {
            TlsSource::Off => return Ok(None),
            TlsSource::Files { certificate, key } => {
                Source::Files { certificate: certificate.clone(), key: key.clone() }
            }
            TlsSource::LocalAuthority => Source::LocalAuthority {
                directory: directory.file("tls"),
                bundle: directory.file("ca.pem"),
                names: names(config),
            },
        };
        let files = source.files();
        let certificate = source.load(now)?;
        let details = certificate.details()?;
        let acceptor = RustlsConfig::from_config(Arc::new(certificate.server_config()?));
        Ok(Some(Self { source, acceptor, loaded: Mutex::new(Loaded { details, files }) }))
    }

    /// Returns the configuration for accepting connections.
    #[must_use]
    pub fn acceptor(&self) -> RustlsConfig {
        self.acceptor.clone()
    }

    /// Returns the content of the certificate in use.
    #[must_use]
    pub fn details(&self) -> Details {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).details.clone()
    }

    /// The path of the authority's certificate for clients, if the server has its own authority.
    #[must_use]
    pub fn bundle(&self) -> Option<&Path> {
        match &self.source {
            Source::LocalAuthority { bundle, .. } => Some(bundle),
            Source::Files { .. } => None,
        }
    }

    /// Renews the certificate if that is due, or reloads the files if they have changed. It is cheap and called
    /// periodically.
    ///
    /// # Errors
    /// [`TlsError`]; the certificate in use is kept. The same files are not tried twice.
    pub fn maintain(&self, now: UnixTime) -> Result<(), TlsError> {
        let due = {
            let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
            match &self.source {
                Source::LocalAuthority { .. } => authority::is_due(&loaded.details, now),
                Source::Files { .. } => {
                    let files = self.source.files();
                    let changed = loaded.files != files;
                    loaded.files = files;
                    changed
                }
            }
        };
        if due { self.reload(now) } else { Ok(()) }
    }

    /// Reloads the certificate.
    ///
    /// # Errors
    /// [`TlsError`]; the certificate in use is kept.
    pub fn reload(&self, now: UnixTime) -> Result<(), TlsError> {
        let certificate = self.source.load(now)?;
        let details = certificate.details()?;
        self.acceptor.reload_from_config(Arc::new(certificate.server_config()?));
        tracing::info!(not_after = details.not_after, "the server's certificate was reloaded");
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).details = details;
        Ok(())
    }
}

impl Source {
    fn files(&self) -> Vec<FileState> {
        match self {
            Self::LocalAuthority { .. } => Vec::new(),
            Self::Files { certificate, key } => vec![FileState::of(certificate), FileState::of(key)],
        }
    }

    fn load(&self, now: UnixTime) -> Result<ServerCertificate, TlsError> {
        match self {
            Self::LocalAuthority { directory, bundle, names } => {
                let authority = Authority::load_or_create(directory, names, now)?;
                let pem = authority.certificate_pem().as_bytes();
                if fs::read(bundle).ok().as_deref() != Some(pem) {
                    write_atomically(bundle, pem)
                        .map_err(|source| TlsError::File { path: bundle.clone(), source })?;
                }
                authority.certificate(directory, names, now)
            }
            Self::Files { certificate, key } => read_files(certificate, key),
        }
    }
}

/// Reads a certificate and its key from the configured files, and checks that they belong together.
///
/// # Errors
/// [`TlsError`] if they cannot be used.
pub fn read_files(certificate: &Path, key: &Path) -> Result<ServerCertificate, TlsError> {
    let read =
        |path: &Path| fs::read(path).map_err(|source| TlsError::File { path: path.to_owned(), source });
    let (chain, secret) = (read(certificate)?, read(key)?);
    ServerCertificate::from_pem(&chain, &secret)
        .and_then(|loaded| loaded.server_config().map(|_| loaded))
        .map_err(|source| TlsError::Files {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            source,
        })
}

/// The names for which the local authority issues certificates.
fn names(config: &Config) -> BTreeSet<Name> {
    let public = config.public_url.host_str().into_iter();
    let fixed = ["localhost", "127.0.0.1", "::1"].into_iter();
    fixed.chain(public).chain(config.tls.host_names.iter().map(String::as_str)).map(Name::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flyte_model::clock::Clock;

    const DAY: i64 = 86_400;

    #[test]
    fn a_certificate_is_renewed_before_it_expires_while_the_server_runs() {
        let home = tempfile::tempdir().unwrap();
        let directory = DataDir::open(&home.path().join("data")).unwrap();
        let clock = Clock::manual(1_800_000_000);
        let config = Config::for_test(directory.path());
        let tls = Tls::open(&config, &directory, clock.now()).unwrap().unwrap();
        let (first, serving) = (tls.details(), tls.acceptor().get_inner());
        assert!(first.names.contains(&Name::parse("localhost")) && first.names.contains(&Name::parse("::1")));
        let bundle = fs::read(tls.bundle().unwrap()).unwrap();

        clock.advance(59 * DAY);
        tls.maintain(clock.now()).unwrap();
        assert_eq!(tls.details(), first);
        assert!(Arc::ptr_eq(&tls.acceptor().get_inner(), &serving));

        clock.advance(2 * DAY);
        tls.maintain(clock.now()).unwrap();
        assert!(tls.details().not_after > first.not_after);
        assert!(!Arc::ptr_eq(&tls.acceptor().get_inner(), &serving));
        assert_eq!(fs::read(tls.bundle().unwrap()).unwrap(), bundle);

        // The renewals continue for years.
        for _ in 0..30 {
            clock.advance(61 * DAY);
            tls.maintain(clock.now()).unwrap();
            assert!(tls.details().not_after - clock.now() > 30 * DAY);
        }
        assert_eq!(fs::read(tls.bundle().unwrap()).unwrap(), bundle);
    }

    #[test]
    fn changed_files_are_reloaded_and_invalid_ones_ignored() {
        let home = tempfile::tempdir().unwrap();
        let directory = DataDir::open(&home.path().join("data")).unwrap();
        let now = 1_800_000_000;
        let (certificate, key) = (home.path().join("c.pem"), home.path().join("k.pem"));
        let install = |now| {
            let scratch = tempfile::tempdir().unwrap();
            let names = BTreeSet::from([Name::parse("localhost")]);
            let authority = Authority::load_or_create(scratch.path(), &names, now).unwrap();
            authority.certificate(scratch.path(), &names, now).unwrap();
            for path in [&certificate, &key] {
                fs::copy(scratch.path().join("server.pem"), path).unwrap();
            }
        };
        install(now);
        let mut config = Config::for_test(directory.path());
        config.tls.source = TlsSource::Files { certificate: certificate.clone(), key: key.clone() };
        let tls = Tls::open(&config, &directory, now).unwrap().unwrap();
        let first = tls.details();
        tls.maintain(now).unwrap();
        assert_eq!(tls.details(), first);

        fs::write(&certificate, "half a certifi").unwrap();
        assert!(tls.maintain(now).is_err());
        assert_eq!(tls.details(), first);
        // The error is reported once.
        tls.maintain(now).unwrap();

        install(now + 100);
        tls.maintain(now).unwrap();
        assert_eq!(tls.details().not_after, first.not_after + 100);
    }

    #[test]
    fn a_certificate_with_another_key_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let names = BTreeSet::from([Name::parse("localhost")]);
        let mut paths = Vec::new();
        for name in ["a", "b"] {
            let scratch = home.path().join(name);
            fs::create_dir(&scratch).unwrap();
            let authority = Authority::load_or_create(&scratch, &names, 1_800_000_000).unwrap();
            authority.certificate(&scratch, &names, 1_800_000_000).unwrap();
            paths.push(scratch.join("server.pem"));
        }
        let message = read_files(&paths[0], &paths[1]).unwrap_err().to_string();
        assert!(message.contains("cannot be used"), "{message}");
    }
}
