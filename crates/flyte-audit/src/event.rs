//! The events that can be recorded. Kinds and details are closed lists, so searches of the log can rely on them, and no
//! secret gets in by accident.

use std::{collections::BTreeMap, net::IpAddr};

use flyte_model::{ClientAddr, ClientId, clock::UnixTime};
use flyte_store::AuditRecord;

/// The longest text in an event, in bytes. Much of the text comes from strangers.
const MAX_TEXT: usize = 512;

/// Declares an enumeration of names and a list of all of them.
macro_rules! names {
    ($(#[$outer:meta])* $name:ident { $($(#[$inner:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$inner])* $variant,)* }

        impl $name {
            /// All values.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Returns the name in the log and in the database.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

mod detail;

pub use self::detail::Detail;

names! {
    /// The kind of event.
    Kind {
        /// A user signed in at the page.
        SignedIn = "signed_in",
        /// A sign-in failed: wrong password or unknown account.
        SignInFailed = "sign_in_failed",
        /// A sign-in attempt was rejected without a check: it was throttled, or the form was not from this server.
        SignInRefused = "sign_in_refused",
        /// A user of an outside provider could not sign in, for the reason in the details.
        ProviderSignInRefused = "provider_sign_in_refused",
        /// An outside provider no longer confirms a user, so the sessions that began with it ended.
        ProviderAccessEnded = "provider_access_ended",
        /// A user of an outside provider was connected to an account.
        IdentityLinked = "identity_linked",
        /// A user of an outside provider was disconnected from an account.
        IdentityUnlinked = "identity_unlinked",
        /// A browser session ended, with everything that it had authorized.
        SignedOut = "signed_out",
        /// A redeemed authorization code was presented again; everything that it gave is revoked.
        CodeReplayed = "authorization_code_replayed",
        /// A superseded refresh token was presented; its family is revoked.
        RefreshReused = "refresh_token_reused",
        /// A client revoked its tokens.
        TokenRevoked = "token_revoked",
        /// A user consented to a client's request.
        ConsentGiven = "consent_given",
        /// A user withdrew the consent to a client; what the client obtained from the user is revoked.
        ConsentWithdrawn = "consent_withdrawn",
        /// A user denied a client's request.
        ConsentDenied = "consent_denied",
        /// An account has a new password.
        PasswordReset = "password_reset",
        /// A user changed their own password.
        PasswordChanged = "password_changed",
        /// A link that sets a new password was created.
        PasswordLinkCreated = "password_link_created",
        /// An account has a new e-mail address.
        EmailChanged = "email_changed",
        /// A person was invited.
        UserInvited = "user_invited",
        /// An invitation was accepted.
        InvitationAccepted = "invitation_accepted",
        /// A link or an invitation was ended before its use.
        AccountLinkDeleted = "account_link_deleted",
        /// An account was created.
        UserCreated = "user_created",
        /// An account was disabled, and all its sign-ins ended.
        UserDisabled = "user_disabled",
        /// All sign-ins of an account ended: its browser sessions and command-line logins.
        UserSessionsEnded = "user_sessions_ended",
        /// An account was enabled again.
        UserEnabled = "user_enabled",
        /// A user, a group or an API key was given a role.
        RoleGranted = "role_granted",
        /// A role was taken from a user, a group or an API key.
        RoleRevoked = "role_revoked",
        /// An account has another name.
        UserChanged = "user_changed",
        /// An account was deleted, with all that it had.
        UserDeleted = "user_deleted",
        /// A group was created.
        GroupCreated = "group_created",
        /// A group has another name or description.
        GroupChanged = "group_changed",
        /// A group was deleted.
        GroupDeleted = "group_deleted",
        /// A person became a member of a group.
        MemberAdded = "member_added",
        /// A person is no longer a member of a group.
        MemberRemoved = "member_removed",
        /// A role was created.
        RoleCreated = "role_created",
        /// A role was changed: what it allows, or its description.
        RoleChanged = "role_changed",
        /// A role was deleted.
        RoleDeleted = "role_deleted",
        /// A policy was created.
        PolicyCreated = "policy_created",
        /// A role was added to a policy or removed from it.
        PolicyChanged = "policy_changed",
        /// A policy was deleted.
        PolicyDeleted = "policy_deleted",
        /// A policy was assigned to a user, a group or an API key.
        PolicyAssigned = "policy_assigned",
        /// A policy was taken from a user, a group or an API key.
        PolicyUnassigned = "policy_unassigned",
        /// A client was registered.
        ClientRegistered = "client_registered",
        /// A client was deleted, and all its tokens were revoked.
        ClientRemoved = "client_removed",
        /// A signing key was rotated manually.
        KeysRotated = "keys_rotated",
        /// All signing keys were replaced with a new one.
        KeysReplaced = "keys_replaced",
        /// A backup was restored to this data directory.
        BackupRestored = "backup_restored",
        /// The first start created the administrator.
        FirstAdminCreated = "first_admin_created",
        /// A call was denied.
        CallDenied = "call_denied",
        /// A project was created.
        ProjectCreated = "project_created",
        /// A project was changed.
        ProjectChanged = "project_changed",
        /// A version of a task was deployed, or triggers with an existing version.
        TaskDeployed = "task_deployed",
        /// A trigger was deployed.
        TriggerDeployed = "trigger_deployed",
        /// A trigger was activated or deactivated.
        TriggerSwitched = "trigger_switched",
        /// A trigger was deleted.
        TriggerDeleted = "trigger_deleted",
        /// An app was deployed.
        AppDeployed = "app_deployed",
        /// An app was changed, started or stopped.
        AppChanged = "app_changed",
        /// An app was deleted.
        AppDeleted = "app_deleted",
        /// A user approved a device (RFC 8628).
        DeviceApproved = "device_approved",
        /// A user denied a device.
        DeviceDenied = "device_denied",
        /// A user entered an unknown user code.
        DeviceCodeFailed = "device_code_failed",
        /// A user code was rejected without a check: it was throttled, or the form was not from this server.
        DeviceCodeRefused = "device_code_refused",
        /// A device asked for too many codes.
        DeviceRefused = "device_refused",
        /// A redeemed device code was presented again; everything that it gave is revoked.
        DeviceCodeReplayed = "device_code_replayed",
        /// An API key was created.
        ApiKeyCreated = "api_key_created",
        /// An API key was deleted.
        ApiKeyDeleted = "api_key_deleted",
        /// An API key was changed.
        ApiKeyChanged = "api_key_changed",
        /// An API key got a new secret.
        ApiKeyRotated = "api_key_rotated",
        /// A deleted or expired API key was presented.
        ApiKeyUsedAfterDeletion = "api_key_used_after_deletion",
        /// A key of a SCIM client was created.
        ScimKeyCreated = "scim_key_created",
        /// A key of a SCIM client was deleted.
        ScimKeyDeleted = "scim_key_deleted",
        /// An expired key of a SCIM client was presented.
        ScimKeyRefused = "scim_key_refused",
        /// A run was started.
        RunCreated = "run_created",
        /// A run called a task.
        ActionEnqueued = "action_enqueued",
        /// A run, or a part of one, was aborted.
        RunAborted = "run_aborted",
        /// A condition that a run waits for was answered.
        RunSignalled = "run_signalled",
        /// A trust rule was created.
        TrustCreated = "trust_created",
        /// A trust rule was deleted.
        TrustDeleted = "trust_deleted",
        /// A token of a trusted issuer was exchanged for a token of this server (RFC 8693).
        TokenExchanged = "token_exchanged",
        /// A token of a trusted issuer was valid, but no rule matches it.
        TokenExchangeRefused = "token_exchange_refused",
    }
}

impl Kind {
    /// Returns whether the event changes what a principal may do. Its record must be stored before the response is
    /// sent.
    #[must_use]
    pub fn changes_rights(self) -> bool {
        match self {
            Self::CodeReplayed
            | Self::DeviceCodeReplayed
            | Self::RefreshReused
            | Self::TokenRevoked
            | Self::ConsentGiven
            | Self::ConsentWithdrawn
            | Self::PasswordReset
            | Self::PasswordChanged
            | Self::PasswordLinkCreated
            | Self::EmailChanged
            | Self::UserInvited
            | Self::InvitationAccepted
            | Self::AccountLinkDeleted
            | Self::IdentityLinked
            | Self::ProviderAccessEnded
            | Self::IdentityUnlinked
            | Self::UserCreated
            | Self::UserDisabled
            | Self::UserSessionsEnded
            | Self::UserEnabled
            | Self::RoleGranted
            | Self::RoleRevoked
            | Self::UserChanged
            | Self::UserDeleted
            | Self::GroupCreated
            | Self::GroupChanged
            | Self::GroupDeleted
            | Self::MemberAdded
            | Self::MemberRemoved
            | Self::RoleCreated
            | Self::RoleChanged
            | Self::RoleDeleted
            | Self::PolicyCreated
            | Self::PolicyChanged
            | Self::PolicyDeleted
            | Self::PolicyAssigned
            | Self::PolicyUnassigned
            | Self::ClientRegistered
            | Self::ClientRemoved
            | Self::KeysRotated
            | Self::KeysReplaced
            | Self::BackupRestored
            | Self::FirstAdminCreated
            | Self::DeviceApproved
            | Self::ApiKeyCreated
            | Self::ApiKeyDeleted
            | Self::ApiKeyChanged
            | Self::ApiKeyRotated
            | Self::ScimKeyCreated
            | Self::ScimKeyDeleted
            | Self::TrustCreated
            | Self::TrustDeleted => true,
            Self::SignedIn
            | Self::SignInFailed
            | Self::SignInRefused
            | Self::ProviderSignInRefused
            | Self::SignedOut
            | Self::ConsentDenied
            | Self::CallDenied
            | Self::ProjectCreated
            | Self::ProjectChanged
            | Self::TaskDeployed
            | Self::TriggerDeployed
            | Self::TriggerSwitched
            | Self::TriggerDeleted
            | Self::AppDeployed
            | Self::AppChanged
            | Self::AppDeleted
            | Self::DeviceDenied
            | Self::DeviceCodeFailed
            | Self::DeviceCodeRefused
            | Self::DeviceRefused
            | Self::ApiKeyUsedAfterDeletion
            | Self::ScimKeyRefused
            | Self::TokenExchanged
            | Self::TokenExchangeRefused
            | Self::RunCreated
            | Self::ActionEnqueued
            | Self::RunAborted
            | Self::RunSignalled => false,
        }
    }

    /// Returns whether the event is also stored in the database. Events that anyone can cause without limit are not:
    /// they could fill the disk.
    #[must_use]
    pub fn is_stored(self) -> bool {
        !matches!(self, Self::SignInRefused | Self::DeviceCodeRefused | Self::DeviceRefused)
    }

    /// Returns whether a caller that can cause the event once can cause it again without limit, so that repeats are
    /// counted (`fold`).
    #[must_use]
    pub fn is_repeatable(self) -> bool {
        matches!(
            self,
            Self::CallDenied
                | Self::ApiKeyUsedAfterDeletion
                | Self::ScimKeyRefused
                | Self::TokenExchangeRefused
                | Self::ProviderSignInRefused
        )
    }

    /// Returns whether an administrator should look at the event: it was denied, or it shows that something leaked.
    #[must_use]
    pub fn is_suspicious(self) -> bool {
        matches!(
            self,
            Self::SignInFailed
                | Self::SignInRefused
                | Self::ProviderSignInRefused
                | Self::CodeReplayed
                | Self::RefreshReused
                | Self::CallDenied
                | Self::DeviceCodeFailed
                | Self::DeviceCodeRefused
                | Self::DeviceRefused
                | Self::DeviceCodeReplayed
                | Self::ApiKeyUsedAfterDeletion
                | Self::ScimKeyRefused
                | Self::TokenExchangeRefused
        )
    }
}

/// An event that is about to be recorded.
#[derive(Clone, Debug)]
pub struct Event {
    kind: Kind,
    subject: Option<String>,
    client_id: Option<String>,
    address: Option<IpAddr>,
    object: Option<String>,
    details: BTreeMap<String, String>,
}

impl Event {
    /// Creates an event. Its address is that of the current request.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            subject: None,
            client_id: None,
            address: ClientAddr::current().map(|client| client.0),
            object: None,
            details: BTreeMap::new(),
        }
    }

    /// Sets the principal that acted, or in whose name the client acted: `sub`.
    #[must_use]
    pub fn subject(mut self, subject: &str) -> Self {
        self.subject = Some(clip(subject));
        self
    }

    /// Sets the client.
    #[must_use]
    pub fn client(mut self, client_id: &ClientId) -> Self {
        self.client_id = Some(clip(client_id.as_str()));
        self
    }

    /// Sets the address, if the current request does not have it.
    #[must_use]
    pub fn from(mut self, address: IpAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// Sets the object, for example the name of an API key or the path of a method.
    #[must_use]
    pub fn object(mut self, object: &str) -> Self {
        self.object = Some(clip(object));
        self
    }

    /// Adds a further fact.
    #[must_use]
    pub fn detail(mut self, detail: Detail, value: impl ToString) -> Self {
        self.details.insert(detail.as_str().to_owned(), clip(&value.to_string()));
        self
    }

    /// Returns the kind of event.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the record to store.
    #[must_use]
    pub fn into_record(self, at: UnixTime) -> AuditRecord {
        AuditRecord {
            at,
            event: self.kind.as_str().to_owned(),
            subject: self.subject,
            client_id: self.client_id,
            address: self.address.map(|address| address.to_string()),
            object: self.object,
            details: self.details,
        }
    }
}

/// Cuts a text that is too long.
fn clip(text: &str) -> String {
    if text.len() <= MAX_TEXT {
        return text.to_owned();
    }
    let end = (0..=MAX_TEXT).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    format!("{}\u{2026}", &text[..end])
}
