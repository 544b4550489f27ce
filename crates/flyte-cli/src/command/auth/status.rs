//! `flyte auth status`

use flyte_auth::oauth::{ClientId, Scope};
use flyte_auth::{AuthError, Status};
use flyte_client::ClientError;
use flyte_client::identity::UserInfo;
use flyte_config::AuthType;
use flyte_hints::Hint as _;
use serde::Serialize;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};
use crate::time::spoken;

/// The error message if the server does not answer.
const CANNOT_ASK: &str = "cannot ask the server whether you are signed in";

/// The output of `flyte auth status` for programs.
#[derive(Debug, Serialize)]
struct Report {
    endpoint: String,
    auth_type: &'static str,
    /// The source of the credentials.
    credentials: String,
    storage: String,
    signed_in: bool,
    /// Unix time in seconds.
    expires_at: Option<i64>,
    expired: bool,
    renews_itself: bool,
    /// The signed-in user, if the server said it.
    subject: Option<String>,
    issuer: Option<String>,
    client_id: Option<ClientId>,
    scopes: Vec<Scope>,
    /// Whether the server was asked, and answered.
    checked: bool,
    /// Why the server rejected the credentials; `None` if it accepted them, or was not asked.
    rejected: Option<String>,
    /// The user's e-mail address, as the server says.
    email: Option<String>,
    /// The name of the user or machine, as the server says.
    name: Option<String>,
    #[serde(skip)]
    expires_in: Option<i64>,
    /// What to do after a rejection.
    #[serde(skip)]
    next: Option<String>,
}

impl Report {
    fn new(endpoint: String, auth_type: &'static str, credentials: String, status: Status, now: i64) -> Self {
        let expires_in = status.expires_at.map(|at| at - now);
        // Without a login, a job's own token is used.
        let (auth_type, credentials) = match &status.job_token {
            Some(location) => {
                (AuthType::TokenExchange.as_str(), format!("the token of this CI job ({location})"))
            }
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
            checked: false,
            rejected: None,
            email: None,
            name: None,
            expires_in,
            next: None,
        }
    }

    /// Records the server's answer about the credentials.
    ///
    /// # Errors
    /// If the server could not be asked.
    fn take(&mut self, answer: Result<UserInfo, ClientError>) -> Result<(), Failure> {
        let text = |text: String| (!text.is_empty()).then_some(text);
        match answer {
            Ok(user) => {
                self.checked = true;
                (self.email, self.name) =
                    (text(user.email), text(user.name).or_else(|| text(user.preferred_username)));
                self.subject = self.subject.take().or_else(|| text(user.subject));
            }
            // The control plane accepts the credentials, but does not name the user.
            Err(ClientError::Unsupported { .. } | ClientError::PermissionDenied { .. }) => {
                self.checked = true;
            }
            Err(error) => return self.take_failure(Failure::client(CANNOT_ASK, &error)),
        }
        Ok(())
    }

    /// Records a failed request: a rejection of the credentials is an answer, too.
    ///
    /// # Errors
    /// The failure, if it is not about the credentials.
    fn take_failure(&mut self, failure: Failure) -> Result<(), Failure> {
        if !failure.is_of_authentication() {
            return Err(failure.next("Show what is known locally: flyte auth status --offline"));
        }
        (self.checked, self.signed_in) = (true, false);
        self.next = failure.next_step().map(str::to_owned);
        self.rejected = Some(failure.cause());
        Ok(())
    }

    /// Whether the next command works without a sign-in, as far as is known locally.
    fn usable(&self) -> bool {
        self.signed_in && (!self.expired || self.renews_itself)
    }

    fn table(&self) -> String {
        let yes_no = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
        // The stored login may be rejected by the server.
        let signed_in = match (self.signed_in, self.checked) {
            (true, false) => "yes, by the stored login (the server was not asked)".to_owned(),
            (signed_in, _) => yes_no(signed_in),
        };
        let token = match (self.signed_in, self.expires_in) {
            (false, _) => String::new(),
            (true, None) => "unknown expiry".to_owned(),
            (true, Some(left)) if left > 0 => format!("expires in {}", spoken(left)),
            (true, Some(left)) => format!("expired {} ago", spoken(-left)),
        };
        let renewal = if self.signed_in { yes_no(self.renews_itself) } else { String::new() };
        output::details([
            ("Endpoint", self.endpoint.clone()),
            ("Sign-in by", self.auth_type.to_owned()),
            ("Credentials", self.credentials.clone()),
            ("Signed in", signed_in),
            ("Why not", self.rejected.clone().unwrap_or_default()),
            ("As", self.name.clone().or_else(|| self.subject.clone()).unwrap_or_default()),
            ("E-mail", self.email.clone().unwrap_or_default()),
            ("Access token", token),
            ("Renews itself", renewal),
            ("Issuer", self.issuer.clone().unwrap_or_default()),
            ("Client", self.client_id.as_ref().map(ToString::to_string).unwrap_or_default()),
            ("Scopes", Scope::join(&self.scopes)),
            ("Tokens kept in", self.storage.clone()),
        ])
    }
}

pub(super) fn run(context: &Context, offline: bool, json: bool) -> Result<Exit, Failure> {
    let session = context.encrypted_session(false)?;
    let endpoint = context.endpoint()?.to_string();
    let client = context.client_of(session.clone())?;
    let options = session.options();
    let look = async || {
        let status = session.status().await;
        let status = status.map_err(|error| Failure::auth("cannot check the sign-in", &error))?;
        let (auth_type, now) = (options.auth_type.as_str(), options.clock.now());
        Ok::<_, Failure>(Report::new(endpoint.clone(), auth_type, context.credentials(), status, now))
    };
    // In one call, because the connection to the keyring ends with it.
    let (report, asked) = context.run("Checking the sign-in", async {
        let mut report = look().await?;
        if offline || !report.usable() || options.auth_type == AuthType::Passthrough {
            return Ok((report, Ok(())));
        }
        // This does not start a sign-in, but it can renew the token for the request.
        let asked = match session.cached().await {
            Ok(_) => {
                report = look().await?;
                let answer = client.identity().user_info().await;
                report.take(answer)
            }
            Err(error @ AuthError::Store(_)) => Err(Failure::auth(CANNOT_ASK, &error)),
            Err(error) => report.take_failure(Failure::auth(CANNOT_ASK, &error)),
        };
        Ok((report, asked))
    })?;
    let format = if json { Format::Json } else { context.global.format };
    output::print(format, &report, Report::table)?;
    asked?;
    if report.usable() {
        return Ok(Exit::Success);
    }
    if !offline
        && options.auth_type.is_for_people()
        && let Some(error) = context.no_sign_in(&session)?
    {
        output::tell(&format!(
            "This control plane has no sign-in: {error}. {}",
            error.hint().unwrap_or_default()
        ));
        return Ok(Exit::Authentication);
    }
    output::tell(match (options.auth_type, &report.next) {
        (AuthType::Passthrough, _) => {
            "Choose a way to sign in: flyte create config --endpoint HOST --auth-type pkce"
        }
        (auth_type, Some(next)) if !auth_type.is_for_people() => next,
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
            job_token: None,
        };
        Report::new("https://flyte.example.com".into(), "Pkce", "your login".into(), status, 1_000_000)
    }

    #[test]
    fn login_is_usable_while_it_can_be_renewed() {
        assert!(report(true, Some(1_000_100), false).usable());
        assert!(report(true, None, false).usable());
        assert!(report(true, Some(999_999), true).usable());
        assert!(!report(true, Some(999_999), false).usable());
        assert!(!report(false, None, false).usable());
    }

    #[test]
    fn answer_of_the_server_decides() {
        let server = |answer| {
            let mut report = report(true, Some(1_000_100), true);
            report.take(answer).map(|()| report)
        };
        let ada = UserInfo { email: "ada@example.com".into(), name: "Ada".into(), ..UserInfo::default() };
        let known = server(Ok(ada)).unwrap();
        assert!(
            known.usable()
                && known.checked
                && known.table().contains("As:              Ada\nE-mail:          ada@example.com")
        );
        let refused =
            ClientError::Unauthenticated { endpoint: "h".into(), message: "the account is disabled".into() };
        let refused = server(Err(refused)).unwrap();
        assert!(
            !refused.usable()
                && refused.table().contains("Signed in:       no\nWhy not:")
                && refused.table().contains("disabled")
        );
        let away = ClientError::Unavailable { endpoint: "h".into(), message: "refused".into() };
        assert!(server(Err(away)).is_err(), "an unknown state is neither yes nor no");
        assert!(
            server(Err(ClientError::Unsupported { endpoint: "h".into(), message: "no".into() }))
                .unwrap()
                .usable()
        );
    }

    #[test]
    fn table_shows_the_state() {
        let unchecked = report(true, Some(1_003_600), true);
        assert!(
            unchecked
                .table()
                .contains("Signed in:       yes, by the stored login (the server was not asked)\n")
        );
        assert_eq!(
            Report { checked: true, ..unchecked }.table(),
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
