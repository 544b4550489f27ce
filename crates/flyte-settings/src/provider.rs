//! Outside providers, through which people sign in.

use std::path::PathBuf;

use super::value::{Form, Value};

/// An OpenID provider, or a provider with GitHub's dialect of OAuth 2. Times are in seconds.
#[derive(Clone, Debug)]
pub struct ProviderConfig {
    /// The name of its section, which is part of its redirect URI.
    pub name: String,
    /// The rules that are particular to the provider.
    pub preset: ProviderPreset,
    /// The text of its button, after "Continue with".
    pub label: String,
    /// The issuer identifier, exactly as the provider publishes it.
    pub issuer: String,
    /// `client_id` of this server at the provider.
    pub client_id: String,
    /// How this server authenticates at the provider.
    pub credential: ProviderCredential,
    /// The scopes that are requested.
    pub scopes: Vec<String>,
    /// The claim with the e-mail address.
    pub email_claim: String,
    /// The claim that says whether the address is verified.
    pub email_verified_claim: String,
    /// Whether `xms_edov` counts if the claim that says whether the address is verified is absent.
    pub trust_xms_edov: bool,
    /// Domains of addresses that count as verified if the provider does not say so.
    pub verified_domains: Vec<String>,
    /// The claim with the full name.
    pub name_claim: String,
    /// The claim with the groups. If it is `None`, groups are not read.
    pub groups_claim: Option<String>,
    /// Domains that may sign in; any, if there is none.
    pub allowed_domains: Vec<String>,
    /// Groups whose members may sign in; no group is needed, if there is none.
    pub allowed_groups: Vec<String>,
    /// Tenants of Entra ID that may sign in.
    pub allowed_tenants: Vec<String>,
    /// When an existing account is connected.
    pub link: LinkRule,
    /// Domains whose addresses the organization gives out, so that an account with one belongs to its holder.
    pub owned_domains: Vec<String>,
    /// Whether a first sign-in creates an account.
    pub create_accounts: bool,
    /// The roles of created accounts, in all projects and domains.
    pub account_roles: Vec<String>,
    /// The organization that the provider's sign-in page is for.
    pub domain_hint: Option<String>,
    /// Whether the provider may have an internal address.
    pub allow_internal: bool,
    /// How often the provider is asked whether a user who is signed in may still be; 0 if it is not.
    pub recheck: i64,
    /// How long a user keeps access while the provider cannot be asked.
    pub recheck_grace: i64,
    /// How long a sign-in lasts at most if the provider gives nothing to ask it with.
    pub max_session: i64,
}

/// How this server authenticates at a provider's token endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderCredential {
    /// It does not: a public client.
    None,
    /// A secret, in a file.
    Secret(PathBuf),
    /// A private key, for `private_key_jwt` (OpenID Connect Core section 9).
    Key {
        /// PEM file of the private key.
        file: PathBuf,
        /// `kid` of the key at the provider.
        id: Option<String>,
    },
}

/// Providers with rules of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderPreset {
    /// Any OpenID provider.
    Oidc,
    /// Google.
    Google,
    /// Okta.
    Okta,
    /// Microsoft Entra ID.
    Entra,
    /// Keycloak.
    Keycloak,
    /// Auth0.
    Auth0,
    /// GitLab.
    Gitlab,
    /// GitHub, which is no OpenID provider.
    Github,
}

impl ProviderPreset {
    /// All presets.
    pub const ALL: [Self; 8] = [
        Self::Oidc,
        Self::Google,
        Self::Okta,
        Self::Entra,
        Self::Keycloak,
        Self::Auth0,
        Self::Gitlab,
        Self::Github,
    ];

    /// Its name in the settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Oidc => "oidc",
            Self::Google => "google",
            Self::Okta => "okta",
            Self::Entra => "entra",
            Self::Keycloak => "keycloak",
            Self::Auth0 => "auth0",
            Self::Gitlab => "gitlab",
            Self::Github => "github",
        }
    }

    /// The text of the button. Any OpenID provider has none.
    #[must_use]
    pub fn label(self) -> Option<&'static str> {
        match self {
            Self::Oidc => None,
            Self::Google => Some("Google"),
            Self::Okta => Some("Okta"),
            Self::Entra => Some("Microsoft"),
            Self::Keycloak => Some("Keycloak"),
            Self::Auth0 => Some("Auth0"),
            Self::Gitlab => Some("GitLab"),
            Self::Github => Some("GitHub"),
        }
    }

    /// The issuer, if the provider has only one that is public.
    #[must_use]
    pub fn issuer(self) -> Option<&'static str> {
        match self {
            Self::Google => Some("https://accounts.google.com"),
            Self::Gitlab => Some("https://gitlab.com"),
            Self::Github => Some("https://github.com"),
            _ => None,
        }
    }

    /// The scopes.
    #[must_use]
    pub fn scopes(self) -> &'static [&'static str] {
        match self {
            Self::Github => &["read:user", "user:email"],
            _ => &["openid", "email", "profile"],
        }
    }
}

impl Value for ProviderPreset {
    const FORM: Form = Form::Text;
    const DESCRIPTION: &'static str =
        "one of `oidc`, `google`, `okta`, `entra`, `keycloak`, `auth0`, `gitlab`, `github`";

    fn parse(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|preset| preset.name() == text);
        found.ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|preset| preset.name()).collect();
            format!("one of these is expected: {}", names.join(" "))
        })
    }

    fn show(&self) -> String {
        self.name().to_owned()
    }
}

/// When an existing account is connected to an outside identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkRule {
    /// When its user signs in to it and confirms.
    SignIn,
    /// Also by its e-mail address, if both sides have verified it.
    VerifiedEmail,
}

impl Value for LinkRule {
    const FORM: Form = Form::Text;
    const DESCRIPTION: &'static str = "one of `sign-in`, `verified-email`";

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "sign-in" => Ok(Self::SignIn),
            "verified-email" => Ok(Self::VerifiedEmail),
            _ => Err("one of these is expected: sign-in verified-email".to_owned()),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::SignIn => "sign-in",
            Self::VerifiedEmail => "verified-email",
        }
        .to_owned()
    }
}

/// Whether a text can be the name of a provider: a path segment, and part of an environment variable.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
}
