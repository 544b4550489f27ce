//! The well-known documents of authorization servers: RFC 8414 and OpenID Connect Discovery.

use std::{collections::BTreeMap, time::Duration};

use flyte_config::Endpoint;
use reqwest::{StatusCode, header};
use url::Url;

use super::{
    AUTHORIZATION_ENDPOINT, DEFAULT_SCOPES, DEVICE_ENDPOINT, MAX_DOCUMENT, Provider, REVOCATION_ENDPOINT,
    TOKEN_ENDPOINT, default_redirect_uri, discovery, url_is_left_out,
};
use crate::{
    AuthError,
    answer::Members,
    http::{Http, read},
};

/// The endpoints that have a field of their own.
const USED: [&str; 4] = [AUTHORIZATION_ENDPOINT, TOKEN_ENDPOINT, DEVICE_ENDPOINT, REVOCATION_ENDPOINT];

/// Provider metadata as both documents have it (RFC 8414 section 2). Only what is used is read, and a member that cannot be
/// used is left out.
#[derive(Debug)]
pub(super) struct WellKnown {
    pub(super) issuer: String,
    authorization_endpoint: Option<Url>,
    token_endpoint: Option<Url>,
    device_authorization_endpoint: Option<Url>,
    pub(super) revocation_endpoint: Option<Url>,
    scopes: Vec<String>,
    client_authentication: Vec<String>,
    /// `authorization_response_iss_parameter_supported` (RFC 9207 section 3).
    pub(super) answers_with_issuer: bool,
    pub(super) others: BTreeMap<String, Url>,
    unusable: BTreeMap<String, String>,
}

impl WellKnown {
    fn read(answer: &Members) -> Self {
        let mut unusable = BTreeMap::new();
        let mut url = |member: &'static str| match answer.url(&[member]) {
            Ok(url) => url,
            Err(error) => {
                url_is_left_out(&mut unusable, member, error.came);
                None
            }
        };
        Self {
            authorization_endpoint: url(AUTHORIZATION_ENDPOINT),
            token_endpoint: url(TOKEN_ENDPOINT),
            device_authorization_endpoint: url(DEVICE_ENDPOINT),
            revocation_endpoint: url(REVOCATION_ENDPOINT),
            issuer: answer.text(&["issuer"]).ok().flatten().unwrap_or_default(),
            scopes: answer.list(&["scopes_supported"]),
            client_authentication: answer.list(&["token_endpoint_auth_methods_supported"]),
            answers_with_issuer: answer
                .flag(&["authorization_response_iss_parameter_supported"])
                .ok()
                .flatten()
                .unwrap_or_default(),
            others: answer
                .endpoints()
                .filter(|(name, _)| {
                    !USED.iter().any(|used| used.replace('_', "") == name.replace('_', "").to_lowercase())
                })
                .map(|(name, url)| (name.to_owned(), url))
                .collect(),
            unusable,
        }
    }

    /// The provider that it describes.
    pub(super) fn provider(self, endpoint: &Endpoint) -> Result<Provider, AuthError> {
        // The issuer may differ from the endpoint: a control plane proxies the document of its external provider. What is
        // trusted is the endpoint, reached over TLS, that the person configured.
        let supported = self.scopes;
        Ok(Provider {
            issuer: self.issuer,
            authorization_endpoint: self.authorization_endpoint,
            token_endpoint: self
                .token_endpoint
                .ok_or_else(|| discovery(endpoint, "its well-known document has no token_endpoint"))?,
            device_authorization_endpoint: self.device_authorization_endpoint,
            revocation_endpoint: self.revocation_endpoint,
            client_id: None,
            redirect_uri: default_redirect_uri(endpoint)?,
            scopes: DEFAULT_SCOPES
                .iter()
                .filter(|scope| supported.is_empty() || supported.iter().any(|known| known == *scope))
                .map(|scope| (*scope).to_owned())
                .collect(),
            audience: None,
            header: header::AUTHORIZATION.to_string(),
            answers_with_issuer: self.answers_with_issuer,
            flyte: false,
            client_authentication: self.client_authentication,
            others: self.others,
            unusable: self.unusable,
        })
    }
}

/// The first document that is there, and names a token endpoint where one is `needed`; else what is wrong with the one that
/// is there.
pub(super) async fn first(http: &Http, issuer: &Url, needed: bool) -> Result<WellKnown, Option<String>> {
    let mut wrong = None;
    for url in addresses(issuer) {
        match document(http, url.clone()).await {
            Ok(None) => {}
            Ok(Some(found)) if found.token_endpoint.is_some() || !needed => return Ok(found),
            Ok(Some(found)) => {
                if let Some(came) = found.unusable.get(TOKEN_ENDPOINT) {
                    wrong.get_or_insert(format!("the token_endpoint in {url} is {came}"));
                }
            }
            Err(came) => {
                wrong.get_or_insert(format!("{url} cannot be used: {came}"));
            }
        }
    }
    Err(wrong)
}

/// Where an issuer's document may be.
fn addresses(issuer: &Url) -> Vec<Url> {
    const OAUTH: &str = ".well-known/oauth-authorization-server";
    let path = issuer.path().trim_end_matches('/');
    // RFC 8414 puts the issuer's path behind the well-known part; OpenID Connect Discovery, and some servers for both, put
    // it before.
    let mut paths = vec![format!("/{OAUTH}{path}"), format!("{path}/.well-known/openid-configuration")];
    if !path.is_empty() {
        paths.push(format!("{path}/{OAUTH}"));
    }
    let at = |path: &String| {
        let mut url = issuer.clone();
        url.set_path(path);
        url.set_query(None);
        url
    };
    paths.iter().map(at).collect()
}

/// The document, `None` where there is none; else what came in its place.
async fn document(http: &Http, url: Url) -> Result<Option<WellKnown>, String> {
    let request = http.get(url).map_err(|error| error.to_string())?;
    let request = request.header(header::ACCEPT, "application/json").timeout(Duration::from_secs(30));
    let Ok(response) = request.send().await else { return Ok(None) };
    if response.status() != StatusCode::OK {
        return Ok(None);
    }
    let Ok(body) = read(response, MAX_DOCUMENT).await else { return Ok(None) };
    let body = body.ok_or_else(|| format!("it is longer than {MAX_DOCUMENT} bytes"))?;
    let answer = match Members::parse(&body) {
        Ok(answer) => answer,
        // A server that answers everything with its start page has no document.
        Err(came) if came.starts_with("a web page") => return Ok(None),
        Err(came) => return Err(format!("it is {came}")),
    };
    let found = WellKnown::read(&answer);
    let says_nothing = found.issuer.is_empty()
        && found.token_endpoint.is_none()
        && found.authorization_endpoint.is_none()
        && found.unusable.is_empty();
    Ok((!says_nothing).then_some(found))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;

    fn read(document: &Value) -> WellKnown {
        WellKnown::read(&Members::parse(document.to_string().as_bytes()).unwrap())
    }

    #[test]
    fn both_spellings_are_read() {
        let found = read(&json!({
            "issuer": "https://x",
            "authorizationEndpoint": "https://x/a",
            "tokenEndpoint": "https://x/t",
            "deviceAuthorizationEndpoint": "https://x/d",
            "revocationEndpoint": null,
            "scopesSupported": ["openid", null, ""],
            "tokenEndpointAuthMethodsSupported": "client_secret_basic client_secret_post",
            "authorizationResponseIssParameterSupported": "true",
            "jwksUri": "https://keys/",
        }));
        assert_eq!(found.others.keys().collect::<Vec<_>>(), ["jwksUri"]);
        assert_eq!(found.token_endpoint.unwrap().as_str(), "https://x/t");
        assert!(found.authorization_endpoint.is_some() && found.device_authorization_endpoint.is_some());
        assert_eq!((found.scopes, found.client_authentication.len()), (vec!["openid".to_owned()], 2));
        assert!(found.answers_with_issuer && found.unusable.is_empty());
    }

    #[test]
    fn an_issuers_path_is_before_or_behind() {
        let all = addresses(&"https://x/tenant/?q".parse().unwrap());
        let all: Vec<_> = all.iter().map(Url::as_str).collect();
        assert_eq!(
            all,
            [
                "https://x/.well-known/oauth-authorization-server/tenant",
                "https://x/tenant/.well-known/openid-configuration",
                "https://x/tenant/.well-known/oauth-authorization-server",
            ]
        );
        assert_eq!(addresses(&"https://x/".parse().unwrap()).len(), 2);
    }

    /// What some server may write where something else is expected.
    fn oddity() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            Just(json!("")),
            Just(json!([])),
            Just(json!({})),
            Just(json!({ "a": 1 })),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "\\PC{0,20}".prop_map(Value::from),
            proptest::collection::vec("\\PC{0,9}", 0..3).prop_map(Value::from),
        ]
    }

    proptest! {
        #[test]
        fn no_other_member_makes_a_document_unusable(
            odd in proptest::collection::vec(oddity(), 8),
            others in proptest::collection::hash_map("[a-z_]{1,12}", oddity(), 0..5),
        ) {
            let names = [
                "authorization_endpoint", "device_authorization_endpoint", "revocation_endpoint", "scopes_supported",
                "token_endpoint_auth_methods_supported", "authorization_response_iss_parameter_supported", "jwks_uri",
                "response_types_supported",
            ];
            let mut document: Map<String, Value> = others.into_iter().collect();
            document.extend(names.into_iter().map(str::to_owned).zip(odd));
            document.insert("issuer".into(), json!("https://x"));
            document.insert("token_endpoint".into(), json!("https://x/t"));
            let found = read(&Value::Object(document));
            prop_assert_eq!(&found.issuer, "https://x");
            prop_assert_eq!(found.token_endpoint.as_ref().map(Url::as_str), Some("https://x/t"));
        }
    }
}
