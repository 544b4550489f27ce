//! The paths of all endpoints. Routes, metadata and redirects take them from here.

/// Authorization endpoint (RFC 6749 section 3.1).
pub const AUTHORIZE: &str = "/oauth2/authorize";
/// The path to which the consent page posts the user's answer.
pub const CONSENT: &str = "/oauth2/consent";
/// The path to which the account chooser posts the user's answer.
pub const ACCOUNT: &str = "/oauth2/account";
/// Token endpoint (RFC 6749 section 3.2).
pub const TOKEN: &str = "/oauth2/token";
/// Device authorization endpoint (RFC 8628 section 3.1).
pub const DEVICE_AUTHORIZATION: &str = "/oauth2/device_authorization";
/// The page on which a user approves a device (RFC 8628 section 3.3). The path is short because people type it.
pub const DEVICE: &str = "/device";
/// Revocation endpoint (RFC 7009 section 2).
pub const REVOKE: &str = "/oauth2/revoke";
/// Introspection endpoint (RFC 7662 section 2).
pub const INTROSPECT: &str = "/oauth2/introspect";
/// The endpoint that proxies ask whether a request may pass. Envoy appends the path of the request.
pub const FORWARD_AUTH: &str = "/oauth2/auth";
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
/// The sign-in page, which sends the user back to `return_to`.
pub const LOGIN: &str = "/login";
