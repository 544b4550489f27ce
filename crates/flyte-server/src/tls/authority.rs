//! The server's own certificate authority, for machines without a certificate of a public authority.
//!
//! It is created at the first start and is valid for ten years. If the server has a public name by then, name
//! constraints limit the authority to loopback and the server's host names, so trusting it is a small risk. Otherwise
//! it has no constraints, so that it can certify a public name that is set later. Its certificates are valid for
//! ninety days.

use std::{
    collections::BTreeSet,
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, NameConstraints, PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use uuid::Uuid;
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use super::{
    TlsError,
    certificate::{Details, Name, ServerCertificate},
};
use flyte_model::clock::UnixTime;
use flyte_secrets::write_atomically;

const DAY: i64 = 86_400;
/// Lifetime of the authority, in seconds.
const AUTHORITY_LIFETIME_SECONDS: i64 = 3650 * DAY;
/// The authority is renewed if less than this remains of its lifetime, in seconds: the lifetime of a certificate.
const AUTHORITY_RENEWAL_SECONDS: i64 = CERTIFICATE_LIFETIME_SECONDS;
/// Lifetime of a certificate, in seconds.
const CERTIFICATE_LIFETIME_SECONDS: i64 = 90 * DAY;
/// A certificate is renewed if less than this remains of its lifetime, in seconds.
const CERTIFICATE_RENEWAL_SECONDS: i64 = 30 * DAY;
/// How far back certificates are dated, in seconds, for clients with slow clocks.
const BACKDATING_SECONDS: i64 = 3600;

/// The certificate authority.
#[derive(Debug)]
pub struct Authority {
    certificate: CertificateDer<'static>,
    pem: String,
}

impl Authority {
    /// Reads the authority from `directory`/`authority.pem`. Creates it if it is missing, about to expire, or not
    /// valid for one of `names`.
    ///
    /// # Errors
    /// [`TlsError`]. A damaged file is an error and no reason to create a new authority, because all clients would
    /// have to trust the new one.
    pub fn load_or_create(directory: &Path, names: &BTreeSet<Name>, now: UnixTime) -> Result<Self, TlsError> {
        let path = directory.join("authority.pem");
        let file_error = |source| TlsError::File { path: path.clone(), source };
        match fs::read_to_string(&path) {
            Ok(pem) => {
                let damaged = || TlsError::DamagedAuthority { path: path.clone() };
                let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| damaged())?;
                let authority = Self { certificate, pem };
                // Checks that the key exists and can be parsed.
                authority.issuer().map_err(|_| damaged())?;
                let Some(reason) = authority.reason_to_replace(names, now).ok_or_else(damaged)? else {
                    return Ok(authority);
                };
                tracing::warn!(
                    reason,
                    "creating a new certificate authority: clients must trust the new ca.pem"
                );
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(file_error(error)),
        }
        let authority = Self::create(names, now)?;
        write_atomically(&path, authority.pem.as_bytes()).map_err(file_error)?;
        Ok(authority)
    }

    /// Returns the authority's certificate as PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        let end = "-----END CERTIFICATE-----\n";
        self.pem.split_inclusive(end).next().unwrap_or_default()
    }

    /// Returns the certificate for exactly `names` from `directory`/`server.pem`, and if addresses are among them, the one
    /// for host names alone from `directory`/`server-names.pem`. Creates each if it is missing, about to expire, for other
    /// names, or from another authority.
    ///
    /// Clients that use `BoringSSL` (gRPC for Python and C++, Envoy) refuse a certificate with addresses if name
    /// constraints of its authority limit addresses. So a client that names a host gets the certificate without addresses.
    ///
    /// # Errors
    /// [`TlsError`] if it cannot be read or created.
    pub fn certificate(
        &self,
        directory: &Path,
        names: &BTreeSet<Name>,
        now: UnixTime,
    ) -> Result<ServerCertificate, TlsError> {
        let certificate = self.kept_or_issued(directory.join("server.pem"), names, now)?;
        let hosts: BTreeSet<_> = names.iter().filter(|name| matches!(name, Name::Dns(_))).cloned().collect();
        if hosts.is_empty() || hosts == *names {
            return Ok(certificate);
        }
        let for_host_names = self.kept_or_issued(directory.join("server-names.pem"), &hosts, now)?;
        Ok(certificate.with_host_names(for_host_names))
    }

    fn kept_or_issued(
        &self,
        path: PathBuf,
        names: &BTreeSet<Name>,
        now: UnixTime,
    ) -> Result<ServerCertificate, TlsError> {
        let file_error = |source| TlsError::File { path: path.clone(), source };
        match fs::read(&path) {
            Ok(pem) => {
                if let Some(certificate) = self.usable(&pem, names, now) {
                    return Ok(certificate);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(file_error(error)),
        }
        let pem = self.issue(names, now)?;
        write_atomically(&path, pem.as_bytes()).map_err(file_error)?;
        Ok(ServerCertificate::from_pem(pem.as_bytes(), pem.as_bytes())?)
    }

    fn create(names: &BTreeSet<Name>, now: UnixTime) -> Result<Self, TlsError> {
        let mut params = CertificateParams::default();
        params.distinguished_name.remove(DnType::CommonName);
        // Clients could confuse two authorities of the same name in one bundle.
        params
            .distinguished_name
            .push(DnType::CommonName, format!("Flyte server authority {}", Uuid::new_v4().simple()));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        date(&mut params, now, AUTHORITY_LIFETIME_SECONDS);
        params.name_constraints = names
            .iter()
            .any(|name| !name.is_loopback())
            .then(|| NameConstraints { permitted_subtrees: permitted(names), excluded_subtrees: Vec::new() });
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = params.self_signed(&key)?;
        let pem = format!("{}{}", unix_lines(&certificate.pem()), unix_lines(&key.serialize_pem()));
        Ok(Self { certificate: certificate.der().clone(), pem })
    }

    fn issuer(&self) -> Result<Issuer<'static, KeyPair>, rcgen::Error> {
        // The key follows the certificate.
        let key = self.pem.get(self.certificate_pem().len()..).unwrap_or_default();
        Issuer::from_ca_cert_der(&self.certificate, KeyPair::from_pem(key)?)
    }

    /// Returns the reason for replacing the authority, or `Some(None)`; `None` if the certificate cannot be parsed.
    fn reason_to_replace(&self, names: &BTreeSet<Name>, now: UnixTime) -> Option<Option<String>> {
        let (_, parsed) = X509Certificate::from_der(&self.certificate).ok()?;
        let validity = parsed.validity();
        if validity.not_before.timestamp() > now {
            return Some(Some("the old one is not valid yet, by this machine's clock".to_owned()));
        }
        if validity.not_after.timestamp() - now < AUTHORITY_RENEWAL_SECONDS {
            return Some(Some("the old one is about to expire".to_owned()));
        }
        let Some(constraints) = parsed.name_constraints().ok()? else { return Some(None) };
        let constraints = constraints.value;
        let outside = names.iter().find(|name| !name.is_permitted(constraints));
        Some(outside.map(|name| format!("the old one is not valid for {name}")))
    }

    fn usable(&self, pem: &[u8], names: &BTreeSet<Name>, now: UnixTime) -> Option<ServerCertificate> {
        let certificate = ServerCertificate::from_pem(pem, pem).ok()?;
        let details = certificate.details().ok()?;
        let good = certificate.chain.get(1) == Some(&self.certificate)
            && details.names == *names
            && details.not_before <= now
            && !is_due(&details, now)
            && certificate.server_config().is_ok();
        good.then_some(certificate)
    }

    /// Issues a certificate: chain and key as PEM. The chain ends with the authority. Only clients that trust any
    /// certificate (`insecureSkipVerify`) need it there.
    fn issue(&self, names: &BTreeSet<Name>, now: UnixTime) -> Result<String, TlsError> {
        let mut params = CertificateParams::default();
        params.distinguished_name.remove(DnType::CommonName);
        params.distinguished_name.push(DnType::CommonName, "flyte-server");
        for name in names {
            params.subject_alt_names.push(match name {
                Name::Dns(name) => SanType::DnsName(name.as_str().try_into()?),
                Name::Ip(address) => SanType::IpAddress(*address),
            });
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        date(&mut params, now, CERTIFICATE_LIFETIME_SECONDS);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = params.signed_by(&key, &self.issuer()?)?;
        let (leaf, key) = (unix_lines(&certificate.pem()), unix_lines(&key.serialize_pem()));
        Ok(format!("{leaf}{}{key}", self.certificate_pem()))
    }
}

/// Whether the certificate must be renewed.
pub(super) fn is_due(details: &Details, now: UnixTime) -> bool {
    details.not_after - now < CERTIFICATE_RENEWAL_SECONDS
}

fn permitted(names: &BTreeSet<Name>) -> Vec<GeneralSubtree> {
    let mut subtrees = vec![
        GeneralSubtree::DnsName("localhost".to_owned()),
        GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix([127, 0, 0, 0], 8)),
        GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]), 128)),
    ];
    subtrees.extend(names.iter().filter(|name| **name != Name::Dns("localhost".to_owned())).map(|name| {
        match name {
            Name::Dns(name) => GeneralSubtree::DnsName(name.clone()),
            Name::Ip(address) => {
                let prefix = if address.is_ipv4() { 32 } else { 128 };
                GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(*address, prefix))
            }
        }
    }));
    subtrees
}

/// Sets the validity of a certificate: `life` seconds from now.
fn date(params: &mut CertificateParams, now: UnixTime, life: i64) {
    let moment =
        |moment| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(moment).unwrap_or(0));
    params.not_before = moment(now - BACKDATING_SECONDS);
    params.not_after = moment(now + life);
}

/// PEM with Unix line ends, not those of e-mail.
fn unix_lines(pem: &str) -> String {
    pem.replace("\r\n", "\n")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::{
        RootCertStore,
        client::WebPkiServerVerifier,
        crypto::aws_lc_rs,
        pki_types::{ServerName, UnixTime as PkiTime},
    };

    use super::*;

    const NOW: UnixTime = 1_800_000_000;

    /// A clock of rustls that always shows `NOW`.
    #[derive(Debug)]
    struct Now;

    impl rustls::time_provider::TimeProvider for Now {
        fn current_time(&self) -> Option<PkiTime> {
            Some(PkiTime::since_unix_epoch(Duration::from_secs(NOW.try_into().unwrap())))
        }
    }

    fn names(names: &[&str]) -> BTreeSet<Name> {
        names.iter().map(|name| Name::parse(name)).collect()
    }

    /// Whether a client that trusts the authority accepts the certificate for the host.
    fn accepts(authority: &Authority, certificate: &ServerCertificate, host: &str, now: UnixTime) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider).build().unwrap();
        let now = PkiTime::since_unix_epoch(Duration::from_secs(now.try_into().unwrap()));
        let host = ServerName::try_from(host.to_owned()).unwrap();
        let (leaf, rest) = certificate.chain.split_first().unwrap();
        rustls::client::danger::ServerCertVerifier::verify_server_cert(
            &*verifier,
            leaf,
            rest,
            &host,
            &[],
            now,
        )
        .is_ok()
    }

    #[test]
    fn a_client_that_trusts_the_authority_accepts_its_certificate() {
        let directory = tempfile::tempdir().unwrap();
        let wanted = names(&["localhost", "127.0.0.1", "::1", "flyte.example.org"]);
        let authority = Authority::load_or_create(directory.path(), &wanted, NOW).unwrap();
        let certificate = authority.certificate(directory.path(), &wanted, NOW).unwrap();
        for host in ["localhost", "127.0.0.1", "::1", "flyte.example.org"] {
            assert!(accepts(&authority, &certificate, host, NOW), "{host}");
        }
        assert!(!accepts(&authority, &certificate, "example.org", NOW));
        assert!(!accepts(&authority, &certificate, "localhost", NOW + CERTIFICATE_LIFETIME_SECONDS + 1));
    }

    #[test]
    fn a_client_that_names_a_host_gets_a_certificate_without_addresses() {
        let directory = tempfile::tempdir().unwrap();
        let wanted = names(&["localhost", "127.0.0.1", "flyte.example.org", "192.0.2.7"]);
        let authority = Authority::load_or_create(directory.path(), &wanted, NOW).unwrap();
        let start = || authority.certificate(directory.path(), &wanted, NOW).unwrap();
        let config = Arc::new(start().server_config().unwrap());
        let shown = |host: &str| names_shown(&config, authority.certificate_pem(), host);
        assert_eq!(shown("flyte.example.org"), names(&["localhost", "flyte.example.org"]));
        assert_eq!(shown("192.0.2.7"), wanted);
        // Both are kept, and the first that expires is renewed.
        let kept = |file| fs::read(directory.path().join(file)).unwrap();
        let (all, hosts) = (kept("server.pem"), kept("server-names.pem"));
        start();
        assert_eq!((kept("server.pem"), kept("server-names.pem")), (all.clone(), hosts.clone()));
        fs::remove_file(directory.path().join("server.pem")).unwrap();
        let later = authority.certificate(directory.path(), &wanted, NOW + DAY).unwrap();
        assert_ne!(kept("server.pem"), all);
        assert_eq!(kept("server-names.pem"), hosts);
        assert_eq!(later.details().unwrap().not_after, NOW + CERTIFICATE_LIFETIME_SECONDS);
    }

    /// The names of the certificate that a client of the host gets in a TLS handshake.
    fn names_shown(config: &Arc<rustls::ServerConfig>, authority: &str, host: &str) -> BTreeSet<Name> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
        let client = rustls::ClientConfig::builder_with_details(
            Arc::new(aws_lc_rs::default_provider()),
            Arc::new(Now),
        )
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
        let host = ServerName::try_from(host.to_owned()).unwrap();
        let mut client = rustls::ClientConnection::new(Arc::new(client), host).unwrap();
        let mut server = rustls::ServerConnection::new(Arc::clone(config)).unwrap();
        while client.is_handshaking() {
            let mut bytes = Vec::new();
            client.write_tls(&mut bytes).unwrap();
            server.read_tls(&mut bytes.as_slice()).unwrap();
            server.process_new_packets().unwrap();
            let mut bytes = Vec::new();
            server.write_tls(&mut bytes).unwrap();
            client.read_tls(&mut bytes.as_slice()).unwrap();
            client.process_new_packets().unwrap();
        }
        Details::of(&client.peer_certificates().unwrap()[0]).unwrap().names
    }

    #[test]
    fn the_authority_is_valid_only_for_its_own_names() {
        let directory = tempfile::tempdir().unwrap();
        let own = names(&["localhost", "flyte.example.org"]);
        let authority = Authority::load_or_create(directory.path(), &own, NOW).unwrap();
        let stray = names(&["localhost", "bank.example.com"]);
        let certificate = authority.certificate(directory.path(), &stray, NOW).unwrap();
        assert!(!accepts(&authority, &certificate, "bank.example.com", NOW));
        assert!(!accepts(&authority, &certificate, "localhost", NOW));
    }

    #[test]
    fn a_second_start_keeps_both() {
        let directory = tempfile::tempdir().unwrap();
        let wanted = names(&["localhost"]);
        let start = |now| {
            let authority = Authority::load_or_create(directory.path(), &wanted, now).unwrap();
            authority.certificate(directory.path(), &wanted, now).unwrap().chain
        };
        let first = start(NOW);
        assert_eq!(start(NOW + 59 * DAY), first);
        let renewed = start(NOW + 61 * DAY);
        assert_ne!(renewed[0], first[0]);
        assert_eq!(renewed[1], first[1]);
        let replaced = start(NOW + AUTHORITY_LIFETIME_SECONDS - AUTHORITY_RENEWAL_SECONDS + 1);
        assert_ne!(replaced[1], first[1]);
    }

    #[test]
    fn only_an_added_host_name_needs_a_new_authority() {
        let directory = tempfile::tempdir().unwrap();
        let start =
            |wanted: &[&str]| Authority::load_or_create(directory.path(), &names(wanted), NOW).unwrap().pem;
        let first = start(&["localhost", "a.example"]);
        assert_eq!(start(&["localhost"]), first);
        assert_eq!(start(&["localhost", "127.9.9.9", "x.a.example"]), first);
        assert_ne!(start(&["localhost", "b.example"]), first);
    }

    #[test]
    fn a_later_public_name_keeps_the_authority() {
        let directory = tempfile::tempdir().unwrap();
        let first = names(&["localhost", "127.0.0.1", "::1"]);
        let handed_out = Authority::load_or_create(directory.path(), &first, NOW).unwrap();
        handed_out.certificate(directory.path(), &first, NOW).unwrap();
        let later = names(&["localhost", "127.0.0.1", "::1", "flyte.example.com", "192.0.2.7"]);
        let authority = Authority::load_or_create(directory.path(), &later, NOW + DAY).unwrap();
        assert_eq!(authority.certificate_pem(), handed_out.certificate_pem());
        let certificate = authority.certificate(directory.path(), &later, NOW + DAY).unwrap();
        for host in ["localhost", "flyte.example.com", "192.0.2.7"] {
            assert!(accepts(&handed_out, &certificate, host, NOW + DAY), "{host}");
        }
    }

    #[test]
    fn a_damaged_authority_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let wanted = names(&["localhost"]);
        let authority = Authority::load_or_create(directory.path(), &wanted, NOW).unwrap();
        for damage in ["", "rubbish", authority.certificate_pem()] {
            fs::write(directory.path().join("authority.pem"), damage).unwrap();
            let error = Authority::load_or_create(directory.path(), &wanted, NOW).unwrap_err();
            assert!(matches!(error, TlsError::DamagedAuthority { .. }), "{error}");
        }
    }

    #[test]
    fn a_damaged_certificate_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let wanted = names(&["localhost"]);
        let authority = Authority::load_or_create(directory.path(), &wanted, NOW).unwrap();
        fs::write(directory.path().join("server.pem"), "rubbish").unwrap();
        let certificate = authority.certificate(directory.path(), &wanted, NOW).unwrap();
        assert!(accepts(&authority, &certificate, "localhost", NOW));
    }
}
