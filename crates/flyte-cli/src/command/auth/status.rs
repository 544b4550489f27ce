//! `flyte auth status`

use flyte_auth::Status;
use flyte_config::AuthType;
use serde::Serialize;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};
use crate::time::spoken;

/// What `flyte auth status` tells programs.
#[derive(Debug, Serialize)]
struct Report {
    endpoint: String,
    auth_type: &'static str,
    /// Where what proves the caller's identity comes from.
    credentials: String,
    storage: String,
    signed_in: bool,
    /// Unix time in seconds.
    expires_at: Option<i64>,
    expired: bool,
    renews_itself: bool,
    /// Who is signed in, where the server told.
    subject: Option<String>,
    issuer: Option<String>,
    client_id: Option<String>,
    scopes: Vec<String>,
    #[serde(skip)]
    expires_in: Option<i64>,
}

impl Report {
    fn new(endpoint: String, auth_type: &'static str, credentials: String, status: Status, now: i64) -> Self {
        let expires_in = status.expires_at.map(|at| at - now);
        // A job's own token stands in for a login that is not there.
        let (auth_type, credentials) = match &status.job {
            Some(place) => (AuthType::TokenExchange.as_str(), format!("the token of this CI job ({place})")),
            None => (auth_type, credentials),
        };
        Self {
            endpoint,
            auth_type,
            credentials,
            storage: status.backend.to_string(),
            signed_in: status.signed_in,
            expires_at: status.expires_at,
            expired: expires_in.is_some_and(|left| left <= 0),
            renews_itself: status.has_refresh_token,
            subject: status.subject,
            issuer: status.issuer,
            client_id: status.client_id,
            scopes: status.scopes,
            expires_in,
        }
    }

    /// Whether the next command goes through without asking the person, as far as this side can tell.
    fn usable(&self) -> bool {
        self.signed_in && (!self.expired || self.renews_itself)
    }

    fn table(&self) -> String {
        let yes_no = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
        let token = match (self.signed_in, self.expires_in) {
            (false, _) => String::new(),
            (true, None) => "expiry not known".to_owned(),
            (true, Some(left)) if left > 0 => format!("expires in {}", spoken(left)),
            (true, Some(left)) => format!("expired {} ago", spoken(-left)),
        };
        let renewal = if self.signed_in { yes_no(self.renews_itself) } else { String::new() };
        output::details([
            ("Endpoint", self.endpoint.clone()),
            ("Sign-in by", self.auth_type.to_owned()),
            ("Credentials", self.credentials.clone()),
            ("Signed in", yes_no(self.signed_in)),
            ("As", self.subject.clone().unwrap_or_default()),
            ("Access token", token),
            ("Renews itself", renewal),
            ("Issuer", self.issuer.clone().unwrap_or_default()),
            ("Client", self.client_id.clone().unwrap_or_default()),
            ("Scopes", self.scopes.join(" ")),
            ("Tokens kept in", self.storage.clone()),
        ])
    }
}

pub(super) fn run(context: &Context, json: bool) -> Result<Exit, Failure> {
    let session = context.encrypted_session(false)?;
    let endpoint = context.endpoint()?.to_string();
    let status = context.run("Looking at the sign-in", async {
        session.status().await.map_err(|error| Failure::auth("cannot look at the sign-in", &error))
    })?;
    let options = session.options();
    let now = options.clock.now();
    let report = Report::new(endpoint, options.auth_type.as_str(), context.credentials(), status, now);
    let format = if json { Format::Json } else { context.global.format };
    output::print(format, &report, Report::table)?;
    if report.usable() {
        return Ok(Exit::Success);
    }
    output::tell(match options.auth_type {
        AuthType::Passthrough => {
            "Choose a way to sign in: flyte create config --endpoint HOST --auth-type pkce"
        }
        _ => "Sign in with: flyte auth login",
    });
    Ok(Exit::Authentication)
}

#[cfg(test)]
mod tests {
    use flyte_auth::store::Backend;

    use super::*;

    fn report(signed_in: bool, expires_at: Option<i64>, has_refresh_token: bool) -> Report {
        let status = Status {
            backend: Backend::EncryptedFile("/home/ada/tokens".into()),
            signed_in,
            expires_at,
            has_refresh_token,
            issuer: signed_in.then(|| "https://flyte.example.com/".to_owned()),
            client_id: None,
            subject: None,
            scopes: Vec::new(),
            job: None,
        };
        Report::new("https://flyte.example.com".into(), "Pkce", "your login".into(), status, 1_000_000)
    }

    #[test]
    fn a_login_is_usable_while_it_can_be_renewed() {
        assert!(report(true, Some(1_000_100), false).usable());
        assert!(report(true, None, false).usable());
        assert!(report(true, Some(999_999), true).usable());
        assert!(!report(true, Some(999_999), false).usable());
        assert!(!report(false, None, false).usable());
    }

    #[test]
    fn the_status_says_how_it_stands() {
        assert_eq!(
            report(true, Some(1_003_600), true).table(),
            "Endpoint:        https://flyte.example.com\nSign-in by:      Pkce\nCredentials:     your login\nSigned in:       yes\n\
             Access token:    expires in 60 minutes\nRenews itself:   yes\nIssuer:          https://flyte.example.com/\n\
             Tokens kept in:  encrypted file (/home/ada/tokens)\n"
        );
        let signed_out = report(false, None, false).table();
        assert!(
            signed_out.contains("Signed in:       no") && !signed_out.contains("Access token"),
            "{signed_out}"
        );
    }
}
