//! Invitations, and links that set a password.

use connectrpc::{ConnectError, RequestContext};
use flyte_idl::flyteauth;
use secrecy::SecretString;
use uuid::Uuid;

use super::{
    Directory, check_text,
    people::{about, check_email},
    place,
};
use crate::is_keeper;
use flyte_access::policy;
use flyte_audit::{Detail, Kind};
use flyte_identity::account_link::{self, INVITATION_LIFETIME, LinkToken, PASSWORD_LINK_LIFETIME};
use flyte_policy::{Binding, Subject};
use flyte_rpc::{allow, caller, invalid, store_error};
use flyte_store::{AccountLink, AccountLinkQuery, LinkPurpose, RoleIn, User};

/// A person who is invited.
pub(crate) struct Invitation {
    pub(crate) email: String,
    /// The part of the address before the @ if empty.
    pub(crate) name: String,
    /// `None` for the role that new accounts have.
    pub(crate) roles: Option<Vec<RoleIn>>,
}

fn unavailable(error: &account_link::NoRandomNumbers) -> ConnectError {
    tracing::error!(%error, "making a link failed");
    ConnectError::unavailable("making a link failed; try again later")
}

fn ended(email: &str) -> ConnectError {
    ConnectError::failed_precondition(format!(
        "the account {email:?} was disabled, deleted or changed just now"
    ))
}

impl Directory {
    /// Checks that the caller may let others into accounts: only people who have just signed in, on this server's pages or with
    /// a client that may keep what outlives its tokens. The holder of a stolen API key, or another client, could stay by an
    /// account of their own.
    pub(super) async fn allow_entry(
        &self,
        context: &RequestContext,
        what: &'static str,
    ) -> Result<(), ConnectError> {
        let caller = caller(context)?;
        let by_keeper = caller.session_id().is_some() || is_keeper(&self.state, caller).await?;
        let verdict = policy::may_let_in(caller, by_keeper, self.state.clock.now(), what);
        allow(&self.state.audit, context, verdict).await
    }

    /// Creates an account with an invitation. If the account exists and its user has never signed in, it gets a new invitation
    /// in place of the older one. Returns the address of the invitation.
    pub(crate) async fn invite(
        &self,
        context: &RequestContext,
        invitation: Invitation,
    ) -> Result<(User, AccountLink, SecretString), ConnectError> {
        let Invitation { email, name, roles } = invitation;
        check_email("email", &email)?;
        check_text("name", &name)?;
        self.allow_entry(context, "inviting a person").await?;
        let asked = roles.is_some();
        let roles = match roles {
            Some(roles) if roles.is_empty() => roles,
            wanted => self.roles_of_new(context, &wanted.unwrap_or_default()).await?,
        };
        let token = LinkToken::generate().map_err(|error| unavailable(&error))?;
        let url = token.url(&self.state.config, LinkPurpose::Invitation);
        let known = self.state.store.user_by_email(&email).await.map_err(store_error)?;
        let (user, link) = match known {
            Some(user) => {
                let roles = if asked { roles } else { Vec::new() };
                let link = self.invite_again(context, &user, &roles, &token).await?;
                (user, link)
            }
            None => self.invite_new(context, email, name, &roles, &token).await?,
        };
        self.changed(context, Kind::UserInvited, |event| {
            about(event, &user).detail(Detail::ExpiresAt, link.expires_at)
        })
        .await;
        Ok((user, link, url))
    }

    async fn invite_new(
        &self,
        context: &RequestContext,
        email: String,
        name: String,
        roles: &[RoleIn],
        token: &LinkToken,
    ) -> Result<(User, AccountLink), ConnectError> {
        let local_part = email.split('@').next().unwrap_or_default();
        let user = User {
            id: Uuid::new_v4().to_string(),
            name: if name.is_empty() { local_part.to_owned() } else { name },
            email,
            password_hash: None,
            admin: false,
            created_at: self.state.clock.now(),
            disabled_at: None,
        };
        let link = self.link(context, &user, LinkPurpose::Invitation, INVITATION_LIFETIME)?;
        let store = &self.state.store;
        store.create_invited_user(&user, roles, &link, &token.hash).await.map_err(store_error)?;
        self.changed(context, Kind::UserCreated, |event| {
            let event = about(event, &user);
            roles.iter().fold(event, |event, role| event.detail(Detail::Role, &role.role))
        })
        .await;
        for RoleIn { role, limit } in roles {
            let (role, limit) = (role.clone(), limit.clone());
            let binding = Binding { subject: Subject::user(&user.id), role, limit };
            self.record_role(context, Kind::RoleGranted, &binding).await;
        }
        Ok((user, link))
    }

    /// A new invitation for an account that has never been used, with roles that it may have already.
    async fn invite_again(
        &self,
        context: &RequestContext,
        user: &User,
        roles: &[RoleIn],
        token: &LinkToken,
    ) -> Result<AccountLink, ConnectError> {
        let store = &self.state.store;
        let is_used = user.password_hash.is_some()
            || !store.outside_identities_of(&user.id).await.map_err(store_error)?.is_empty();
        if is_used {
            return Err(ConnectError::already_exists(format!("user {:?} already exists", user.email)));
        }
        if user.disabled_at.is_some() {
            return Err(ConnectError::failed_precondition(format!(
                "the account {:?} is disabled",
                user.email
            )));
        }
        let subject = Subject::user(&user.id);
        self.allow_all_of(context, &subject).await?;
        let now = self.state.clock.now();
        for RoleIn { role, limit } in roles {
            let binding = Binding { subject: subject.clone(), role: role.clone(), limit: limit.clone() };
            if store.bind_role(&binding, now).await.map_err(store_error)? {
                self.changed(context, Kind::RoleGranted, |event| {
                    place(about(event, user).detail(Detail::Role, role), limit)
                })
                .await;
            }
        }
        let link = self.link(context, user, LinkPurpose::Invitation, INVITATION_LIFETIME)?;
        match store.create_account_link(&link, &token.hash).await.map_err(store_error)? {
            true => Ok(link),
            false => Err(ended(&user.email)),
        }
    }

    /// Creates a link that sets the password of an account. Returns its address.
    ///
    /// With the link, the caller could sign in to the account, so it must have all that the account has.
    pub(crate) async fn create_password_link(
        &self,
        context: &RequestContext,
        user: &User,
    ) -> Result<(AccountLink, SecretString), ConnectError> {
        if !self.state.config.passwords {
            return Err(ConnectError::failed_precondition(
                "this server has no sign-in with a password: the setting session.passwords is false",
            ));
        }
        self.allow_entry(context, "a link that sets a password").await?;
        // It would outlive the caller's sign-in.
        if caller(context)?.subject == user.id {
            return Err(ConnectError::failed_precondition(
                "this is your own account: change the password on the page of your account",
            ));
        }
        self.allow_all_of(context, &Subject::user(&user.id)).await?;
        let token = LinkToken::generate().map_err(|error| unavailable(&error))?;
        let link = self.link(context, user, LinkPurpose::Password, PASSWORD_LINK_LIFETIME)?;
        let created = self.state.store.create_account_link(&link, &token.hash).await.map_err(store_error)?;
        if !created {
            return Err(match user.disabled_at {
                Some(_) => {
                    ConnectError::failed_precondition(format!("the account {:?} is disabled", user.email))
                }
                None => ended(&user.email),
            });
        }
        self.changed(context, Kind::PasswordLinkCreated, |event| {
            about(event, user).detail(Detail::ExpiresAt, link.expires_at)
        })
        .await;
        Ok((link, token.url(&self.state.config, LinkPurpose::Password)))
    }

    fn link(
        &self,
        context: &RequestContext,
        user: &User,
        purpose: LinkPurpose,
        lifetime: i64,
    ) -> Result<AccountLink, ConnectError> {
        let created_by = Some(caller(context)?.subject.clone());
        let now = self.state.clock.now();
        Ok(AccountLink { created_by, ..account_link::link(user, purpose, now, lifetime) })
    }

    /// A page of the links that have not been used.
    pub(crate) async fn account_links(
        &self,
        limit: u32,
        token: String,
    ) -> Result<(Vec<AccountLink>, String), ConnectError> {
        let query = AccountLinkQuery { limit: super::page(limit), page_token: token };
        self.state.store.list_account_links(&query, self.state.clock.now()).await.map_err(store_error)
    }

    /// Ends a link.
    pub(crate) async fn delete_account_link(
        &self,
        context: &RequestContext,
        id: &str,
    ) -> Result<(), ConnectError> {
        if id.is_empty() {
            return Err(invalid("id", "is missing"));
        }
        let ended = self.state.store.delete_account_link(id).await.map_err(store_error)?;
        let link = ended.ok_or_else(|| ConnectError::not_found(format!("there is no link {id:?}")))?;
        self.changed(context, Kind::AccountLinkDeleted, |event| {
            event.object(&link.email).detail(Detail::User, &link.user_id)
        })
        .await;
        Ok(())
    }
}

/// The message of a link.
pub(crate) fn link_message(link: AccountLink) -> flyteauth::AccountLink {
    use flyteauth::account_link::Purpose;
    let purpose = match link.purpose {
        LinkPurpose::Password => Purpose::PURPOSE_PASSWORD,
        LinkPurpose::Invitation => Purpose::PURPOSE_INVITATION,
        LinkPurpose::Email => Purpose::PURPOSE_EMAIL,
    };
    flyteauth::AccountLink {
        id: link.id,
        purpose: purpose.into(),
        subject: link.user_id,
        email: link.email,
        mailed: link.mailed,
        created_by: link.created_by.unwrap_or_default(),
        created_at: link.created_at,
        expires_at: link.expires_at,
        ..flyteauth::AccountLink::default()
    }
}
