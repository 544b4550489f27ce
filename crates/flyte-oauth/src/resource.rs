//! The audience of an access token: `resource` (RFC 8707), and the older `audience` of the published client.

use super::{
    error::{ErrorCode, OAuthError},
    parameters::Parameters,
};

/// Returns the requested audience; `None` if the request leaves it to the server.
///
/// This server issues tokens only for itself. Otherwise another resource server could accept them by mistake.
///
/// # Errors
/// `invalid_target` for a resource other than `issuer`, with or without a final slash.
pub fn requested(parameters: &Parameters<'_>, issuer: &str) -> Result<Option<String>, OAuthError> {
    let mut audience = None;
    for value in parameters.all("resource").chain(parameters.one("audience")?) {
        if value.strip_suffix('/').unwrap_or(value) != issuer {
            return Err(OAuthError::new(
                ErrorCode::InvalidTarget,
                "this server issues tokens only for itself: omit resource and audience, or send its issuer",
            ));
        }
        audience = Some(issuer.to_owned());
    }
    Ok(audience)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_server_is_a_resource() {
        let issuer = "https://localhost:8443";
        for (query, expected) in [
            ("", Ok(None)),
            ("resource=", Ok(None)),
            ("resource=https%3A%2F%2Flocalhost%3A8443", Ok(Some(issuer.to_owned()))),
            ("resource=https://localhost:8443/&resource=https://localhost:8443", Ok(Some(issuer.to_owned()))),
            ("audience=https://localhost:8443/", Ok(Some(issuer.to_owned()))),
            ("resource=https://localhost:8443//", Err(ErrorCode::InvalidTarget)),
            ("resource=https://localhost:84433", Err(ErrorCode::InvalidTarget)),
            ("resource=https://localhost:8443%23f", Err(ErrorCode::InvalidTarget)),
            ("resource=https://LOCALHOST:8443", Err(ErrorCode::InvalidTarget)),
            ("resource=https://localhost:8443&resource=https://other.example", Err(ErrorCode::InvalidTarget)),
            ("resource=https://localhost:8443&audience=other", Err(ErrorCode::InvalidTarget)),
            (
                "audience=https://localhost:8443&audience=https://localhost:8443",
                Err(ErrorCode::InvalidRequest),
            ),
        ] {
            let parameters = Parameters::parse(query.as_bytes()).unwrap();
            assert_eq!(requested(&parameters, issuer).map_err(|error| error.code), expected, "{query}");
        }
    }
}
