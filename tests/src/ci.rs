//! A CI system that issues tokens to its jobs (OpenID Connect).

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use rcgen::{KeyPair, PKCS_ED25519, SigningKey as _};
use serde_json::{Value, json};

/// A CI system that signs its jobs' tokens, and publishes its key at an address of this machine.
#[derive(Debug)]
pub struct Ci {
    url: String,
    signer: Arc<Mutex<Signer>>,
    published: Arc<Mutex<Vec<Value>>>,
}

#[derive(Debug)]
struct Signer {
    key: KeyPair,
    kid: String,
}

impl Ci {
    /// Starts a CI system with its first key.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let published = Arc::default();
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let signer = Arc::new(Mutex::new(Signer { key, kid: String::new() }));
        let (keys, issuer, signing) = (Arc::clone(&published), url.clone(), Arc::clone(&signer));
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                answer(connection, &issuer, &keys, &signing);
            }
        });
        let mut ci = Self { url, signer, published };
        ci.rotate("k1");
        ci
    }

    /// `iss` of its tokens.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.url
    }

    /// Signs with a new key from now on, and publishes it together with the old one.
    pub fn rotate(&mut self, kid: &str) {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let x = BASE64_URL_SAFE_NO_PAD.encode(key.public_key_raw());
        *self.signer.lock().unwrap() = Signer { key, kid: kid.to_owned() };
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": x});
        self.published.lock().unwrap().push(jwk);
    }

    /// A job's token for `audience`, with further claims.
    #[must_use]
    pub fn token(&self, audience: &str, claims: Value) -> String {
        self.signer.lock().unwrap().token(&self.url, audience, claims)
    }

    /// The variables with which a GitHub job with `id-token: write` requests its tokens.
    #[must_use]
    pub fn github_variables(&self) -> [(&'static str, String); 2] {
        [
            ("ACTIONS_ID_TOKEN_REQUEST_URL", format!("{}/github?api-version=2.0", self.url)),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "the-jobs-request-token".to_owned()),
        ]
    }
}

impl Signer {
    fn token(&self, issuer: &str, audience: &str, claims: Value) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let mut payload = json!({
            "iss": issuer, "aud": audience, "iat": now, "nbf": now - 5, "exp": now + 300,
            "sub": "repo:acme/app:ref:refs/heads/main", "repository": "acme/app", "ref": "refs/heads/main",
        });
        for (name, value) in claims.as_object().unwrap() {
            payload[name] = value.clone();
        }
        let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": self.kid});
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&payload));
        let signature = self.key.sign(signed.as_bytes()).unwrap();
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}

fn answer(mut connection: TcpStream, issuer: &str, keys: &Mutex<Vec<Value>>, signer: &Mutex<Signer>) {
    let mut line = String::new();
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    reader.read_line(&mut line).unwrap();
    let (mut header, mut bearer) = (String::new(), String::new());
    while reader.read_line(&mut header).is_ok_and(|length| length > 2) {
        if header.to_ascii_lowercase().starts_with("authorization:") {
            bearer.clone_from(&header);
        }
        header.clear();
    }
    let body = if line.contains("/.well-known/openid-configuration ") {
        json!({"issuer": issuer, "jwks_uri": format!("{issuer}/jwks")})
    } else if let Some(target) = line.split(' ').nth(1).filter(|target| target.starts_with("/github?")) {
        assert!(bearer.trim().ends_with("Bearer the-jobs-request-token"), "{bearer}");
        let url = reqwest::Url::parse(&format!("{issuer}{target}")).unwrap();
        let audience = url.query_pairs().find(|(name, _)| name == "audience").unwrap().1.into_owned();
        json!({"value": signer.lock().unwrap().token(issuer, &audience, json!({}))})
    } else {
        json!({"keys": *keys.lock().unwrap()})
    };
    let body = body.to_string();
    let _ = write!(
        connection,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
}
