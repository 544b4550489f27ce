//! Where each endpoint is: the one place that routes, metadata and redirects take their paths from.

/// Authorization endpoint (RFC 6749 section 3.1).
pub const AUTHORIZE: &str = "/oauth2/authorize";
/// Where the consent page posts its answer.
pub const CONSENT: &str = "/oauth2/consent";
/// Where the page for choosing an account posts its answer.
pub const ACCOUNT: &str = "/oauth2/account";
/// Token endpoint (RFC 6749 section 3.2).
pub const TOKEN: &str = "/oauth2/token";
/// Device authorization endpoint (RFC 8628 section 3.1).
pub const DEVICE_AUTHORIZATION: &str = "/oauth2/device_authorization";
/// Where a person answers for a device (RFC 8628 section 3.3): short, for it is typed.
pub const DEVICE: &str = "/device";
/// Revocation endpoint (RFC 7009 section 2).
pub const REVOKE: &str = "/oauth2/revoke";
/// Introspection endpoint (RFC 7662 section 2).
pub const INTROSPECT: &str = "/oauth2/introspect";
/// UserInfo endpoint (OpenID Connect Core section 5.3).
pub const USERINFO: &str = "/oauth2/userinfo";
/// JSON Web Key Set (RFC 7517 section 5).
pub const JWKS: &str = "/oauth2/jwks";
/// Logout endpoint (OpenID Connect RP-Initiated Logout section 2).
pub const LOGOUT: &str = "/oauth2/logout";
/// Authorization server metadata (RFC 8414 section 3).
pub const AUTHORIZATION_SERVER_METADATA: &str = "/.well-known/oauth-authorization-server";
/// OpenID Provider metadata (OpenID Connect Discovery section 4).
pub const OPENID_CONFIGURATION: &str = "/.well-known/openid-configuration";
/// The sign-in page, which brings the person back to `return_to`.
pub const LOGIN: &str = "/login";
