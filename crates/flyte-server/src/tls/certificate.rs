//! Certificates in PEM files.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, NameConstraints},
    prelude::FromDer,
};

use flyte_model::clock::UnixTime;

/// The problem with a certificate or its key.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The text contains no certificate.
    #[error("it contains no certificate (a block BEGIN CERTIFICATE)")]
    NoCertificate,
    /// The text contains no unencrypted private key.
    #[error("it contains no unencrypted private key (a block BEGIN PRIVATE KEY)")]
    NoKey,
    /// The certificate is damaged.
    #[error("the certificate cannot be read")]
    Damaged,
    /// Certificate and key do not belong together.
    #[error("the certificate and the private key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// A certificate with its chain and private key.
#[derive(Debug)]
pub struct ServerCertificate {
    /// The certificate, followed by the chain to its authority.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its private key.
    key: PrivateKeyDer<'static>,
    /// The certificate for clients that name a host (SNI, RFC 6066 section 3), if it is a different one.
    for_host_names: Option<Box<ServerCertificate>>,
}

impl ServerCertificate {
    /// Parses the chain and the key, which may be in the same text.
    ///
    /// # Errors
    /// [`CertificateError`] if one of them is missing or damaged.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|_| CertificateError::NoCertificate)?;
        if chain.is_empty() {
            return Err(CertificateError::NoCertificate);
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| CertificateError::NoKey)?;
        Ok(Self { chain, key, for_host_names: None })
    }

    /// The same with another certificate for clients that name a host.
    #[must_use]
    pub fn with_host_names(self, certificate: Self) -> Self {
        Self { for_host_names: Some(Box::new(certificate)), ..self }
    }

    /// Returns the content of the certificate. If there are two, the validity is the time in which both are valid.
    ///
    /// # Errors
    /// [`CertificateError::Damaged`] if it cannot be parsed.
    pub fn details(&self) -> Result<Details, CertificateError> {
        let leaf = self.chain.first().ok_or(CertificateError::NoCertificate)?;
        let mut details = Details::of(leaf)?;
        if let Some(other) = &self.for_host_names {
            let other = other.details()?;
            details.not_before = details.not_before.max(other.not_before);
            details.not_after = details.not_after.min(other.not_after);
        }
        Ok(details)
    }

    /// Returns the TLS settings of a server with this certificate: TLS 1.2 and 1.3, HTTP/2 before HTTP/1.1 (RFC
    /// 7301).
    ///
    /// # Errors
    /// [`CertificateError::Unusable`] if the key does not belong to the certificate.
    pub fn server_config(&self) -> Result<ServerConfig, CertificateError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let certificates = Certificates {
            any: self.certified_key(&provider)?,
            host_names: self
                .for_host_names
                .as_ref()
                .map(|other| other.certified_key(&provider))
                .transpose()?,
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(certificates));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        Ok(config)
    }

    fn certified_key(&self, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, rustls::Error> {
        CertifiedKey::from_der(self.chain.clone(), self.key.clone_key(), provider).map(Arc::new)
    }
}

/// Chooses the certificate for a client.
#[derive(Debug)]
struct Certificates {
    any: Arc<CertifiedKey>,
    host_names: Option<Arc<CertifiedKey>>,
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // A client that connects to an address names no host.
        let named = hello.server_name().and(self.host_names.as_ref());
        Some(Arc::clone(named.unwrap_or(&self.any)))
    }
}

/// The content of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Details {
    /// Start of validity.
    pub not_before: UnixTime,
    /// End of validity.
    pub not_after: UnixTime,
    /// Host names and addresses of the certificate.
    pub names: BTreeSet<Name>,
}

impl Details {
    /// Parses a certificate.
    ///
    /// # Errors
    /// [`CertificateError::Damaged`] if it cannot be parsed.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, CertificateError> {
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| CertificateError::Damaged)?;
        let names = parsed.subject_alternative_name().map_err(|_| CertificateError::Damaged)?;
        let names =
            names.map(|extension| extension.value.general_names.iter().filter_map(Name::of).collect());
        Ok(Self {
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            names: names.unwrap_or_default(),
        })
    }
}

/// A host name or address that a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// A DNS name, in lower case.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

impl Name {
    /// Reads a host name or address; the brackets of an IPv6 address in a URL may be there.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        bare.parse().map_or_else(|_| Self::Dns(text.trim_end_matches('.').to_ascii_lowercase()), Self::Ip)
    }

    fn of(name: &GeneralName<'_>) -> Option<Self> {
        match name {
            GeneralName::DNSName(name) => Some(Self::Dns(name.to_ascii_lowercase())),
            GeneralName::IPAddress(bytes) => address(bytes).map(Self::Ip),
            _ => None,
        }
    }

    /// Whether a certificate for `self`, which may be `*.example.org`, is valid for `host` (RFC 9525 section 6.3).
    #[must_use]
    pub fn matches(&self, host: &Self) -> bool {
        match (self, host) {
            (Self::Dns(pattern), Self::Dns(host)) => match pattern.strip_prefix("*.") {
                Some(parent) => host.split_once('.').is_some_and(|(_, rest)| rest == parent),
                None => pattern == host,
            },
            (pattern, host) => pattern == host,
        }
    }

    /// Whether the name always means this machine, independent of the network.
    pub(super) fn is_loopback(&self) -> bool {
        match self {
            Self::Dns(name) => name == "localhost" || name.ends_with(".localhost"),
            Self::Ip(address) => address.is_loopback(),
        }
    }

    /// Whether an authority with these constraints may certify the name (RFC 5280 section 4.2.1.10).
    pub(super) fn is_permitted(&self, constraints: &NameConstraints<'_>) -> bool {
        constraints.permitted_subtrees.iter().flatten().any(|subtree| match (self, &subtree.base) {
            (Self::Dns(name), GeneralName::DNSName(parent)) => {
                let rest = name.strip_suffix(&parent.to_ascii_lowercase());
                rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            (Self::Ip(ip), GeneralName::IPAddress(subnet)) => {
                let (network, mask) = subnet.split_at(subnet.len() / 2);
                let octets = match ip {
                    IpAddr::V4(ip) => ip.octets().to_vec(),
                    IpAddr::V6(ip) => ip.octets().to_vec(),
                };
                octets.len() == network.len()
                    && octets.iter().zip(network).zip(mask).all(|((o, n), m)| o & m == n & m)
            }
            _ => false,
        })
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_matches_one_label() {
        let matches = |pattern, host| Name::parse(pattern).matches(&Name::parse(host));
        assert!(matches("flyte.example.org", "FLYTE.example.org."));
        assert!(matches("*.example.org", "flyte.example.org"));
        assert!(!matches("*.example.org", "a.flyte.example.org"));
        assert!(!matches("*.example.org", "example.org"));
        assert!(matches("127.0.0.1", "127.0.0.1"));
        assert!(matches("::1", "[::1]"));
        assert!(!matches("127.0.0.1", "127.0.0.2"));
    }

    #[test]
    fn invalid_certificates_are_refused() {
        for text in ["", "hello", "-----BEGIN CERTIFICATE-----\nAA\n"] {
            assert!(ServerCertificate::from_pem(text.as_bytes(), b"").is_err(), "{text:?}");
        }
    }
}
