//! A key pair and its algorithm, which never changes.

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
        RsaKeyPair, RsaPublicKeyComponents,
    },
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm,
    jwk::{
        AlgorithmParameters, CommonParameters, EllipticCurve, EllipticCurveKeyParameters,
        EllipticCurveKeyType, Jwk, OctetKeyPairParameters, OctetKeyPairType, PublicKeyUse, RSAKeyParameters,
        RSAKeyType, ThumbprintHash,
    },
};
use zeroize::Zeroizing;

use super::KeyError;

/// The algorithms that the server can sign with (`alg`, RFC 7518 section 3.1 and RFC 8037 section 3.1).
pub const ALGORITHMS: [&str; 3] = ["ES256", "EdDSA", "RS256"];

/// The algorithm that every OpenID Connect client understands and every provider must support (OpenID Connect Core
/// section 15.1, Discovery section 3). So there is always a key for it, whatever algorithm signs access tokens.
pub const RS256: &str = "RS256";

/// The smallest size of RSA keys that is recommended for this decade. A larger size would cost every verifier more.
const RSA_SIZE: KeySize = KeySize::Rsa2048;

/// A private key. It is parsed only once, because parsing costs more than signing.
pub(super) enum KeyPair {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Rs256(RsaKeyPair),
}

impl KeyPair {
    /// Generates a key for `alg`. Also returns its PKCS#8 form, the only form that is ever stored.
    pub(super) fn generate(alg: &str) -> Result<(Self, Zeroizing<Vec<u8>>), KeyError> {
        let failed = |_| KeyError::Crypto("generating a signing key");
        let random = SystemRandom::new();
        let pkcs8 = match alg {
            "ES256" => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
                .map_err(failed)?
                .as_ref()
                .to_vec(),
            "EdDSA" => Ed25519KeyPair::generate_pkcs8(&random).map_err(failed)?.as_ref().to_vec(),
            "RS256" => {
                let pair = RsaKeyPair::generate(RSA_SIZE).map_err(failed)?;
                AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).map_err(failed)?.as_ref().to_vec()
            }
            other => return Err(KeyError::UnsupportedAlgorithm(other.to_owned())),
        };
        let pkcs8 = Zeroizing::new(pkcs8);
        Ok((Self::from_pkcs8(alg, &pkcs8)?, pkcs8))
    }

    /// Parses a key for `alg`.
    pub(super) fn from_pkcs8(alg: &str, pkcs8: &[u8]) -> Result<Self, KeyError> {
        let rejected = |_| KeyError::Crypto("reading a signing key");
        Ok(match alg {
            "ES256" => Self::Es256(
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).map_err(rejected)?,
            ),
            "EdDSA" => Self::EdDsa(Ed25519KeyPair::from_pkcs8(pkcs8).map_err(rejected)?),
            "RS256" => Self::Rs256(RsaKeyPair::from_pkcs8(pkcs8).map_err(rejected)?),
            other => return Err(KeyError::UnsupportedAlgorithm(other.to_owned())),
        })
    }

    /// Returns the name of the algorithm, as in `alg`.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Es256(_) => "ES256",
            Self::EdDsa(_) => "EdDSA",
            Self::Rs256(_) => RS256,
        }
    }

    /// Returns the algorithm of the key.
    pub(super) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Es256(_) => Algorithm::ES256,
            Self::EdDsa(_) => Algorithm::EdDSA,
            Self::Rs256(_) => Algorithm::RS256,
        }
    }

    /// Returns the JWS signature of `message` (RFC 7515 section 5.1).
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let failed = |_| KeyError::Crypto("signing");
        Ok(match self {
            Self::Es256(pair) => pair.sign(&SystemRandom::new(), message).map_err(failed)?.as_ref().to_vec(),
            Self::EdDsa(pair) => pair.try_sign(message).map_err(failed)?.as_ref().to_vec(),
            Self::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
                    .map_err(failed)?;
                signature
            }
        })
    }

    /// Returns the public key in its published form (RFC 7517). Its `kid` is its thumbprint (RFC 7638), so a key has
    /// the same name in every replica.
    pub(super) fn jwk(&self) -> Result<Jwk, KeyError> {
        let algorithm = match self {
            Self::Es256(pair) => {
                // An uncompressed point is 0x04, then x and y with 32 bytes each (SEC 1 section 2.3.3).
                let point = pair.public_key().as_ref();
                let [4, coordinates @ ..] = point else {
                    return Err(KeyError::Crypto("reading a public key"));
                };
                let (x, y) = coordinates.split_at(coordinates.len() / 2);
                AlgorithmParameters::EllipticCurve(EllipticCurveKeyParameters {
                    key_type: EllipticCurveKeyType::EC,
                    curve: EllipticCurve::P256,
                    x: BASE64_URL_SAFE_NO_PAD.encode(x),
                    y: BASE64_URL_SAFE_NO_PAD.encode(y),
                })
            }
            Self::EdDsa(pair) => AlgorithmParameters::OctetKeyPair(OctetKeyPairParameters {
                key_type: OctetKeyPairType::OctetKeyPair,
                curve: EllipticCurve::Ed25519,
                x: BASE64_URL_SAFE_NO_PAD.encode(pair.public_key()),
            }),
            Self::Rs256(pair) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                AlgorithmParameters::RSA(RSAKeyParameters {
                    key_type: RSAKeyType::RSA,
                    n: BASE64_URL_SAFE_NO_PAD.encode(public.n),
                    e: BASE64_URL_SAFE_NO_PAD.encode(public.e),
                })
            }
        };
        let mut jwk = Jwk {
            common: CommonParameters {
                public_key_use: Some(PublicKeyUse::Signature),
                key_algorithm: Some(self.algorithm().into()),
                ..CommonParameters::default()
            },
            algorithm,
        };
        let thumbprint = jwk.thumbprint(ThumbprintHash::SHA256).map_err(KeyError::Jwt)?;
        jwk.common.key_id = Some(thumbprint);
        Ok(jwk)
    }
}
