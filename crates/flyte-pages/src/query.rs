//! Values in queries.

use url::form_urlencoded;

/// Encodes one value for a query. A space becomes `%20`, which every decoder reads alike; `+` is a space only to some.
#[must_use]
pub fn encode(value: &str) -> String {
    form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>().replace('+', "%20")
}
