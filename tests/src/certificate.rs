//! Valid and invalid server certificates.

use std::{fs, path::PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tempfile::TempDir;

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing: clients that trust its authority accept it.
    None,
    /// It was valid until 2001.
    Expired,
    /// It is valid from 2099 on.
    NotYetValid,
    /// It is self-signed.
    SelfSigned,
    /// It is for `other.example`.
    AnotherName,
    /// It is marked as an authority, as with `openssl req -x509`.
    Authority,
}

/// A certificate for `localhost` with its key, and the authority that signed it.
#[derive(Debug)]
pub struct Certificate {
    directory: TempDir,
}

impl Certificate {
    /// A certificate from a new authority.
    #[must_use]
    pub fn new(flaw: Flaw) -> Self {
        let directory = TempDir::new().unwrap();
        let (key, authority_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "authority of a test");
        let ca = authority.self_signed(&authority_key).unwrap().pem();
        fs::write(directory.path().join("ca.pem"), ca).unwrap();
        let name = if flaw == Flaw::AnotherName { "other.example" } else { "localhost" };
        let mut leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
        match flaw {
            Flaw::Expired => leaf.not_after = date_time_ymd(2001, 1, 1),
            Flaw::NotYetValid => leaf.not_before = date_time_ymd(2099, 1, 1),
            Flaw::Authority => leaf.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
            Flaw::None | Flaw::SelfSigned | Flaw::AnotherName => {}
        }
        let leaf = match flaw {
            Flaw::SelfSigned | Flaw::Authority => leaf.self_signed(&key),
            _ => leaf.signed_by(&key, &Issuer::new(authority, authority_key)),
        };
        let both = leaf.unwrap().pem() + &key.serialize_pem();
        fs::write(directory.path().join("server.pem"), both).unwrap();
        Self { directory }
    }

    /// The certificate of its authority.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// The certificate and its key in one file.
    #[must_use]
    pub fn pem(&self) -> PathBuf {
        self.directory.path().join("server.pem")
    }
}
