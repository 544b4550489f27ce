//! Query values.

use url::form_urlencoded;

/// Encodes one value for a query. A space becomes `%20`, because not every decoder reads `+` as a space.
#[must_use]
pub fn encode(value: &str) -> String {
    form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>().replace('+', "%20")
}
