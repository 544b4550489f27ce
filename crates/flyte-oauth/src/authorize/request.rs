//! Parsing and validation of an authorization request (RFC 6749 section 4.1.1, OpenID Connect Core section 3.1.2.1),
//! with all rules that need only the request and the client's registration.

use secrecy::SecretString;

use crate::{
    error::{ErrorCode, OAuthError},
    parameters::{ParameterError, Parameters},
    pkce, redirect_uri, resource,
};
use flyte_model::{GrantType, Scopes};
use flyte_store::Client;

/// Client and redirect URI of a request. The browser is not redirected before they are known to belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// `client_id`.
    pub client_id: &'a str,
    /// `redirect_uri`.
    pub redirect_uri: &'a str,
}

/// The reason why the response cannot be sent to the client. The user sees a page instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// One of the two parameters cannot be parsed.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// One of the two parameters is missing. `redirect_uri` is required even if the client has registered only one:
    /// OpenID Connect requires it, and the token request must repeat it.
    #[error("parameter {0} is missing")]
    Missing(&'static str),
}

impl<'a> Target<'a> {
    /// Parses the two parameters.
    ///
    /// # Errors
    /// [`TargetError`] if one is missing or invalid.
    pub fn parse(parameters: &'a Parameters<'_>) -> Result<Self, TargetError> {
        let required = |name| parameters.one(name)?.ok_or(TargetError::Missing(name));
        Ok(Self { client_id: required("client_id")?, redirect_uri: required("redirect_uri")? })
    }

    /// Whether the client has registered the redirect URI.
    #[must_use]
    pub fn belongs_to(&self, client: &Client) -> bool {
        client.id == self.client_id && redirect_uri::is_registered(&client.redirect_uris, self.redirect_uri)
    }
}

/// The values of `prompt`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// Ask nothing: answer immediately or fail.
    pub none: bool,
    /// Sign in again.
    pub login: bool,
    /// Consent again.
    pub consent: bool,
    /// Choose an account.
    pub select_account: bool,
}

impl Prompt {
    fn parse(value: &str) -> Option<Self> {
        let mut prompt = Self::default();
        for value in value.split(' ').filter(|value| !value.is_empty()) {
            match value {
                "none" => prompt.none = true,
                "login" => prompt.login = true,
                "consent" => prompt.consent = true,
                "select_account" => prompt.select_account = true,
                _ => return None,
            }
        }
        let asks = prompt.login || prompt.consent || prompt.select_account;
        (!(prompt.none && asks)).then_some(prompt)
    }
}

/// A valid request, which needs a user and consent.
#[derive(Clone, Debug)]
pub struct AuthorizationRequest {
    /// The requested scopes.
    pub scopes: Scopes,
    /// PKCE challenge, method S256.
    pub code_challenge: String,
    /// The audience of the access tokens.
    pub audience: Option<String>,
    /// A value that is copied into the ID token.
    pub nonce: Option<String>,
    /// The pages to show.
    pub prompt: Prompt,
    /// The maximum age of the sign-in, in seconds.
    pub max_age: Option<i64>,
    /// An ID token of the user that the client expects.
    pub id_token_hint: Option<SecretString>,
}

impl AuthorizationRequest {
    /// Validates a request with a valid [`Target`], to which an error response can be sent.
    ///
    /// # Errors
    /// The error for the client.
    pub fn parse(parameters: &Parameters<'_>, client: &Client, issuer: &str) -> Result<Self, OAuthError> {
        refuse_unsupported(parameters)?;
        refuse_other_responses(parameters)?;
        if !client.grant_types.contains(&GrantType::AuthorizationCode) {
            return Err(OAuthError::new(
                ErrorCode::UnauthorizedClient,
                "the client is not registered for authorization_code",
            ));
        }
        let code_challenge = code_challenge(parameters)?;
        let scopes: Scopes = parameters.one("scope")?.unwrap_or_default().parse()?;
        scopes.require_within(&client.scopes)?;
        let prompt = Prompt::parse(parameters.one("prompt")?.unwrap_or_default()).ok_or_else(|| {
            OAuthError::invalid_request(
                "prompt must be either none, or a combination of login, consent and select_account",
            )
        })?;
        let max_age = parameters.one("max_age")?.map(max_age).transpose()?;
        // Other code uses these two values (the redirect and the sign-in page). Reading them here refuses repeated
        // ones.
        parameters.one("state")?;
        parameters.one("login_hint")?;
        Ok(Self {
            scopes,
            code_challenge,
            audience: resource::requested(parameters, issuer)?,
            nonce: parameters.one("nonce")?.map(ToOwned::to_owned),
            prompt,
            max_age,
            id_token_hint: parameters.one("id_token_hint")?.map(SecretString::from),
        })
    }

    /// Whether the request needs a new sign-in, however recent the last one is. `max_age=0` is the same as
    /// `prompt=login` (OpenID Connect Core section 15.1).
    #[must_use]
    pub fn wants_new_sign_in(&self) -> bool {
        self.prompt.login || self.max_age == Some(0)
    }
}

/// Refuses parameters that would change the meaning of the others (OpenID Connect Core section 3.1.2.6).
fn refuse_unsupported(parameters: &Parameters<'_>) -> Result<(), OAuthError> {
    for (name, code) in [
        ("request", ErrorCode::RequestNotSupported),
        ("request_uri", ErrorCode::RequestUriNotSupported),
        ("registration", ErrorCode::RegistrationNotSupported),
    ] {
        if parameters.one(name)?.is_some() {
            return Err(OAuthError::new(code, format!("parameter {name} is not supported")));
        }
    }
    Ok(())
}

/// Refuses every response type except a code in the query: a token in a URL would be stored in histories and logs
/// (RFC 9700 section 2.1.2).
fn refuse_other_responses(parameters: &Parameters<'_>) -> Result<(), OAuthError> {
    match parameters.one("response_type")? {
        Some("code") => {}
        Some(_) => {
            let description = "response_type must be code";
            return Err(OAuthError::new(ErrorCode::UnsupportedResponseType, description));
        }
        None => return Err(OAuthError::invalid_request("response_type is missing; it must be code")),
    }
    match parameters.one("response_mode")? {
        None | Some("query") => Ok(()),
        Some(_) => Err(OAuthError::invalid_request("response_mode must be query")),
    }
}

/// Returns the PKCE challenge. Every client must send one, also a client with a secret (RFC 9700 section 2.1.1).
fn code_challenge(parameters: &Parameters<'_>) -> Result<String, OAuthError> {
    let challenge = parameters.one("code_challenge")?;
    // Without a method, the method would be `plain` (RFC 7636 section 4.3).
    if parameters.one("code_challenge_method")? != Some(pkce::METHOD) {
        return Err(OAuthError::invalid_request("PKCE is required: code_challenge_method must be S256"));
    }
    challenge.filter(|challenge| pkce::is_challenge(challenge)).map(ToOwned::to_owned).ok_or_else(|| {
        OAuthError::invalid_request(
            "PKCE is required: code_challenge must be the base64url form of a SHA-256 digest",
        )
    })
}

/// Parses `max_age`: the maximum age of the sign-in, in seconds.
///
/// # Errors
/// `invalid_request` if it is not a whole number.
pub fn max_age(value: &str) -> Result<i64, OAuthError> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    value
        .parse()
        .ok()
        .filter(|_| digits)
        .ok_or_else(|| OAuthError::invalid_request("max_age must be a whole number of seconds"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use flyte_model::{ClientId, Scope};
    use flyte_store::ClientKind;

    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    const ISSUER: &str = "https://localhost:8443";

    fn client() -> Client {
        Client {
            id: ClientId::from_static("flyte"),
            name: "Flyte".into(),
            kind: ClientKind::Public,
            secret_hash: None,
            jwks: None,
            redirect_uris: vec!["http://localhost:53593/callback".into()],
            post_logout_redirect_uris: vec![],
            grant_types: vec![GrantType::AuthorizationCode, GrantType::RefreshToken],
            scopes: [Scope::OPENID, Scope::ALL].into(),
            first_party: true,
            may_keep_api_keys: false,
            id_token_signed_response_alg: None,
            created_at: 0,
        }
    }

    fn good() -> Vec<(&'static str, &'static str)> {
        vec![
            ("client_id", "flyte"),
            ("redirect_uri", "http://localhost:53593/callback"),
            ("response_type", "code"),
            ("scope", "openid all"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ]
    }

    fn encode(pairs: &[(&str, &str)]) -> String {
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
    }

    fn parse(query: &str) -> Result<AuthorizationRequest, OAuthError> {
        AuthorizationRequest::parse(&Parameters::parse(query.as_bytes()).unwrap(), &client(), ISSUER)
    }

    /// The valid request with one parameter replaced, added, or removed (if empty).
    fn with(name: &'static str, value: &'static str) -> Result<AuthorizationRequest, ErrorCode> {
        let mut pairs = good();
        pairs.retain(|(known, _)| *known != name);
        pairs.push((name, value));
        parse(&encode(&pairs)).map_err(|error| error.code)
    }

    #[test]
    fn a_valid_request_is_parsed() {
        let request = parse(&encode(&good())).unwrap();
        assert_eq!(request.scopes, [Scope::OPENID, Scope::ALL].into());
        assert_eq!(request.code_challenge, CHALLENGE);
        assert_eq!((request.audience, request.nonce, request.max_age), (None, None, None));
        assert_eq!(request.prompt, Prompt::default());
        assert_eq!(with("nonce", "a+b %").unwrap().nonce.unwrap(), "a+b %");
        assert_eq!(with("audience", ISSUER).unwrap().audience.unwrap(), ISSUER);
        assert_eq!(with("max_age", "0").unwrap().max_age, Some(0));
        let prompt = with("prompt", "login consent").unwrap().prompt;
        assert_eq!(prompt, Prompt { login: true, consent: true, ..Prompt::default() });
        assert!(with("response_mode", "query").is_ok());
        assert!(with("claims", "{}").is_ok(), "unknown parameters are ignored");
    }

    #[test]
    fn each_rule_refuses_with_its_code() {
        for (name, value, code) in [
            ("response_type", "", ErrorCode::InvalidRequest),
            ("response_type", "token", ErrorCode::UnsupportedResponseType),
            ("response_type", "code id_token", ErrorCode::UnsupportedResponseType),
            ("response_type", "id_token", ErrorCode::UnsupportedResponseType),
            ("response_type", "none", ErrorCode::UnsupportedResponseType),
            ("response_type", "CODE", ErrorCode::UnsupportedResponseType),
            ("response_mode", "fragment", ErrorCode::InvalidRequest),
            ("response_mode", "form_post", ErrorCode::InvalidRequest),
            ("response_mode", "query.jwt", ErrorCode::InvalidRequest),
            ("code_challenge", "", ErrorCode::InvalidRequest),
            ("code_challenge", "short", ErrorCode::InvalidRequest),
            ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM", ErrorCode::InvalidRequest),
            ("code_challenge_method", "", ErrorCode::InvalidRequest),
            ("code_challenge_method", "plain", ErrorCode::InvalidRequest),
            ("code_challenge_method", "s256", ErrorCode::InvalidRequest),
            ("scope", "", ErrorCode::InvalidScope),
            ("scope", "openid email", ErrorCode::InvalidScope),
            ("scope", "open\"id", ErrorCode::InvalidScope),
            ("prompt", "none login", ErrorCode::InvalidRequest),
            ("prompt", "create", ErrorCode::InvalidRequest),
            ("prompt", "LOGIN", ErrorCode::InvalidRequest),
            ("max_age", "-1", ErrorCode::InvalidRequest),
            ("max_age", "+1", ErrorCode::InvalidRequest),
            ("max_age", "1.5", ErrorCode::InvalidRequest),
            ("max_age", "99999999999999999999", ErrorCode::InvalidRequest),
            ("request", "e30.e30.", ErrorCode::RequestNotSupported),
            ("request_uri", "https://a.example/", ErrorCode::RequestUriNotSupported),
            ("registration", "{}", ErrorCode::RegistrationNotSupported),
            ("resource", "https://other.example", ErrorCode::InvalidTarget),
            ("audience", "other", ErrorCode::InvalidTarget),
        ] {
            assert_eq!(with(name, value).err(), Some(code), "{name}={value}");
        }
    }

    #[test]
    fn no_known_parameter_may_be_repeated() {
        for name in [
            "response_type",
            "response_mode",
            "code_challenge",
            "code_challenge_method",
            "scope",
            "state",
            "nonce",
            "prompt",
            "max_age",
            "login_hint",
            "id_token_hint",
            "audience",
            "request",
            "request_uri",
            "registration",
        ] {
            let mut pairs = good();
            match pairs.iter().find(|(known, _)| *known == name) {
                Some(pair) => pairs.push(*pair),
                None => pairs.extend([(name, ""), (name, "")]),
            }
            let error = parse(&encode(&pairs)).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidRequest, "{name}");
            assert!(error.description.contains(name), "{error}");
        }
        assert!(parse(&(encode(&good()) + "&foreign=1&foreign=2")).is_ok());
    }

    #[test]
    fn a_client_without_the_grant_is_refused() {
        let client = Client { grant_types: vec![GrantType::ClientCredentials], ..client() };
        let query = encode(&good());
        let parameters = Parameters::parse(query.as_bytes()).unwrap();
        let error = AuthorizationRequest::parse(&parameters, &client, ISSUER).unwrap_err();
        assert_eq!(error.code, ErrorCode::UnauthorizedClient);
    }

    #[test]
    fn the_target_needs_both_parameters_exactly_once() {
        for (query, expected) in [
            ("client_id=a&redirect_uri=b", Ok(("a", "b"))),
            ("redirect_uri=b", Err(TargetError::Missing("client_id"))),
            ("client_id=a&redirect_uri=", Err(TargetError::Missing("redirect_uri"))),
            ("client_id=a&client_id=a&redirect_uri=b", Err(ParameterError::Repeated("client_id").into())),
            (
                "client_id=a&redirect_uri=b&redirect_uri=c",
                Err(ParameterError::Repeated("redirect_uri").into()),
            ),
        ] {
            let parameters = Parameters::parse(query.as_bytes()).unwrap();
            let target = Target::parse(&parameters).map(|target| (target.client_id, target.redirect_uri));
            assert_eq!(target, expected, "{query}");
        }
        let belongs = |client_id, redirect_uri| Target { client_id, redirect_uri }.belongs_to(&client());
        assert!(belongs("flyte", "http://localhost:1/callback"));
        assert!(!belongs("flyte", "http://localhost:1/other"));
        assert!(!belongs("other", "http://localhost:1/callback"));
    }

    proptest! {
        #[test]
        fn any_query_is_parsed_or_refused(query in proptest::collection::vec(any::<u8>(), 0..512)) {
            if let Ok(parameters) = Parameters::parse(&query) {
                let _ = Target::parse(&parameters);
                let _ = AuthorizationRequest::parse(&parameters, &client(), ISSUER);
            }
        }

        #[test]
        fn the_scopes_never_exceed_the_registered_ones(scope in "(openid|all|email|x| ){0,6}") {
            let mut pairs = good();
            pairs.retain(|(name, _)| *name != "scope");
            pairs.push(("scope", scope.as_str()));
            if let Ok(request) = parse(&encode(&pairs)) {
                prop_assert!(request.scopes.is_within(&client().scopes));
            }
        }
    }
}
