//! Distinguishes the responses of the control plane from those of an intermediary in front of it.

use std::time::Duration;

use http::{HeaderMap, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use url::Url;

use crate::{
    AuthError,
    answer::{Intermediary, MAX_PAGE_BYTES, Members, is_page},
};

/// The longest error of a call that is read, in bytes.
const MAX_ERROR_BYTES: usize = 1024 * 1024;
/// The time that the body of an error has to arrive.
const ERROR_TIMEOUT: Duration = Duration::from_secs(10);

/// Returns a response of the Connect protocol or gRPC. Any other response is [`AuthError::Answered`].
pub(super) async fn check(
    url: &Url,
    response: Response<reqwest::Body>,
) -> Result<Response<reqwest::Body>, AuthError> {
    let (status, headers) = (response.status(), response.headers());
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.to_ascii_lowercase();
    let is_call = ["application/grpc", "application/connect+", "application/proto"]
        .iter()
        .any(|prefix| kind.starts_with(prefix));
    let is_missing = matches!(
        status,
        StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::NOT_IMPLEMENTED
    );
    // The caller recognizes redirects and pages of other servers. The answer for a missing method may have any form.
    let is_for_caller =
        status.is_success() || status.is_redirection() || status.is_informational() || is_missing;
    // A gateway may ask for a token in any form. A web page or a password prompt is meant for browsers.
    let asks_for_token = status == StatusCode::UNAUTHORIZED && !is_page(&kind) && !wants_password(headers);
    let is_encoded = headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity");
    if is_call || is_for_caller || asks_for_token || (is_encoded && !is_page(&kind)) {
        return Ok(response);
    }
    let limit = if is_page(&kind) { MAX_PAGE_BYTES } else { MAX_ERROR_BYTES };
    let (parts, mut body) = response.into_parts();
    let mut start = Vec::new();
    let reading = async {
        while start.len() < limit {
            let Some(Ok(frame)) = body.frame().await else { break };
            start.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
        }
    };
    // The status is known already, so an unfinished body is not waited for.
    let _ = tokio::time::timeout(ERROR_TIMEOUT, reading).await;
    // An error of the Connect protocol is a JSON object with a code.
    let has_code = !is_page(&kind)
        && Members::parse(&start).is_ok_and(|error| error.text(&["code"]).is_ok_and(|code| code.is_some()));
    if has_code {
        return Ok(Response::from_parts(parts, reqwest::Body::from(start)));
    }
    let answer = Intermediary::of(parts.status, &parts.headers, &start);
    Err(AuthError::Answered { url: url.origin().ascii_serialization(), answer: Box::new(answer) })
}

/// Whether the response asks for a user name and a password (RFC 7617), which control planes never do.
fn wants_password(headers: &HeaderMap) -> bool {
    let mut challenges =
        headers.get_all(header::WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    challenges.any(|challenge| challenge.trim_start().to_ascii_lowercase().starts_with("basic"))
}
