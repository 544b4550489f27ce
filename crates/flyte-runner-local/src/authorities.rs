//! The certificate authorities that tasks and apps trust, in one PEM file: those of the system, and the server's own. With
//! this file, tasks can connect both to the server and to public sites.
//!
//! The file exists only if the system's authorities are not enough: if the server's certificate is from its own authority
//! or signed by itself, or if the server was started with `SSL_CERT_FILE` or `SSL_CERT_DIR`.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use flyte_secrets::write_atomically;
use flyte_settings::{Config, TlsSource};

/// The environment variables with the file of trusted authorities, for OpenSSL and Python, requests, curl, the AWS libraries,
/// pip, git and gRPC. `NODE_EXTRA_CA_CERTS` adds the authorities of the file to those of Node.js.
const VARIABLES: [&str; 8] = [
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "AWS_CA_BUNDLE",
    "PIP_CERT",
    "GIT_SSL_CAINFO",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "NODE_EXTRA_CA_CERTS",
];
/// The variables that select the authorities that the server itself trusts.
const OWN_VARIABLES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];
/// The length of a line of PEM, in characters (RFC 7468 section 2).
const PEM_LINE_LENGTH: usize = 64;

/// The path of the file, which may not exist.
#[must_use]
pub fn file(data_dir: &Path) -> PathBuf {
    data_dir.join("authorities.pem")
}

/// The path of the file, if it exists.
pub(super) fn installed(data_dir: &Path) -> Option<PathBuf> {
    Some(file(data_dir)).filter(|file| file.exists())
}

/// The environment variables that make programs trust the file. Empty if the file does not exist.
pub(super) fn variables(data_dir: &Path) -> Vec<(&'static str, String)> {
    let Some(file) = installed(data_dir) else { return Vec::new() };
    VARIABLES.map(|name| (name, file.display().to_string())).to_vec()
}

/// Writes the file, or removes it if it is not needed. An up-to-date file is not written again.
///
/// # Errors
/// If the data directory cannot be written.
pub fn install(config: &Config) -> io::Result<()> {
    let is_configured =
        OWN_VARIABLES.iter().any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()));
    write(config, is_configured)
}

/// See [`install`]. `is_configured` is true if the environment selects the authorities that the server trusts.
fn write(config: &Config, is_configured: bool) -> io::Result<()> {
    let own = own(config);
    let path = file(&config.data_dir);
    if own.is_empty() && !is_configured {
        return match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    }
    let content = bundle(system(), own);
    if fs::read(&path).ok().as_deref() != Some(content.as_bytes()) {
        write_atomically(&path, content.as_bytes())?;
    }
    Ok(())
}

/// The authorities of the server's own certificate that systems do not trust by default.
fn own(config: &Config) -> Vec<CertificateDer<'static>> {
    let (path, is_authority) = match &config.tls.source {
        TlsSource::LocalAuthority => (config.data_dir.join("ca.pem"), true),
        TlsSource::Files { certificate, .. } => (certificate.clone(), false),
        TlsSource::Off => return Vec::new(),
    };
    // The listener, which needs the same file, reports an error.
    let Ok(certificates) = CertificateDer::pem_file_iter(path) else { return Vec::new() };
    certificates.flatten().filter(|certificate| is_authority || signs_itself(certificate)).collect()
}

fn signs_itself(certificate: &CertificateDer<'_>) -> bool {
    X509Certificate::from_der(certificate)
        .is_ok_and(|(_, certificate)| certificate.issuer().as_raw() == certificate.subject().as_raw())
}

/// The authorities that the server itself trusts. Those of Mozilla if the system has none.
fn system() -> Vec<CertificateDer<'static>> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!(%error, "cannot read some of the system's certificate authorities");
    }
    if found.certs.is_empty() { webpki_root_certs::TLS_SERVER_ROOT_CERTS.to_vec() } else { found.certs }
}

fn bundle(system: Vec<CertificateDer<'static>>, own: Vec<CertificateDer<'static>>) -> String {
    // The order is fixed, so that the file changes only if a certificate changes.
    let mut certificates = [system, own].concat();
    certificates.sort_unstable_by(|one, other| one.as_ref().cmp(other.as_ref()));
    certificates.dedup();
    certificates.iter().map(|certificate| pem(certificate)).collect()
}

fn pem(certificate: &[u8]) -> String {
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    let encoded = STANDARD.encode(certificate);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(PEM_LINE_LENGTH));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(names: &[&str], by_itself: bool) -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, "leaf");
        if by_itself {
            return params.self_signed(&key).unwrap().pem();
        }
        let mut authority = rcgen::CertificateParams::default();
        authority.distinguished_name.push(rcgen::DnType::CommonName, "authority");
        let authority_key = rcgen::KeyPair::generate().unwrap();
        params.signed_by(&key, &rcgen::Issuer::new(authority, authority_key)).unwrap().pem()
    }

    /// Reads the certificates of the file.
    fn read(data_dir: &Path) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_file_iter(file(data_dir)).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn the_systems_authorities_and_the_servers_own_are_trusted() {
        let home = tempfile::tempdir().unwrap();
        let mut config = Config::for_test(home.path());
        config.tls.source = TlsSource::LocalAuthority;
        let ca = signed(&["ca"], true);
        fs::write(home.path().join("ca.pem"), &ca).unwrap();
        write(&config, false).unwrap();
        let trusted = read(home.path());
        assert!(trusted.contains(&CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()));
        for one in system() {
            assert!(trusted.contains(&one));
        }
        assert!(trusted.len() > 50, "{} authorities", trusted.len());
        let variables = variables(home.path());
        assert!(
            variables.contains(&("SSL_CERT_FILE", file(home.path()).display().to_string())),
            "{variables:?}"
        );
        // A new authority replaces the old one.
        let other = signed(&["ca"], true);
        fs::write(home.path().join("ca.pem"), &other).unwrap();
        write(&config, false).unwrap();
        assert!(!read(home.path()).contains(&CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()));
    }

    #[test]
    fn a_certificate_of_a_public_authority_needs_no_file() {
        let home = tempfile::tempdir().unwrap();
        let certificate = home.path().join("server.pem");
        let mut config = Config::for_test(home.path());
        config.tls.source = TlsSource::Files { certificate: certificate.clone(), key: certificate.clone() };
        for (by_itself, expected) in [(true, true), (false, false)] {
            fs::write(&certificate, signed(&["example.com"], by_itself)).unwrap();
            write(&config, false).unwrap();
            assert_eq!(installed(home.path()).is_some(), expected, "{by_itself}");
        }
        config.tls.source = TlsSource::Off;
        for (is_configured, expected) in [(true, true), (false, false)] {
            write(&config, is_configured).unwrap();
            assert_eq!(installed(home.path()).is_some(), expected, "{is_configured}");
        }
        assert_eq!(variables(home.path()), []);
    }
}
