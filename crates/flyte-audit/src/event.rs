//! What can be recorded. Kinds and details are closed lists: whoever searches the log can rely on them, and a secret does
//! not get in by accident.

use std::{collections::BTreeMap, net::IpAddr};

use flyte_model::{ClientAddr, clock::UnixTime};
use flyte_store::AuditRecord;

/// The longest text of an event, in bytes: much of it comes from strangers.
const MAX_TEXT: usize = 512;

/// Declares an enumeration of names with the list of all of them.
macro_rules! names {
    ($(#[$outer:meta])* $name:ident { $($(#[$inner:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$inner])* $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name in the log and in the database.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

names! {
    /// What happened.
    Kind {
        /// Somebody signed in at the page.
        SignedIn = "signed_in",
        /// A wrong password, or no such account.
        SignInFailed = "sign_in_failed",
        /// An attempt was not even looked at: throttled, or the form was not this server's.
        SignInRefused = "sign_in_refused",
        /// A browser session ended, and what it had authorized.
        SignedOut = "signed_out",
        /// A spent authorization code was presented again; what it gave is revoked.
        CodeReplayed = "authorization_code_replayed",
        /// A superseded refresh token was presented; its family is revoked.
        RefreshReused = "refresh_token_reused",
        /// A client gave its tokens back.
        TokenRevoked = "token_revoked",
        /// Somebody agreed to what a client asked for.
        ConsentGiven = "consent_given",
        /// Somebody did not.
        ConsentDenied = "consent_denied",
        /// An account has a new password.
        PasswordReset = "password_reset",
        /// An account was made.
        UserCreated = "user_created",
        /// An account was disabled, and all that it had open ended.
        UserDisabled = "user_disabled",
        /// An account was enabled again.
        UserEnabled = "user_enabled",
        /// A client was registered.
        ClientRegistered = "client_registered",
        /// A client was removed, and all that it got ended.
        ClientRemoved = "client_removed",
        /// A new signing key was made by hand.
        KeysRotated = "keys_rotated",
        /// Every signing key was dropped for a new one.
        KeysReplaced = "keys_replaced",
        /// A backup became this data directory.
        BackupRestored = "backup_restored",
        /// The first start made the administrator.
        FirstAdminCreated = "first_admin_created",
        /// A call that its caller may not make.
        CallDenied = "call_denied",
        /// A project was made.
        ProjectCreated = "project_created",
        /// A project was changed.
        ProjectChanged = "project_changed",
        /// A version of a task was deployed, or triggers with one that there was.
        TaskDeployed = "task_deployed",
        /// A trigger was deployed.
        TriggerDeployed = "trigger_deployed",
        /// A trigger was switched on or off.
        TriggerSwitched = "trigger_switched",
        /// A trigger was deleted.
        TriggerDeleted = "trigger_deleted",
        /// An app was deployed.
        AppDeployed = "app_deployed",
        /// An app was changed, started or stopped.
        AppChanged = "app_changed",
        /// An app was deleted.
        AppDeleted = "app_deleted",
        /// Somebody let a device in (RFC 8628).
        DeviceApproved = "device_approved",
        /// Somebody did not.
        DeviceDenied = "device_denied",
        /// Somebody entered a user code that no device waits with.
        DeviceCodeFailed = "device_code_failed",
        /// A user code was not even looked at: throttled, or the form was not this server's.
        DeviceCodeRefused = "device_code_refused",
        /// A device that asks for too many codes.
        DeviceRefused = "device_refused",
        /// A spent device code was presented again; what it gave is revoked.
        DeviceCodeReplayed = "device_code_replayed",
        /// An API key was made.
        ApiKeyCreated = "api_key_created",
        /// An API key was deleted.
        ApiKeyDeleted = "api_key_deleted",
        /// An API key was changed.
        ApiKeyChanged = "api_key_changed",
        /// An API key got a new secret.
        ApiKeyRotated = "api_key_rotated",
        /// A deleted or expired API key was presented.
        ApiKeyUsedAfterDeletion = "api_key_used_after_deletion",
        /// Somebody started a run.
        RunCreated = "run_created",
        /// A run called a task.
        ActionEnqueued = "action_enqueued",
        /// Somebody aborted a run, or a part of one.
        RunAborted = "run_aborted",
        /// Somebody answered a condition that a run waits for.
        RunSignalled = "run_signalled",
        /// A trust rule was made.
        TrustCreated = "trust_created",
        /// A trust rule was deleted.
        TrustDeleted = "trust_deleted",
        /// A trusted issuer's token was exchanged for ours (RFC 8693).
        TokenExchanged = "token_exchanged",
        /// A trusted issuer's token was good, but no rule takes it.
        TokenExchangeRefused = "token_exchange_refused",
    }
}

impl Kind {
    /// Whether it changes what somebody may do from now on, so that the record has to be there before the answer is.
    #[must_use]
    pub fn changes_rights(self) -> bool {
        match self {
            Self::CodeReplayed
            | Self::DeviceCodeReplayed
            | Self::RefreshReused
            | Self::TokenRevoked
            | Self::ConsentGiven
            | Self::PasswordReset
            | Self::UserCreated
            | Self::UserDisabled
            | Self::UserEnabled
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
            | Self::TrustCreated
            | Self::TrustDeleted => true,
            Self::SignedIn
            | Self::SignInFailed
            | Self::SignInRefused
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
            | Self::TokenExchanged
            | Self::TokenExchangeRefused
            | Self::RunCreated
            | Self::ActionEnqueued
            | Self::RunAborted
            | Self::RunSignalled => false,
        }
    }

    /// Whether it is a record of the database too: not what anybody can make happen without limit, or the disk would be
    /// theirs to fill.
    #[must_use]
    pub fn is_stored(self) -> bool {
        !matches!(self, Self::SignInRefused | Self::DeviceCodeRefused | Self::DeviceRefused)
    }

    /// Whether whoever gets it once can have it again without limit, so that repeats are counted (`fold`).
    #[must_use]
    pub fn is_repeatable(self) -> bool {
        matches!(self, Self::CallDenied | Self::ApiKeyUsedAfterDeletion | Self::TokenExchangeRefused)
    }

    /// Whether somebody should look: it was refused, or it shows that something leaked.
    #[must_use]
    pub fn is_suspicious(self) -> bool {
        matches!(
            self,
            Self::SignInFailed
                | Self::SignInRefused
                | Self::CodeReplayed
                | Self::RefreshReused
                | Self::CallDenied
                | Self::DeviceCodeFailed
                | Self::DeviceCodeRefused
                | Self::DeviceRefused
                | Self::DeviceCodeReplayed
                | Self::ApiKeyUsedAfterDeletion
                | Self::TokenExchangeRefused
        )
    }
}

names! {
    /// What else is worth knowing.
    Detail {
        /// Why.
        Reason = "reason",
        /// The e-mail address of an account that there is.
        Email = "email",
        /// The browser session.
        Session = "session_id",
        /// The family of tokens.
        Family = "family_id",
        /// How many families ended.
        Families = "families",
        /// The address that a device asked from.
        DeviceAddress = "device_address",
        /// OAuth scopes, separated by spaces.
        Scope = "scope",
        /// A task.
        Task = "task",
        /// A version of a task.
        Version = "version",
        /// `sub` of who started the run that acts.
        OnBehalfOf = "on_behalf_of",
        /// What an app is to be, such as `active`.
        State = "state",
        /// A role.
        Role = "role",
        /// A project.
        Project = "project",
        /// A domain of a project.
        Domain = "domain",
        /// When something ends, Unix time in seconds.
        ExpiresAt = "expires_at",
        /// The trust rule.
        Trust = "trust",
        /// `iss` of a foreign token.
        Issuer = "issuer",
        /// `sub` of a foreign token.
        ForeignSubject = "foreign_subject",
        /// Name of our access token, its `jti`.
        Token = "jti",
        /// How often it came again: the record is about all of them.
        Repeated = "repeated",
        /// When the first of the repeats came, Unix time in seconds; the record's own time is that of the last.
        Since = "since",
    }
}

/// Something that happened, about to be recorded.
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
    /// An event, from the address of the request that is being answered.
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

    /// Who did it, or in whose name: `sub`.
    #[must_use]
    pub fn subject(mut self, subject: &str) -> Self {
        self.subject = Some(clip(subject));
        self
    }

    /// By which client.
    #[must_use]
    pub fn client(mut self, client_id: &str) -> Self {
        self.client_id = Some(clip(client_id));
        self
    }

    /// From where, where the request does not tell.
    #[must_use]
    pub fn from(mut self, address: IpAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// To what, such as a key's name or a method's path.
    #[must_use]
    pub fn object(mut self, object: &str) -> Self {
        self.object = Some(clip(object));
        self
    }

    /// Something else that is worth knowing.
    #[must_use]
    pub fn detail(mut self, detail: Detail, value: impl ToString) -> Self {
        self.details.insert(detail.as_str().to_owned(), clip(&value.to_string()));
        self
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What is stored of it.
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

/// The text, cut where it is too long to keep.
fn clip(text: &str) -> String {
    if text.len() <= MAX_TEXT {
        return text.to_owned();
    }
    let end = (0..=MAX_TEXT).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    format!("{}\u{2026}", &text[..end])
}
