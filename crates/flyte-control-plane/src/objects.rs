//! The routes of signed URLs.
//!
//! The URL is the credential, so no token is needed. The signature is verified before the body is read. An upload may be large
//! and slow, so the limits on the body size and duration of other requests do not apply. An upload that is too slow is
//! rejected, and the number of concurrent uploads is limited (`turns`).

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, HttpBody as _},
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, put},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::StreamExt as _;
use tokio::time::{Instant, timeout, timeout_at};

use crate::ControlPlane;
use flyte_model::clock::UnixTime;
use flyte_objects::{
    ObjectError, ObjectKey, etag,
    signed_url::{MAX_LIFE, Method, Permit, Refused},
    turns::{NoTurn, Pace},
};

/// The routes of signed URLs.
const ROUTE: &str = "/objects/{*object}";
/// The purpose that separates URL signatures from other uses of the signing key.
const PURPOSE: &str = "signed URL of an object";
/// The longest duration of an upload.
const MAX_TIME: Duration = Duration::from_secs(MAX_LIFE.unsigned_abs());
/// The number of bytes that are read of a rejected upload, so that the client gets the response and not a connection reset.
const MAX_DRAINED_BYTES: usize = 1 << 20;

/// The absolute, signed URL of a permit.
#[must_use]
pub fn sign(plane: &ControlPlane, permit: &Permit) -> String {
    plane.config.url(&permit.to_path(|message| plane.keys.mac(PURPOSE, message)))
}

/// A signed download URL of an object and its expiry time. It is valid for `life` seconds, at most [`MAX_LIFE`].
#[must_use]
pub fn download_url(plane: &ControlPlane, key: ObjectKey, life: i64) -> (String, UnixTime) {
    let expires_at = plane.clock.now() + life.clamp(1, MAX_LIFE);
    let permit = Permit { method: Method::Get, key, expires_at, md5: None, length: None, owner: None };
    (sign(plane, &permit), expires_at)
}

/// The upload routes. The limits of other requests must not apply to them.
pub fn uploads(plane: Arc<ControlPlane>) -> Router {
    Router::new().route(ROUTE, put(upload)).layer(DefaultBodyLimit::disable()).with_state(plane)
}

/// The download routes.
pub fn downloads(plane: Arc<ControlPlane>) -> Router {
    Router::new().route(ROUTE, get(download)).with_state(plane)
}

fn permit(plane: &ControlPlane, request: &Request, method: Method) -> Result<Permit, Refused> {
    let uri = request.uri();
    let query = uri.query().unwrap_or_default();
    Permit::verify(uri.path(), query, method, plane.clock.now(), |message| plane.keys.mac(PURPOSE, message))
}

fn refuse(status: StatusCode, why: impl ToString) -> Response {
    let mut response = (status, why.to_string() + "\n").into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn upload(State(plane): State<Arc<ControlPlane>>, request: Request) -> Response {
    let deadline = Instant::now() + MAX_TIME;
    let permit = match permit(&plane, &request, Method::Put) {
        Ok(permit) => permit,
        Err(refused) => {
            if refused == Refused::Expired {
                drain(request.into_body()).await;
            }
            return refuse(StatusCode::FORBIDDEN, refused);
        }
    };
    let most = plane.config.objects.max_upload_size as u64;
    let (parts, body) = request.into_parts();
    let announced = body.size_hint().exact();
    if permit.length.zip(announced).is_some_and(|(expected, announced)| expected != announced) {
        return refuse(
            StatusCode::BAD_REQUEST,
            "Content-Length is not the length that the URL was signed for",
        );
    }
    if announced.is_some_and(|length| length > most) {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, too_large(most));
    }
    let md5 = match content_md5(&parts.headers) {
        Ok(given) => given,
        Err(why) => return refuse(StatusCode::BAD_REQUEST, why),
    };
    if permit.md5.zip(md5).is_some_and(|(signed, given)| signed != given) {
        return refuse(StatusCode::BAD_REQUEST, "Content-MD5 is not the hash that the URL was signed for");
    }
    let _turn = match plane.objects.uploads().take(&permit).await {
        Ok(turn) => turn,
        Err(no_turn) => return wait(no_turn),
    };
    match receive(&plane, body, permit, md5, deadline, most).await {
        Ok(etag) => ([(header::ETAG, etag)], StatusCode::OK).into_response(),
        Err(response) => response,
    }
}

/// The response to an upload above the limit of concurrent uploads. Clients try again.
fn wait(no_turn: NoTurn) -> Response {
    let (status, why) = match no_turn {
        NoTurn::Url => (StatusCode::TOO_MANY_REQUESTS, "another upload to this URL is under way; try again"),
        NoTurn::Owner => (
            StatusCode::TOO_MANY_REQUESTS,
            "too many of your uploads are under way; try again when they have ended",
        ),
        NoTurn::All => (StatusCode::SERVICE_UNAVAILABLE, "too many uploads are under way; try again later"),
    };
    tracing::warn!(status = status.as_u16(), why, "an upload was rejected because of the limit");
    let mut response = refuse(status, why);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    response
}

/// Stores the body. Returns its `ETag`, or the error response.
async fn receive(
    plane: &ControlPlane,
    body: Body,
    permit: Permit,
    md5: Option<[u8; 16]>,
    deadline: Instant,
    most: u64,
) -> Result<String, Response> {
    let most = permit.length.map_or(most, |length| length.min(most));
    let mut staged = plane.objects.stage().await.map_err(|error| failed(&error.into()))?;
    let mut body = body.into_data_stream();
    let mut pace = Pace::default();
    loop {
        let asked = Instant::now();
        let patience = deadline.min(asked + pace.left());
        let chunk = match timeout_at(patience, body.next()).await {
            Ok(Some(Ok(chunk))) => chunk,
            Ok(None) => break,
            Ok(Some(Err(error))) => {
                tracing::debug!(%error, "the connection of an upload broke");
                return Err(refuse(
                    StatusCode::BAD_REQUEST,
                    "the connection broke during the upload; send it again",
                ));
            }
            Err(_) => {
                let why = "the upload stalled or was too slow; send it again";
                return Err(refuse(StatusCode::REQUEST_TIMEOUT, why));
            }
        };
        pace.note(asked.elapsed(), chunk.len());
        if staged.length() + chunk.len() as u64 > most {
            return Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, too_large(most)));
        }
        staged = staged.write(&chunk).await.map_err(|error| failed(&error.into()))?;
    }
    if permit.length.is_some_and(|expected| expected != staged.length()) {
        return Err(refuse(
            StatusCode::BAD_REQUEST,
            "the content is shorter than the length that the URL was signed for",
        ));
    }
    let staged = staged.finish().await.map_err(|error| failed(&error.into()))?;
    let actual = staged.md5();
    if permit.md5.or(md5).is_some_and(|expected| expected != actual) {
        return Err(refuse(StatusCode::BAD_REQUEST, "the content does not have the MD5 that was announced"));
    }
    plane.objects.publish(staged, &permit.key, false).await.map_err(|error| failed(&error))?;
    Ok(etag(&actual))
}

fn too_large(most: u64) -> String {
    format!("the content is longer than {most} bytes, the most that can be uploaded to this URL")
}

fn failed(error: &ObjectError) -> Response {
    match error {
        ObjectError::Taken => refuse(StatusCode::CONFLICT, error),
        _ => {
            tracing::error!(%error, "an object could not be stored or read");
            refuse(StatusCode::SERVICE_UNAVAILABLE, "the server's object store failed; try again later")
        }
    }
}

/// `Content-MD5` (RFC 1864).
fn content_md5(headers: &HeaderMap) -> Result<Option<[u8; 16]>, &'static str> {
    let Some(value) = headers.get("content-md5") else { return Ok(None) };
    let decoded = STANDARD.decode(value.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    decoded.map(Some).ok_or("Content-MD5 is not the base64 of an MD5")
}

async fn drain(body: Body) {
    let mut body = body.into_data_stream();
    let mut read = 0;
    let reading = async {
        while let Some(Ok(chunk)) = body.next().await {
            read += chunk.len();
            if read > MAX_DRAINED_BYTES {
                break;
            }
        }
    };
    let _ = timeout(Duration::from_secs(5), reading).await;
}

async fn download(State(plane): State<Arc<ControlPlane>>, request: Request) -> Response {
    let permit = match permit(&plane, &request, Method::Get) {
        Ok(permit) => permit,
        Err(refused) => return refuse(StatusCode::FORBIDDEN, refused),
    };
    let range = request.headers().get(header::RANGE).and_then(|range| range.to_str().ok());
    match answer(&plane, &permit.key, range).await {
        Ok(Some(response)) => response,
        Ok(None) => {
            refuse(StatusCode::NOT_FOUND, "this object does not exist; it may not have been written yet")
        }
        Err(error) => failed(&error),
    }
}

async fn answer(
    plane: &ControlPlane,
    key: &ObjectKey,
    range: Option<&str>,
) -> Result<Option<Response>, ObjectError> {
    let range = match range {
        Some(range) => {
            let Some(whole) = plane.objects.length(key).await? else { return Ok(None) };
            read_range(range, whole).map(|range| (range, whole))
        }
        None => None,
    };
    let (status, from, length, object) = match range {
        None => {
            let Some(object) = plane.objects.read(key, 0, None).await? else { return Ok(None) };
            (StatusCode::OK, 0, object.length, object)
        }
        Some((None, whole)) => {
            let mut response = refuse(StatusCode::RANGE_NOT_SATISFIABLE, "the object has no such range");
            response.headers_mut().insert(header::CONTENT_RANGE, text(format!("bytes */{whole}")));
            return Ok(Some(response));
        }
        Some((Some((from, length)), _)) => {
            let Some(part) = plane.objects.read(key, from, Some(length)).await? else { return Ok(None) };
            (StatusCode::PARTIAL_CONTENT, from, length, part)
        }
    };
    let whole = object.length;
    let mut response = (status, Body::from_stream(object.content)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Tasks control the content, and this is the origin of the sign-in pages. The sandbox gives scripts an opaque origin.
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("sandbox allow-scripts; frame-ancestors 'none'; form-action 'none'"),
    );
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    let (kind, disposition) = match key.file_name().rsplit_once('.') {
        Some((_, "html")) => ("text/html; charset=utf-8", "inline"),
        _ => ("application/octet-stream", "attachment"),
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(disposition));
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {from}-{}/{whole}", from + length - 1);
        headers.insert(header::CONTENT_RANGE, text(range));
    }
    Ok(Some(response))
}

fn text(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("bytes */*"))
}

/// The first byte and the length of a range (RFC 9110 section 14.2). `None` if the range is ignored: several ranges, or another
/// unit. `Some(None)` if the range cannot be satisfied.
fn read_range(range: &str, whole: u64) -> Option<Option<(u64, u64)>> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok());
    Some(match (first, last) {
        ("", last) => {
            let length = number(last)??.min(whole);
            (length > 0).then(|| (whole - length, length))
        }
        (first, "") => {
            let first = number(first)??;
            (first < whole).then(|| (first, whole - first))
        }
        (first, last) => {
            let (first, last) = (number(first)??, number(last)??);
            if last < first {
                return None;
            }
            (first < whole).then(|| (first, last.min(whole - 1) - first + 1))
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_range_is_within_the_object() {
        for (range, expected) in [
            ("bytes=0-4", Some(Some((0, 5)))),
            ("bytes=5-", Some(Some((5, 5)))),
            ("bytes=-3", Some(Some((7, 3)))),
            ("bytes=-30", Some(Some((0, 10)))),
            ("bytes=8-30", Some(Some((8, 2)))),
            ("bytes=10-", Some(None)),
            ("bytes=-0", Some(None)),
            ("bytes=4-2", None),
            ("bytes=0-1,3-4", None),
            ("lines=0-1", None),
            ("bytes=+1-2", None),
            ("bytes=-", None),
        ] {
            assert_eq!(read_range(range, 10), expected, "{range}");
        }
        assert_eq!(read_range("bytes=0-0", 0), Some(None));
    }

    proptest! {
        #[test]
        fn no_range_goes_beyond(range in "bytes=[0-9]{0,20}-[0-9]{0,20}|.*", whole in any::<u64>()) {
            if let Some(Some((from, length))) = read_range(&range, whole) {
                prop_assert!(length > 0 && from.checked_add(length).unwrap() <= whole);
            }
        }
    }
}
