//! `flyte auth`

mod can_i;
mod doctor;
mod inspect_key;
mod status;

use clap::Subcommand;
use flyte_auth::StepUp;
use flyte_config::{ConfigError, Document, Setting, StoreKind, key};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::global::Global;
use crate::output::{self, Format};
use crate::person::{self, Event, Events};
use crate::time::Period;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Sign in, even if you are already signed in
    ///
    /// With --output json, the events of the sign-in are written as JSON lines, for editors and other programs: link, code, waiting,
    /// done and failed.
    Login {
        /// Choose the account, even if the browser is signed in
        #[arg(long, alias = "switch-account")]
        select_account: bool,

        /// Sign in again unless you did so within this time, for example 15m; 0 means always. Servers require a recent sign-in
        /// for some commands, for example to create an API key that does not expire
        #[arg(long, value_name = "DURATION")]
        max_age: Option<Period>,
        /// Where to store the login from now on: keyring, file (encrypted) or memory. Written to the configuration file as
        /// admin.tokenStore for later commands
        #[arg(long, value_name = "STORE")]
        token_store: Option<StoreKind>,
    },
    /// Sign out: revoke the tokens at the server and delete them here
    Logout,
    /// Show whether you are signed in and where tokens are stored; exit code 4 if you are not
    ///
    /// Asks the server whether it accepts the login, and for the account. If the server does not answer, shows what is known locally and
    /// ends with exit code 1.
    Status {
        /// Show what is known locally, without asking the server
        #[arg(long)]
        offline: bool,

        /// The same as --output json
        #[arg(long)]
        json: bool,
    },
    /// Ask whether a call is allowed, and which rule decides
    #[command(name = "can-i", after_help = can_i::HELP)]
    CanI(can_i::Arguments),
    /// Diagnose sign-in problems
    ///
    /// Checks the configuration, the connection to the server, its certificate, the clock, the servers involved in a sign-in,
    /// the keyring, the browser, the API key and the sign-in, in this order. Checks that are impossible after an
    /// earlier failure, or not needed for this way to sign in, are skipped. Changes no setting and starts no sign-in. The exit
    /// code is 1 if a check fails.
    Doctor,
    /// Show the content of an API key, without its secret
    InspectKey {
        /// The key, or - to read it from standard input. By default FLYTE_API_KEY
        #[arg(value_name = "KEY", allow_hyphen_values = true)]
        key: Option<String>,
    },
    /// Print an access token, for programs that call the server themselves
    ///
    /// Renews the token, or asks you to sign in, if needed. Anyone with the token can act as you until it
    /// expires, so do not write it to files or logs.
    Token {
        /// Fail instead of asking you to sign in
        #[arg(long)]
        no_login: bool,
    },
}

pub(crate) fn run(command: Command, global: Global) -> Result<Exit, Failure> {
    match command {
        Command::Login { select_account, max_age, token_store } => {
            let format = global.format;
            let outcome = Context::load(global)
                .and_then(|context| login(context, select_account, max_age, token_store));
            tell_end(format, outcome)
        }
        Command::Logout => logout(&Context::load(global)?),
        Command::Status { offline, json } => status::run(&Context::load(global)?, offline, json),
        Command::CanI(arguments) => can_i::run(&arguments, &Context::load(global)?),
        Command::Token { no_login } => token(&Context::load(global)?, no_login),
        // These two work even if the configuration is unusable.
        Command::Doctor => doctor::run(global),
        Command::InspectKey { key } => inspect_key::run(key, global.format),
    }
}

/// The result of `flyte auth login`.
struct SignedIn {
    endpoint: String,
    /// The account, if the server reports it.
    name: Option<String>,
    /// The store to write to the configuration, for later commands.
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
    if selects_account && !session.options().auth_type.is_for_people() {
        return Err(Failure::new("cannot select an account")
            .why(format!("the command uses a machine's credentials: {}", context.credentials()))
            .next("Remove --select-account, or add --auth-type pkce")
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
        // The sign-in succeeded, so an unknown account is not a failure.
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

/// Writes how a sign-in ended: as an event for programs, or as text for users.
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

/// Writes the store to the configuration, so that later commands find the login.
fn remember(context: &Context, kind: StoreKind) -> Result<(), Failure> {
    if let Some(value) = context.environment.variable("FLYTE_TOKEN_STORE")
        && !value.eq_ignore_ascii_case(kind.as_str())
    {
        output::tell(&format!(
            "FLYTE_TOKEN_STORE is {value}, which takes precedence over the file. Set FLYTE_TOKEN_STORE={kind} for later commands."
        ));
    }
    let Some(path) = &context.config.source else {
        output::tell(&format!(
            "There is no configuration file to store this in. Set FLYTE_TOKEN_STORE={kind} for later commands."
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
    output::tell(&format!("Set admin.tokenStore to {kind} in {}.", path.display()));
    Ok(())
}

fn logout(context: &Context) -> Result<Exit, Failure> {
    let session = context.encrypted_session(false)?;
    let endpoint = context.endpoint()?;
    let auth_type = session.options().auth_type;
    if !auth_type.is_for_people() {
        output::write(&format!(
            "You have no login at {endpoint}: it is used with a machine's credentials ({auth_type}).\n"
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
            "Signed out of {endpoint}. The tokens were deleted from this machine, but the server did not confirm that it \
             revoked them.\n"
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
