//! `flyte auth`

use clap::Subcommand;
use flyte_auth::Status;
use serde::Serialize;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Sign in, also where you are signed in already
    Login,
    /// Sign out: revoke the tokens at the server and remove them here
    Logout,
    /// Show whether you are signed in and where tokens are kept; exit code 4 where you are not
    Status,
    /// Print an access token, for programs that call the server themselves
    ///
    /// The token is renewed or you are asked to sign in where that is needed. Whoever has the token is you until it
    /// expires: do not put it into files or logs.
    Token {
        /// Fail instead of asking you to sign in
        #[arg(long)]
        no_login: bool,
    },
}

pub(super) fn run(command: Command, context: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Login => login(context),
        Command::Logout => logout(context),
        Command::Status => status(context),
        Command::Token { no_login } => token(context, no_login),
    }
}

fn login(context: &Context) -> Result<Exit, Failure> {
    let session = context.encrypted_session(true)?;
    let endpoint = context.endpoint()?;
    let client = context.client_of(session.clone())?;
    let who = context.run("Signing in", async {
        session
            .login()
            .await
            .map_err(|error| Failure::auth(format!("cannot sign in to {endpoint}"), &error))?;
        // Signed in already: not knowing as whom is no failure.
        Ok(client.identity().user_info().await.ok())
    })?;
    let name = who.map(|user| [user.email, user.preferred_username, user.name, user.subject]);
    let name = name.and_then(|names| names.into_iter().find(|name| !name.is_empty()));
    let name = name.map(|name| format!(" as {name}")).unwrap_or_default();
    output::write(&format!("Signed in to {endpoint}{name}.\n"))?;
    Ok(Exit::Success)
}

fn logout(context: &Context) -> Result<Exit, Failure> {
    let session = context.encrypted_session(false)?;
    let endpoint = context.endpoint()?;
    let done = context.run("Signing out", async {
        session
            .logout()
            .await
            .map_err(|error| Failure::auth(format!("cannot sign out of {endpoint}"), &error))
    })?;
    let text = match (done.was_signed_in, done.revoked) {
        (false, _) => format!("You were not signed in to {endpoint}.\n"),
        (true, true) => format!("Signed out of {endpoint}.\n"),
        (true, false) => format!(
            "Signed out of {endpoint}. The tokens are gone from this machine, but the server did not confirm that they \
             are revoked.\n"
        ),
    };
    output::write(&text)?;
    Ok(Exit::Success)
}

/// What `flyte auth status` tells programs.
#[derive(Debug, Serialize)]
struct Report {
    endpoint: String,
    auth_type: &'static str,
    storage: String,
    signed_in: bool,
    /// Unix time in seconds.
    expires_at: Option<i64>,
    expired: bool,
    renews_itself: bool,
    issuer: Option<String>,
    client_id: Option<String>,
    scopes: Vec<String>,
    #[serde(skip)]
    expires_in: Option<i64>,
}

impl Report {
    fn new(endpoint: String, auth_type: &'static str, status: Status, now: i64) -> Self {
        let expires_in = status.expires_at.map(|at| at - now);
        Self {
            endpoint,
            auth_type,
            storage: status.backend.to_string(),
            signed_in: status.signed_in,
            expires_at: status.expires_at,
            expired: expires_in.is_some_and(|left| left <= 0),
            renews_itself: status.has_refresh_token,
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
            (true, Some(left)) if left > 0 => format!("expires in {}", duration(left)),
            (true, Some(left)) => format!("expired {} ago", duration(-left)),
        };
        let renewal = if self.signed_in { yes_no(self.renews_itself) } else { String::new() };
        output::details([
            ("Endpoint", self.endpoint.clone()),
            ("Sign-in by", self.auth_type.to_owned()),
            ("Signed in", yes_no(self.signed_in)),
            ("Access token", token),
            ("Renews itself", renewal),
            ("Issuer", self.issuer.clone().unwrap_or_default()),
            ("Client", self.client_id.clone().unwrap_or_default()),
            ("Scopes", self.scopes.join(" ")),
            ("Tokens kept in", self.storage.clone()),
        ])
    }
}

fn status(context: &Context) -> Result<Exit, Failure> {
    let session = context.encrypted_session(false)?;
    let endpoint = context.endpoint()?.to_string();
    let status = context.run("Looking at the sign-in", async {
        session.status().await.map_err(|error| Failure::auth("cannot look at the sign-in", &error))
    })?;
    let options = session.options();
    let report = Report::new(endpoint, options.auth_type.as_str(), status, options.clock.now());
    output::print(context.global.format, &report, Report::table)?;
    if report.usable() {
        return Ok(Exit::Success);
    }
    output::tell("Sign in with: flyte auth login");
    Ok(Exit::Authentication)
}

fn token(context: &Context, no_login: bool) -> Result<Exit, Failure> {
    let session = context.encrypted_session(false)?;
    let token = context.run("Getting a token", async {
        let token = if no_login { session.cached().await } else { session.token().await };
        token.map_err(|error| Failure::auth("cannot get a token", &error))
    })?;
    match context.global.format {
        Format::Table => output::write(&format!("{}\n", token.secret()))?,
        format => {
            let value =
                serde_json::json!({ "access_token": token.secret(), "expires_at": token.expires_at() });
            output::print(format, &value, ToString::to_string)?;
        }
    }
    Ok(Exit::Success)
}

/// Seconds as people say them, in the largest unit that fits.
fn duration(seconds: i64) -> String {
    let (count, unit) = match seconds {
        ..120 => (seconds, "second"),
        120..7200 => (seconds / 60, "minute"),
        7200..172_800 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
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
        };
        Report::new("https://flyte.example.com".into(), "Pkce", status, 1_000_000)
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
            "Endpoint:        https://flyte.example.com\nSign-in by:      Pkce\nSigned in:       yes\n\
             Access token:    expires in 60 minutes\nRenews itself:   yes\nIssuer:          https://flyte.example.com/\n\
             Tokens kept in:  encrypted file (/home/ada/tokens)\n"
        );
        let signed_out = report(false, None, false).table();
        assert!(
            signed_out.contains("Signed in:       no") && !signed_out.contains("Access token"),
            "{signed_out}"
        );
    }

    #[test]
    fn durations_are_readable() {
        for (seconds, text) in [
            (1, "1 second"),
            (90, "90 seconds"),
            (3600, "60 minutes"),
            (7200, "2 hours"),
            (200_000, "2 days"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }
}
