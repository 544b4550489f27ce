//! `flyte whoami`

use flyte_client::identity::UserInfo;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;

pub(crate) fn run(context: &Context) -> Result<Exit, Failure> {
    let client = context.client()?;
    let user = context.run("Asking who you are", async {
        client
            .identity()
            .user_info()
            .await
            .map_err(|error| Failure::client("cannot find out who you are", &error))
    })?;
    output::print(context.global.format, &user, table)?;
    Ok(Exit::Success)
}

fn table(user: &UserInfo) -> String {
    let claims = user.additional_claims.iter().map(|(name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (name.as_str(), value)
    });
    let known = [
        ("Subject", &user.subject),
        ("Name", &user.name),
        ("Username", &user.preferred_username),
        ("E-mail", &user.email),
    ];
    output::details(known.into_iter().map(|(name, value)| (name, value.clone())).chain(claims))
}
