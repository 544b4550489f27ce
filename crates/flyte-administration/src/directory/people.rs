//! Accounts.

use connectrpc::{ConnectError, RequestContext};
use flyte_idl::{cloudidl::common as cloud, flyteauth};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::{Directory, check_text, ended_key};
use crate::rights::check_limit;
use buffa::MessageField;
use flyte_access::policy;
use flyte_audit::{Detail, Event, Kind};
use flyte_identity::{PasswordOwner, Passwords};
use flyte_model::{Limit, Role};
use flyte_policy::{Binding, Permissions, Subject};
use flyte_rpc::{allow, caller, invalid, store_error};
use flyte_settings::settings;
use flyte_store::{RoleIn, User, UserQuery};

/// A person who gets an account.
pub(crate) struct NewPerson {
    pub(crate) email: String,
    /// The part of the address before the @ if empty.
    pub(crate) name: String,
    pub(crate) with_password: bool,
    /// The role that new accounts have if there is none.
    pub(crate) roles: Vec<RoleIn>,
}

pub(super) fn check_email(field: &str, email: &str) -> Result<(), ConnectError> {
    settings::account_email(email)
        .map_err(|why| invalid(field, &format!("{email:?} cannot be used for an account: {why}")))
}

fn not_found(text: &str) -> ConnectError {
    ConnectError::not_found(format!("there is no account {text:?}"))
}

impl Directory {
    /// The account with this subject or e-mail address.
    pub(crate) async fn person(&self, field: &str, text: &str) -> Result<User, ConnectError> {
        if text.is_empty() {
            return Err(invalid(field, "is missing"));
        }
        let store = &self.state.store;
        if let Some(user) = store.user_by_id(text).await.map_err(store_error)? {
            return Ok(user);
        }
        store.user_by_email(text).await.map_err(store_error)?.ok_or_else(|| not_found(text))
    }

    /// The roles of a new account: what is asked for, otherwise the role that new accounts have.
    pub(super) async fn roles_of_new(
        &self,
        context: &RequestContext,
        wanted: &[RoleIn],
    ) -> Result<Vec<RoleIn>, ConnectError> {
        if wanted.is_empty() {
            // `none` is no role.
            let Ok(role) = self.state.config.access.default_role.parse::<Role>() else {
                return Ok(Vec::new());
            };
            let verdict =
                policy::may_hand_out(caller(context)?, Permissions::of_role(role), &Limit::default());
            allow(&self.state.audit, context, verdict).await?;
            return Ok(vec![RoleIn::everywhere(role)]);
        }
        for RoleIn { role, limit } in wanted {
            let permissions = self.permissions_of("roles.role", role).await?;
            check_limit(&self.state, caller(context)?, "roles", limit).await?;
            self.allow_role(context, permissions, limit, "giving a role there").await?;
        }
        Ok(wanted.to_owned())
    }

    /// Creates an account. Returns its password if it has one.
    pub(crate) async fn create_person(
        &self,
        context: &RequestContext,
        new: NewPerson,
        field: &str,
    ) -> Result<(User, Option<SecretString>), ConnectError> {
        let NewPerson { email, name, with_password, roles: wanted } = new;
        check_email(field, &email)?;
        check_text("name", &name)?;
        let roles = self.roles_of_new(context, &wanted).await?;
        // A password is enough to sign in.
        if with_password {
            self.allow_entry(context, "creating an account with a password").await?;
        }
        let password = match with_password {
            true => Some(Passwords::generate().map_err(|error| password_error(&error))?),
            false => None,
        };
        let owner = PasswordOwner { email: email.clone(), name: name.clone() };
        let password_hash = match &password {
            Some(password) => {
                let hash = self.state.passwords.hash(password.expose_secret().into(), owner).await;
                Some(hash.map_err(|error| password_error(&error))?)
            }
            None => None,
        };
        let local_part = email.split('@').next().unwrap_or_default();
        let user = User {
            id: Uuid::new_v4().to_string(),
            name: if name.is_empty() { local_part.to_owned() } else { name },
            email,
            password_hash,
            admin: false,
            created_at: self.state.clock.now(),
            disabled_at: None,
        };
        self.state.store.create_user_with(&user, &roles).await.map_err(store_error)?;
        self.changed(context, Kind::UserCreated, |event| {
            let event = about(event, &user);
            roles.iter().fold(event, |event, role| event.detail(Detail::Role, &role.role))
        })
        .await;
        for RoleIn { role, limit } in wanted {
            let binding = Binding { subject: Subject::user(&user.id), role, limit };
            self.record_role(context, Kind::RoleGranted, &binding).await;
        }
        Ok((user, password))
    }

    /// Changes the name of an account, and whether it is enabled.
    pub(crate) async fn update_person(
        &self,
        context: &RequestContext,
        user: &User,
        name: &str,
        enabled: Option<bool>,
    ) -> Result<User, ConnectError> {
        let store = &self.state.store;
        if !name.is_empty() {
            check_text("name", name)?;
            if !store.rename_user(&user.id, name).await.map_err(store_error)? {
                return Err(not_found(&user.email));
            }
            self.changed(context, Kind::UserChanged, |event| about(event, user)).await;
        }
        match enabled {
            Some(true) => {
                if !store.enable_user(&user.id).await.map_err(store_error)? {
                    return Err(not_found(&user.email));
                }
                self.changed(context, Kind::UserEnabled, |event| about(event, user)).await;
            }
            Some(false) => {
                let now = self.state.clock.now();
                let ended = store.deactivate_user(&user.id, now).await.map_err(store_error)?;
                let ended = ended.ok_or_else(|| not_found(&user.email))?;
                self.changed(context, Kind::UserDisabled, |event| about(event, user)).await;
                for key in &ended {
                    self.state.access.revoke_family(&key.family_id);
                    self.state.audit.record(ended_key(key, "the account was disabled")).await;
                }
                self.end_revoked().await;
            }
            None => {}
        }
        store.user_by_id(&user.id).await.map_err(store_error)?.ok_or_else(|| not_found(&user.email))
    }

    /// Deletes an account and everything that it has.
    pub(crate) async fn delete_person(
        &self,
        context: &RequestContext,
        user: &User,
    ) -> Result<(), ConnectError> {
        let now = self.state.clock.now();
        let ended = self.state.store.delete_user(&user.id, now).await.map_err(store_error)?;
        let ended = ended.ok_or_else(|| not_found(&user.id))?;
        self.changed(context, Kind::UserDeleted, |event| about(event, user)).await;
        let why = "the account was deleted";
        for key in &ended.api_keys {
            self.state.access.revoke_family(&key.family_id);
            self.state.audit.record(ended_key(key, why)).await;
        }
        for rule in &ended.trust_rules {
            self.state.access.revoke_family(&rule.family_id);
            let event = Event::new(Kind::TrustDeleted).object(&rule.name).detail(Detail::Reason, why);
            self.state.audit.record(event.detail(Detail::Family, &rule.family_id)).await;
        }
        self.end_revoked().await;
        Ok(())
    }

    /// Ends what the store has revoked, at once.
    pub(super) async fn end_revoked(&self) {
        if let Err(error) = self.state.access.maintain().await {
            tracing::warn!(%error, "reading revocations failed; they are read again within a second");
        }
    }

    pub(crate) async fn people(
        &self,
        limit: u32,
        token: String,
    ) -> Result<(Vec<User>, String), ConnectError> {
        self.search(UserQuery { limit, page_token: token, ..UserQuery::default() }).await
    }

    /// A page of the accounts that meet the conditions of the query, whose limit is that of a request.
    pub(crate) async fn search(&self, query: UserQuery) -> Result<(Vec<User>, String), ConnectError> {
        let query = UserQuery { limit: super::page(query.limit), ..query };
        self.state.store.list_users(&query).await.map_err(store_error)
    }

    /// The hosted control plane's message of an account, with its groups.
    pub(crate) async fn person_message(&self, user: User) -> Result<cloud::User, ConnectError> {
        let groups = self.state.store.groups_of_user(&user.id).await.map_err(store_error)?;
        let (first_name, last_name) = match user.name.rsplit_once(' ') {
            Some((first, last)) => (first.to_owned(), last.to_owned()),
            None => (user.name, String::new()),
        };
        Ok(cloud::User {
            id: MessageField::some(cloud::UserIdentifier {
                subject: user.id,
                ..cloud::UserIdentifier::default()
            }),
            spec: MessageField::some(cloud::UserSpec {
                first_name,
                last_name,
                email: user.email,
                organization: self.state.config.org.clone(),
                groups: groups.into_iter().map(|group| group.name).collect(),
                ..cloud::UserSpec::default()
            }),
            ..cloud::User::default()
        })
    }

    /// The same, with the account's own roles and policies.
    pub(crate) async fn person_with_assignments(&self, user: User) -> Result<cloud::User, ConnectError> {
        let subject = Subject::user(&user.id);
        let mut message = self.person_message(user).await?;
        (message.roles, message.policies) = self.assigned(&subject).await?;
        Ok(message)
    }

    /// Our own message of an account, with its own roles, policies and groups.
    pub(crate) async fn own_person(&self, user: User) -> Result<flyteauth::User, ConnectError> {
        let subject = Subject::user(&user.id);
        let groups = self.state.store.groups_of_user(&user.id).await.map_err(store_error)?;
        let policies = self.state.store.policies_of(&subject).await.map_err(store_error)?;
        Ok(flyteauth::User {
            roles: self.grants(&subject).await?,
            policies: policies.into_iter().map(|policy| policy.name).collect(),
            groups: groups.into_iter().map(|group| group.name).collect(),
            ..own_message(user)
        })
    }

    /// Our own messages of the roles of a subject itself.
    pub(super) async fn grants(&self, subject: &Subject) -> Result<Vec<flyteauth::Grant>, ConnectError> {
        let grants = self.bindings(subject).await?.into_iter().map(|binding| flyteauth::Grant {
            role: binding.role,
            project: binding.limit.project.unwrap_or_default(),
            domain: binding.limit.domain.unwrap_or_default(),
            ..flyteauth::Grant::default()
        });
        Ok(grants.collect())
    }

    /// The bindings of a subject itself.
    pub(super) async fn bindings(&self, subject: &Subject) -> Result<Vec<Binding>, ConnectError> {
        self.state.store.bindings_of(subject).await.map_err(store_error)
    }
}

pub(super) fn about(event: Event, user: &User) -> Event {
    event.object(&user.email).detail(Detail::User, &user.id)
}

fn password_error(error: &flyte_identity::PasswordError) -> ConnectError {
    tracing::error!(%error, "making a password failed");
    ConnectError::unavailable("making a password failed; try again later")
}

/// Our own message of an account, without what it has.
pub(crate) fn own_message(user: User) -> flyteauth::User {
    flyteauth::User {
        subject: user.id,
        email: user.email,
        name: user.name,
        created_at: user.created_at,
        disabled_at: user.disabled_at.unwrap_or_default(),
        has_password: user.password_hash.is_some(),
        ..flyteauth::User::default()
    }
}
