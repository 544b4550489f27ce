//! API keys, for programs that need their parts.

use flyte_auth::api_key::ApiKey;
use pyo3::prelude::*;
use secrecy::ExposeSecret as _;

use crate::failure::Failure;

/// The parts of an API key: the endpoint (host, and port if it is not 443), the client, its secret and the organization.
///
/// Raises `CallError` if the text is no API key.
#[pyfunction]
pub(crate) fn decode_api_key(text: &str) -> PyResult<(String, String, String, Option<String>)> {
    let key = ApiKey::decode(text).map_err(|error| Failure::from(&error))?;
    let endpoint = key.endpoint.keyring_service();
    let secret = key.client_secret.expose_secret().to_owned();
    Ok((endpoint, key.client_id.as_str().to_owned(), secret, key.org))
}
