//! Flyte's own discovery: `flyteidl2.auth.AuthMetadataService`.

use std::{collections::BTreeMap, time::Duration};

use flyte_config::Endpoint;
use flyte_idl::flyteidl2::auth::GetOAuth2MetadataResponse;
use reqwest::{StatusCode, header};
use url::Url;

use super::{
    AUTHORIZATION_ENDPOINT, DEVICE_ENDPOINT, MAX_DOCUMENT_BYTES, Provider, default_redirect_uri,
    discovery_error, leave_out,
};
use crate::{
    AuthError,
    answer::{Intermediary, Members, excerpt, is_page},
    http::{Http, read},
    token::clean,
};

/// The outcome of a call.
pub(super) enum Answer<M> {
    /// The message.
    Message(M),
    /// The server does not have the method.
    NotOffered {
        /// Whether the answer comes from a control plane, rather than from any web server.
        by_control_plane: bool,
        /// The answer, in words.
        description: String,
    },
}

impl<M> Answer<M> {
    pub(super) fn message(self) -> Option<M> {
        match self {
            Self::Message(message) => Some(message),
            Self::NotOffered { .. } => None,
        }
    }
}

/// Makes an anonymous unary call with the Connect protocol.
pub(super) async fn call<M: buffa::Message>(
    http: &Http,
    endpoint: &Endpoint,
    method: &str,
) -> Result<Answer<M>, AuthError> {
    let mut url = endpoint.url().clone();
    url.set_path(&format!("{}flyteidl2.auth.AuthMetadataService/{method}", endpoint.url().path()));
    let response = http
        .post(url)?
        .header(header::CONTENT_TYPE, "application/proto")
        .header("connect-protocol-version", "1")
        .timeout(Duration::from_secs(30))
        .send()
        .await
        .map_err(|error| http.unreachable(endpoint.url(), error))?;
    let (status, headers) = (response.status(), response.headers().clone());
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.to_ascii_lowercase();
    let body =
        read(response, MAX_DOCUMENT_BYTES).await.map_err(|error| http.unreachable(endpoint.url(), error))?;
    let Some(body) = body else {
        return Err(discovery_error(
            endpoint,
            format!("{method} answered with more than {MAX_DOCUMENT_BYTES} bytes"),
        ));
    };
    let may_be_message =
        kind.is_empty() || kind.contains("proto") || kind.starts_with("application/octet-stream");
    if status == StatusCode::OK && may_be_message {
        return M::decode_from_slice(&body).map(Answer::Message).map_err(|error| {
            discovery_error(
                endpoint,
                format!("{method} answered with bytes that are not its message ({error})"),
            )
        });
    }
    let answer = Intermediary::of(status, &headers, &body);
    // The code of a Connect error (connectrpc.com/docs/protocol, "Error end-stream").
    let code = Members::parse(&body).ok().and_then(|error| error.text(&["code"]).ok()?);
    let not_offered = |by_control_plane| Answer::NotOffered {
        by_control_plane,
        description: format!("{method} answered {answer}"),
    };
    match (status, code.as_deref()) {
        (status, Some("unimplemented" | "not_found")) if !status.is_success() => Ok(not_offered(true)),
        (StatusCode::NOT_IMPLEMENTED, _) if !is_page(&kind) => Ok(not_offered(true)),
        (status, _) if status.is_redirection() => {
            let answer = match headers.get(header::LOCATION).and_then(|location| location.to_str().ok()) {
                Some(location) => {
                    let location = clean(location.split(['?', '#']).next().unwrap_or_default());
                    format!("with a redirect to {location} ({status})")
                }
                None => format!("with a redirect ({status})"),
            };
            Err(AuthError::WrongEndpoint { url: endpoint.url().to_string(), answer })
        }
        (StatusCode::OK | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::GONE, _)
            if is_page(&kind) =>
        {
            let title = answer.words.map(|words| format!(", {words:?}")).unwrap_or_default();
            let answer = format!("with a web page ({status}{title})");
            Err(AuthError::WrongEndpoint { url: endpoint.url().to_string(), answer })
        }
        (StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::UNSUPPORTED_MEDIA_TYPE, _) => {
            Ok(not_offered(false))
        }
        (status, _) if status.is_success() => {
            let kind = if kind.is_empty() { "no media type".to_owned() } else { clean(&kind) };
            Err(discovery_error(endpoint, format!("{method} answered with {kind}: it is {}", excerpt(&body))))
        }
        _ => Err(AuthError::Answered { url: endpoint.url().to_string(), answer: Box::new(answer) }),
    }
}

/// The provider that `GetOAuth2Metadata` describes.
pub(super) fn provider(
    metadata: &GetOAuth2MetadataResponse,
    endpoint: &Endpoint,
) -> Result<Provider, AuthError> {
    let mut unusable = BTreeMap::new();
    let mut url = |member: &'static str, text: &str| {
        let text = text.trim();
        let url = Url::parse(text).ok().filter(Url::has_host);
        if url.is_none() && !text.is_empty() {
            leave_out(&mut unusable, member, format!("{:?}", clean(text)));
        }
        url
    };
    let authorization_endpoint = url(AUTHORIZATION_ENDPOINT, &metadata.authorization_endpoint);
    let device_authorization_endpoint = url(DEVICE_ENDPOINT, &metadata.device_authorization_endpoint);
    let token_endpoint = Url::parse(metadata.token_endpoint.trim()).map_err(|error| {
        let found = clean(&metadata.token_endpoint);
        discovery_error(endpoint, format!("its token_endpoint is {found:?}, which is not a URL: {error}"))
    })?;
    Ok(Provider {
        issuer: metadata.issuer.clone(),
        authorization_endpoint,
        token_endpoint,
        device_authorization_endpoint,
        revocation_endpoint: None,
        client_id: None,
        redirect_uri: default_redirect_uri(endpoint)?,
        scopes: Vec::new(),
        audience: None,
        header: header::AUTHORIZATION.to_string(),
        answers_with_issuer: false,
        flyte: true,
        client_authentication: metadata.token_endpoint_auth_methods_supported.clone(),
        others: url("jwks_uri", &metadata.jwks_uri)
            .map(|url| ("jwks_uri".to_owned(), url))
            .into_iter()
            .collect(),
        unusable,
    })
}
