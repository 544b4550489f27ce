//! What comes of the tokens of an issuer run by the test.

mod issuers;
mod token;
