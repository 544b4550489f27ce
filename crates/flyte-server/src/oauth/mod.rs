//! The OAuth 2 / OpenID Connect endpoints, one module each.
