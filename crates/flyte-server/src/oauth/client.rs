//! Who a client is and how it proves it (RFC 6749 section 2.3).

use aws_lc_rs::constant_time;
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderMap, header};
use secrecy::{ExposeSecret as _, SecretString};
use url::form_urlencoded;

use super::{
    error::{ErrorCode, OAuthError},
    opaque_token,
    parameters::Parameters,
};
use crate::{
    app::App,
    store::{Client, ClientKind},
};

/// Base64 of an `Authorization` header; some clients leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a request says about its client.
#[derive(Debug)]
pub struct Credentials {
    /// `client_id`.
    id: String,
    /// The identifier as it stood in the header, where that reads otherwise: the published client form-encodes the
    /// secret but not the identifier.
    literal_id: Option<String>,
    secret: Option<SecretString>,
}

impl Credentials {
    /// Reads `client_secret_basic`, `client_secret_post` or `none` from a request.
    ///
    /// # Errors
    /// `invalid_request` where the client identifies itself in more than one way or not at all; `invalid_client` where
    /// the header is not one that can be read.
    pub fn parse(headers: &HeaderMap, form: &Parameters<'_>) -> Result<Self, OAuthError> {
        let (form_id, form_secret) = (form.one("client_id")?, form.one("client_secret")?);
        let mut headers = headers.get_all(header::AUTHORIZATION).iter();
        let Some(value) = headers.next() else {
            let id = form_id.ok_or_else(|| OAuthError::invalid_request("client_id is missing"))?;
            return Ok(Self {
                id: id.to_owned(),
                literal_id: None,
                secret: form_secret.map(SecretString::from),
            });
        };
        if headers.next().is_some() || form_secret.is_some() {
            return Err(OAuthError::invalid_request("the client authenticates in more than one way"));
        }
        let credentials = value
            .to_str()
            .ok()
            .and_then(Self::parse_basic)
            .ok_or_else(|| invalid_client("the Authorization header is not one of HTTP Basic"))?;
        match form_id {
            Some(id) if !credentials.is_named(id) => {
                Err(OAuthError::invalid_request("client_id differs between header and body"))
            }
            _ => Ok(credentials),
        }
    }

    /// Reads HTTP Basic, whose two parts are form-encoded before they are joined (RFC 6749 section 2.3.1).
    fn parse_basic(header: &str) -> Option<Self> {
        let (scheme, encoded) = header.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = SecretString::from(String::from_utf8(BASE64.decode(encoded.trim()).ok()?).ok()?);
        let (literal_id, secret) = decoded.expose_secret().split_once(':')?;
        let id = form_decode(literal_id)?;
        let secret = form_decode(secret)?;
        if id.is_empty() {
            return None;
        }
        Some(Self {
            literal_id: (id != literal_id).then(|| literal_id.to_owned()),
            id,
            secret: (!secret.is_empty()).then(|| secret.into()),
        })
    }

    fn is_named(&self, id: &str) -> bool {
        self.id == id || self.literal_id.as_deref() == Some(id)
    }
}

/// Decodes one form-encoded value; `None` where it is not one.
fn form_decode(value: &str) -> Option<String> {
    // The decoder reads pairs. As the value of a name of one letter, `=` means nothing more, `&` is not allowed.
    if value.contains('&') {
        return None;
    }
    let pair = format!("v={value}");
    let (_, decoded) = form_urlencoded::parse(pair.as_bytes()).next()?;
    (!decoded.contains('\u{FFFD}')).then(|| decoded.into_owned())
}

/// The client that sent a request, having proved that it is the one. A public client has nothing to prove it with: what
/// it sends is bound to it by PKCE and by rotation instead.
///
/// # Errors
/// `invalid_client` where it is unknown or did not prove itself the way that it registered, without saying which.
pub async fn authenticate(
    app: &App,
    headers: &HeaderMap,
    form: &Parameters<'_>,
) -> Result<Client, OAuthError> {
    let credentials = Credentials::parse(headers, form)?;
    let mut client = app.store.client_by_id(&credentials.id).await?;
    if let (None, Some(id)) = (&client, &credentials.literal_id) {
        client = app.store.client_by_id(id).await?;
    }
    client
        .filter(|client| proves(client, credentials.secret.as_ref()))
        .ok_or_else(|| invalid_client("the client is unknown, or its secret is missing or wrong"))
}

/// Whether a secret, or its absence, is what the client registered. Compares hashes, in constant time.
fn proves(client: &Client, secret: Option<&SecretString>) -> bool {
    match (client.kind, client.secret_hash, secret) {
        (ClientKind::Public, _, None) => true,
        (ClientKind::Confidential, Some(expected), Some(secret)) => {
            let presented = opaque_token::hash(secret.expose_secret());
            constant_time::verify_slices_are_equal(&presented, &expected).is_ok()
        }
        // A public client that sends a secret is set up wrongly or is not the one that it says.
        (ClientKind::Public, _, Some(_)) | (ClientKind::Confidential, ..) => false,
    }
}

fn invalid_client(description: &'static str) -> OAuthError {
    OAuthError::new(ErrorCode::InvalidClient, description)
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn basic(text: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, format!("Basic {}", STANDARD.encode(text)).parse().unwrap());
        headers
    }

    fn parse(headers: &HeaderMap, form: &str) -> Result<(String, Option<String>), ErrorCode> {
        let credentials = Credentials::parse(headers, &Parameters::parse(form.as_bytes()).unwrap());
        credentials
            .map(|c| (c.id, c.secret.map(|secret| secret.expose_secret().to_owned())))
            .map_err(|error| error.code)
    }

    #[test]
    fn each_method_is_read() {
        let none = HeaderMap::new();
        let with = |secret: &str| Some(secret.to_owned());
        for (headers, form, expected) in [
            (&none, "client_id=a", Ok(("a".to_owned(), None))),
            (&none, "client_id=a&client_secret=", Ok(("a".to_owned(), None))),
            (&none, "client_id=a&client_secret=s%2B", Ok(("a".to_owned(), with("s+")))),
            (&basic("a:s"), "", Ok(("a".to_owned(), with("s")))),
            (&basic("a:s"), "client_id=a", Ok(("a".to_owned(), with("s")))),
            (&basic("a:"), "", Ok(("a".to_owned(), None))),
            (&basic("a%3Ab:p+w%3A%25"), "", Ok(("a:b".to_owned(), with("p w:%")))),
            // What the published client sends for the identifier `my id`.
            (&basic("my id:p+w%3A%25"), "client_id=my+id", Ok(("my id".to_owned(), with("p w:%")))),
            (&none, "", Err(ErrorCode::InvalidRequest)),
            (&none, "client_secret=s", Err(ErrorCode::InvalidRequest)),
            (&none, "client_id=a&client_id=a", Err(ErrorCode::InvalidRequest)),
            (&basic("a:s"), "client_id=b", Err(ErrorCode::InvalidRequest)),
            (&basic("a:s"), "client_secret=s", Err(ErrorCode::InvalidRequest)),
            (&basic("a"), "", Err(ErrorCode::InvalidClient)),
            (&basic(":s"), "", Err(ErrorCode::InvalidClient)),
            (&basic("a:%FF"), "", Err(ErrorCode::InvalidClient)),
            (&basic("a&b:s"), "", Err(ErrorCode::InvalidClient)),
        ] {
            assert_eq!(parse(headers, form), expected, "{headers:?} {form}");
        }
    }

    #[test]
    fn other_headers_are_refused() {
        for value in ["Bearer x", "Basic", "Basic !", "Basic", "Digest a", "Basic gA=="] {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            assert_eq!(parse(&headers, "client_id=a"), Err(ErrorCode::InvalidClient), "{value}");
        }
        let mut two = basic("a:s");
        two.append(header::AUTHORIZATION, "Basic YTpz".parse().unwrap());
        assert_eq!(parse(&two, ""), Err(ErrorCode::InvalidRequest));
        let mut odd = HeaderMap::new();
        odd.insert(header::AUTHORIZATION, "bAsIc   YTpz".parse().unwrap());
        assert_eq!(parse(&odd, ""), Ok(("a".to_owned(), Some("s".to_owned()))));
        odd.insert(header::AUTHORIZATION, "Basic YTpzcw".parse().unwrap());
        assert_eq!(parse(&odd, ""), Ok(("a".to_owned(), Some("ss".to_owned()))));
    }

    #[test]
    fn an_identifier_that_was_not_encoded_is_found_too() {
        let form = Parameters::parse(b"").unwrap();
        let credentials = Credentials::parse(&basic("a+b%41:s"), &form).unwrap();
        assert!(credentials.is_named("a bA") && credentials.is_named("a+b%41") && !credentials.is_named("s"));
    }

    #[test]
    fn a_client_proves_itself_as_it_registered() {
        let client = |kind, secret: Option<&str>| Client {
            id: "a".into(),
            name: "A".into(),
            kind,
            secret_hash: secret.map(opaque_token::hash),
            jwks: None,
            redirect_uris: vec![],
            post_logout_redirect_uris: vec![],
            grant_types: vec![],
            scopes: vec![],
            first_party: false,
            created_at: 0,
        };
        for (kind, registered, presented, expected) in [
            (ClientKind::Public, None, None, true),
            (ClientKind::Public, None, Some("s"), false),
            (ClientKind::Public, Some("s"), Some("s"), false),
            (ClientKind::Confidential, Some("s"), Some("s"), true),
            (ClientKind::Confidential, Some("s"), Some("S"), false),
            (ClientKind::Confidential, Some("s"), None, false),
            (ClientKind::Confidential, None, None, false),
            (ClientKind::Confidential, None, Some("s"), false),
        ] {
            let presented = presented.map(SecretString::from);
            assert_eq!(proves(&client(kind, registered), presented.as_ref()), expected);
        }
    }

    #[test]
    fn the_secret_is_not_in_debug() {
        let form = Parameters::parse(b"").unwrap();
        let credentials = Credentials::parse(&basic("a:hunter2"), &form).unwrap();
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }
}
