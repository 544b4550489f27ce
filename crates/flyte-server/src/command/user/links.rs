//! `flyte-server user invite` and `links`, and `reset-password --link`.

use secrecy::ExposeSecret as _;

use super::{UserError, account, check_email, find, roles};
use crate::{cli::NewUser, command::record};
use flyte_audit::{Detail, Event, Kind};
use flyte_identity::account_link::{self, INVITATION_LIFETIME, LinkToken, PASSWORD_LINK_LIFETIME};
use flyte_model::clock::Clock;
use flyte_policy::{Binding, Subject};
use flyte_settings::Config;
use flyte_store::{
    AccountLink, AccountLinkQuery, AccountLinkStore as _, LinkPurpose, OutsideIdentityStore as _,
    PolicyStore as _, RoleIn, User, UserStore as _,
};
use flyte_store_sqlite::SqliteStore;

/// The links that are read at once.
const PAGE: u32 = 1000;

/// Creates an account with an invitation, or replaces the invitation of an account that has never been used.
pub(super) async fn invite(config: &Config, store: &SqliteStore, new: &NewUser) -> Result<String, UserError> {
    check_email(&new.email)?;
    let given = roles::of_new(config, store, new).await?;
    let now = Clock::default().now();
    let token = LinkToken::generate()?;
    let user = match store.user_by_email(&new.email).await? {
        None => {
            let user = account(new, None);
            let link = account_link::link(&user, LinkPurpose::Invitation, now, INVITATION_LIFETIME);
            store.create_invited_user(&user, &given, &link, &token.hash).await?;
            record(store, Event::new(Kind::UserCreated).object(&user.email)).await?;
            user
        }
        Some(user) => {
            let is_used =
                user.password_hash.is_some() || !store.outside_identities_of(&user.id).await?.is_empty();
            if is_used {
                return Err(UserError::Used(user.email));
            }
            let link = account_link::link(&user, LinkPurpose::Invitation, now, INVITATION_LIFETIME);
            if !store.create_account_link(&link, &token.hash).await? {
                return Err(UserError::Disabled(user.email));
            }
            if new.admin || new.role.is_some() {
                give(store, &user, &given).await?;
            }
            user
        }
    };
    let event = Event::new(Kind::UserInvited).object(&user.email).detail(Detail::User, &user.id);
    record(store, event).await?;
    Ok(format!(
        "Invited {}. Give them this link; it works once, for 7 days, and is shown only now:\n{}\n",
        user.email,
        token.url(config, LinkPurpose::Invitation).expose_secret()
    ))
}

/// Gives roles that an account may have already.
async fn give(store: &SqliteStore, user: &User, given: &[RoleIn]) -> Result<(), UserError> {
    for RoleIn { role, limit } in given {
        let binding = Binding { subject: Subject::user(&user.id), role: role.clone(), limit: limit.clone() };
        if store.bind_role(&binding, Clock::default().now()).await? {
            record(store, roles::event(Kind::RoleGranted, &user.email, role, limit)).await?;
        }
    }
    Ok(())
}

/// Creates a link with which a user sets a new password.
pub(crate) async fn password_link(config: &Config, email: &str) -> Result<String, UserError> {
    if !config.passwords {
        return Err(UserError::NoPasswords);
    }
    let store = super::super::open_store(config)?;
    let user = find(&store, email).await?;
    let token = LinkToken::generate()?;
    let now = Clock::default().now();
    let link = account_link::link(&user, LinkPurpose::Password, now, PASSWORD_LINK_LIFETIME);
    if !store.create_account_link(&link, &token.hash).await? {
        return Err(UserError::Disabled(user.email));
    }
    let event = Event::new(Kind::PasswordLinkCreated).object(&user.email).detail(Detail::User, &user.id);
    record(&store, event).await?;
    Ok(format!(
        "Give {} this link to set a new password; it works once, for 24 hours, and is shown only now:\n{}\n",
        user.email,
        token.url(config, LinkPurpose::Password).expose_secret()
    ))
}

/// Lists the links that have not been used.
pub(super) async fn list(store: &SqliteStore) -> Result<String, UserError> {
    let now = Clock::default().now();
    let mut query = AccountLinkQuery { limit: PAGE, page_token: String::new() };
    let mut rows = Vec::new();
    loop {
        let (links, next) = store.list_account_links(&query, now).await?;
        rows.extend(links.into_iter().map(|link| row(link, now)));
        if next.is_empty() {
            break;
        }
        query.page_token = next;
    }
    if rows.is_empty() {
        return Ok("There are no unused links and invitations.\n".to_owned());
    }
    let width = flyte_table::terminal_width();
    Ok(flyte_table::table(["E-MAIL", "PURPOSE", "EXPIRES IN", "ID"], &["E-MAIL"], rows, width))
}

fn row(link: AccountLink, now: i64) -> [String; 4] {
    let purpose = match link.purpose {
        LinkPurpose::Password => "password",
        LinkPurpose::Invitation => "invitation",
        LinkPurpose::Email => "e-mail address",
    };
    let minutes = link.expires_at.saturating_sub(now) / 60;
    let left = match minutes {
        0..120 => format!("{minutes} min"),
        120..2880 => format!("{} h", minutes / 60),
        _ => format!("{} days", minutes / 1440),
    };
    [link.email, purpose.to_owned(), left, link.id]
}
