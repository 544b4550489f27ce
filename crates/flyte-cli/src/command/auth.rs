//! `flyte auth`

mod doctor;
mod inspect_key;
mod status;

use clap::Subcommand;
use flyte_auth::StepUp;
use flyte_config::{ConfigError, Document, Setting, StoreKind, key};

use crate::cli::Global;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};
use crate::person::{self, Event, Events};
use crate::time::Period;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Sign in, also where you are signed in already
    ///
    /// With --output json the events of the sign-in are written as JSON lines, for editors and other programs: link, code, waiting,
    /// done and failed.
    Login {
        /// Choose the account, also if the browser is signed in with one
        #[arg(long, alias = "switch-account")]
        select_account: bool,

        /// Prove again who you are unless you have done so within this time, such as 15m; 0 for in any case. Servers want that
        /// for what outlives a token, such as an API key without an end
        #[arg(long, value_name = "DURATION")]
        max_age: Option<Period>,
        /// Keep the login there from now on: keyring, file (encrypted) or memory. Written to the configuration file as
        /// admin.tokenStore, so that later commands find it
        #[arg(long, value_name = "STORE")]
        token_store: Option<StoreKind>,
    },
    /// Sign out: revoke the tokens at the server and remove them here
    Logout,
    /// Show whether you are signed in and where tokens are kept; exit code 4 where you are not
    ///
    /// Asks the server whether it accepts the login, and whose it is. If the server cannot be asked, shows what is known here and
    /// ends with exit code 1.
    Status {
        /// Show what is known here, without asking the server
        #[arg(long)]
        offline: bool,

        /// The same as --output json
        #[arg(long)]
        json: bool,
    },
    /// Look for what keeps you from signing in, and say how to mend it; exit code 1 where something does
    ///
    /// Looks at the configuration, the way to the server, its certificate, the clock, the servers that take part in signing in,
    /// the keyring, the browser, the API key and the sign-in, one after the other; what cannot be looked at because of an
    /// earlier failure is skipped, and so is what this way to sign in does not need. No setting is changed, and no sign-in begun.
    Doctor,
    /// Show what an API key holds, without its secret
    InspectKey {
        /// The key; - reads it from standard input. FLYTE_API_KEY without it
        #[arg(value_name = "KEY", allow_hyphen_values = true)]
        key: Option<String>,
    },
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

pub(super) fn run(command: Command, global: Global) -> Result<Exit, Failure> {
    match command {
        Command::Login { select_account, max_age, token_store } => {
            let format = global.format;
            let outcome = Context::load(global)
                .and_then(|context| login(context, select_account, max_age, token_store));
            tell_end(format, outcome)
        }
        Command::Logout => logout(&Context::load(global)?),
        Command::Status { offline, json } => status::run(&Context::load(global)?, offline, json),
        Command::Token { no_login } => token(&Context::load(global)?, no_login),
        // These two work where the configuration does not.
        Command::Doctor => doctor::run(global),
        Command::InspectKey { key } => inspect_key::run(key, global.format),
    }
}

/// The end of `flyte auth login`.
struct SignedIn {
    endpoint: String,
    /// The account, if the server says it.
    name: Option<String>,
    /// What is left to do: have later commands look for the login there.
    remembers: Option<(Context, StoreKind)>,
}

fn login(
    mut context: Context,
    selects_account: bool,
    max_age: Option<Period>,
    token_store: Option<StoreKind>,
) -> Result<SignedIn, Failure> {
    context.config.admin.token_store = token_store.or(context.config.admin.token_store);
    let session = context.login_session(selects_account)?;
    if selects_account && !session.options().auth_type.is_a_persons() {
        return Err(Failure::new("there is no account to select")
            .why(format!("a machine's credentials are used: {}", context.credentials()))
            .next("Leave --select-account out, or give --auth-type pkce")
            .exit(Exit::Usage));
    }
    let endpoint = context.endpoint()?;
    let client = context.client_of(session.clone())?;
    let step_up = max_age.map(|age| StepUp::within(age.duration())).unwrap_or_default();
    let name = context.run("Signing in", async {
        session
            .login_with(step_up)
            .await
            .map_err(|error| Failure::auth(format!("cannot sign in to {endpoint}"), &error))?;
        // Signed in already: not knowing the account is no failure.
        let user = client.identity().user_info().await.ok();
        let names = user.map(|user| [user.email, user.preferred_username, user.name, user.subject]);
        let name = names.and_then(|names| names.into_iter().find(|name| !name.is_empty()));
        Ok(match name {
            Some(name) => Some(name),
            None => session.status().await.ok().and_then(|status| status.subject),
        })
    })?;
    let remembers = token_store.map(|kind| (context, kind));
    Ok(SignedIn { endpoint: endpoint.to_string(), name, remembers })
}

/// Writes how a sign-in ended: as an event for programs, in words for people.
fn tell_end(format: Format, outcome: Result<SignedIn, Failure>) -> Result<Exit, Failure> {
    let event = |event: &Event<'_>| {
        if format == Format::Json {
            Events::Result.write(event);
        }
    };
    let SignedIn { endpoint, name, remembers } = outcome.inspect_err(|failure| {
        event(&Event::Failed { error: failure.summary(), next: failure.next_step() });
    })?;
    let name = name.as_deref();
    event(&Event::Done { endpoint: &endpoint, name });
    if format != Format::Json {
        output::write(&format!("{}\n", person::signed_in(&endpoint, name)))?;
    }
    if let Some((context, kind)) = remembers {
        remember(&context, kind)?;
    }
    Ok(Exit::Success)
}

/// Has later commands look for the login where it is now.
fn remember(context: &Context, kind: StoreKind) -> Result<(), Failure> {
    if let Some(value) = context.environment.variable("FLYTE_TOKEN_STORE")
        && !value.eq_ignore_ascii_case(kind.as_str())
    {
        output::tell(&format!(
            "FLYTE_TOKEN_STORE is {value} here and comes before the file: later commands need FLYTE_TOKEN_STORE={kind}."
        ));
    }
    let Some(path) = &context.config.source else {
        output::tell(&format!(
            "There is no configuration file to keep that in: later commands need FLYTE_TOKEN_STORE={kind}."
        ));
        return Ok(());
    };
    let unusable = |error: &ConfigError| {
        Failure::config(format!("you are signed in, but {} cannot be changed", path.display()), error)
            .next(format!("Set FLYTE_TOKEN_STORE={kind} for later commands."))
    };
    let mut document = Document::open(path).map_err(|error| unusable(&error))?;
    if document.get(key::TOKEN_STORE) == Some(kind.as_str()) {
        return Ok(());
    }
    document.set(key::TOKEN_STORE, Setting::Text(kind.as_str())).map_err(|error| unusable(&error))?;
    document.save().map_err(|error| unusable(&error))?;
    output::tell(&format!("admin.tokenStore is {kind} from now on ({}).", path.display()));
    Ok(())
}

fn logout(context: &Context) -> Result<Exit, Failure> {
    let session = context.encrypted_session(false)?;
    let endpoint = context.endpoint()?;
    let auth_type = session.options().auth_type;
    if !auth_type.is_a_persons() {
        output::write(&format!(
            "There is no login to end: a machine's credentials are used at {endpoint} ({auth_type}).\n"
        ))?;
        return Ok(Exit::Success);
    }
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
