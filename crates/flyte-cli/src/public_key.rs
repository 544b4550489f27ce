//! Reads a signing client's public keys (RFC 7523) from a file, as a JSON Web Key Set (RFC 7517).

use std::fs;
use std::io::Read as _;
use std::path::Path;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;
use zeroize::Zeroizing;

use crate::failure::{Exit, Failure};

/// The maximum size of the file, in bytes.
const MAX_FILE: u64 = 64 * 1024;

/// Reads a JWK set, a single JWK, or a PEM public key (`BEGIN PUBLIC KEY`) as a key set.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    let failed = |why: String| Failure::new(format!("cannot use the public key {}", path.display())).why(why);
    // The file may be the private key by mistake.
    let mut text = Zeroizing::new(String::new());
    fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE).read_to_string(&mut text))
        .map_err(|error| failed(error.to_string()).next("Check the name of the file."))?;
    key_set(&text).map_err(|why| {
        let public =
            format!("Extract the public key: openssl pkey -in PRIVATE.pem -pubout -out {}", path.display());
        failed(why.to_owned()).next(public).exit(Exit::Usage)
    })
}

fn key_set(text: &str) -> Result<String, &'static str> {
    const PRIVATE: &str = "it contains a private key, which must stay with the client; nothing was sent";
    if text.contains("PRIVATE KEY-----") {
        return Err(PRIVATE);
    }
    if !text.trim_start().starts_with('{') {
        let (pem, _) = Pem::read(std::io::Cursor::new(text)).map_err(|_| "it is neither JSON nor PEM")?;
        return Ok(json!({ "keys": [jwk(&pem)?] }).to_string());
    }
    let value: Value = serde_json::from_str(text).map_err(|_| "it is not JSON")?;
    let keys = match value.get("keys") {
        Some(Value::Array(keys)) if !keys.is_empty() => keys.clone(),
        None if value.get("kty").is_some() => vec![value],
        _ => return Err("it is not a JSON Web Key Set, because it has no keys"),
    };
    // Members of private and symmetric keys (RFC 7518 section 6).
    if keys.iter().any(|key| ["d", "p", "q", "k"].into_iter().any(|name| key.get(name).is_some())) {
        return Err(PRIVATE);
    }
    Ok(json!({ "keys": keys }).to_string())
}

/// RFC 7518 section 6.
fn jwk(pem: &Pem) -> Result<Value, &'static str> {
    const OTHER: &str = "it is not an EC P-256 or RSA public key";
    if pem.label != "PUBLIC KEY" {
        return Err("it is PEM, but not a public key (BEGIN PUBLIC KEY)");
    }
    let (_, info) = SubjectPublicKeyInfo::from_der(&pem.contents).map_err(|_| OTHER)?;
    let base64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    match info.parsed().map_err(|_| OTHER)? {
        PublicKey::RSA(key) => {
            let bare = |bytes: &[u8]| base64(&bytes[bytes.iter().take_while(|byte| **byte == 0).count()..]);
            Ok(json!({ "kty": "RSA", "n": bare(key.modulus), "e": bare(key.exponent) }))
        }
        PublicKey::EC(point) => {
            let curve = info.algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok());
            match (curve.map(|curve| curve.to_id_string()).as_deref(), point.data()) {
                // Uncompressed (SEC 1 section 2.3.3).
                (Some("1.2.840.10045.3.1.7"), [4, point @ ..]) if point.len() == 64 => {
                    let (x, y) = point.split_at(32);
                    Ok(json!({ "kty": "EC", "crv": "P-256", "x": base64(x), "y": base64(y) }))
                }
                _ => Err(OTHER),
            }
        }
        _ => Err(OTHER),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `openssl ecparam -name prime256v1 -genkey | openssl pkey -pubout`
    const EC: &str = "-----BEGIN PUBLIC KEY-----\n\
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAERlfAyluxPAXzXKObwX20j95Yv6cj\n\
        YbSCG6ZpPya0+atHEtNKH2Car1uzeJmua+GFZjJscJX3k4sMZ6MZJr7Ueg==\n\
        -----END PUBLIC KEY-----\n";

    #[test]
    fn public_key_becomes_a_key_set() {
        let set: Value = serde_json::from_str(&key_set(EC).unwrap()).unwrap();
        let key = &set["keys"][0];
        assert_eq!((&key["kty"], &key["crv"]), (&json!("EC"), &json!("P-256")));
        assert_eq!(
            (&key["x"], &key["y"]),
            (
                &json!("RlfAyluxPAXzXKObwX20j95Yv6cjYbSCG6ZpPya0-as"),
                &json!("RxLTSh9gmq9bs3iZrmvhhWYybHCV95OLDGejGSa-1Ho")
            )
        );
        // JSON is unchanged; a single key becomes a set.
        assert_eq!(key_set(&set.to_string()).unwrap(), set.to_string());
        assert_eq!(key_set(&key.to_string()).unwrap(), set.to_string());
    }

    #[test]
    fn anything_except_a_public_key_is_refused() {
        for (text, expected) in [
            ("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n", "private key"),
            (r#"{"kty":"EC","crv":"P-256","x":"a","y":"b","d":"s3cret"}"#, "private key"),
            (r#"{"keys":[{"kty":"oct","k":"s3cret"}]}"#, "private key"),
            (r#"{"keys":[]}"#, "no keys"),
            ("{", "not JSON"),
            ("ssh-rsa AAAA", "neither JSON nor PEM"),
            ("-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----\n", "BEGIN PUBLIC KEY"),
        ] {
            let error = key_set(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
