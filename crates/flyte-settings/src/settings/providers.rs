//! `providers.NAME`: outside providers, through which people sign in. Each has a section with these settings.

use std::path::PathBuf;

use url::Url;

use super::check::{any, between};
use crate::{
    LinkRule, ProviderPreset,
    setting::{
        AnySetting,
        Default::{Depends, Value},
        Setting,
    },
    value::Seconds,
};

/// The settings of each provider, in the order of the reference page.
pub static PROVIDER: &[&(dyn AnySetting + Sync)] = &[
    &PROVIDER_PRESET,
    &PROVIDER_LABEL,
    &PROVIDER_ISSUER,
    &PROVIDER_CLIENT_ID,
    &PROVIDER_CLIENT_SECRET_FILE,
    &PROVIDER_CLIENT_KEY_FILE,
    &PROVIDER_CLIENT_KEY_ID,
    &PROVIDER_SCOPES,
    &PROVIDER_EMAIL_CLAIM,
    &PROVIDER_EMAIL_VERIFIED_CLAIM,
    &PROVIDER_TRUST_XMS_EDOV,
    &PROVIDER_VERIFIED_DOMAINS,
    &PROVIDER_NAME_CLAIM,
    &PROVIDER_GROUPS_CLAIM,
    &PROVIDER_ALLOWED_DOMAINS,
    &PROVIDER_ALLOWED_GROUPS,
    &PROVIDER_ALLOWED_TENANTS,
    &PROVIDER_LINK,
    &PROVIDER_OWNED_DOMAINS,
    &PROVIDER_CREATE_ACCOUNTS,
    &PROVIDER_ACCOUNT_ROLES,
    &PROVIDER_DOMAIN_HINT,
    &PROVIDER_ALLOW_INTERNAL,
    &PROVIDER_RECHECK,
    &PROVIDER_RECHECK_GRACE,
    &PROVIDER_MAX_SESSION,
];

/// [`ProviderConfig::preset`](crate::ProviderConfig::preset).
pub static PROVIDER_PRESET: Setting<ProviderPreset> = Setting {
    key: "providers.NAME.preset",
    flag: None,
    placeholder: "PRESET",
    default: Value("oidc"),
    help: "The provider's kind, which determines defaults and the rules that are particular to it. `oidc` is any OpenID \
           provider with a discovery document.",
    check: any,
};

/// [`ProviderConfig::label`](crate::ProviderConfig::label).
pub static PROVIDER_LABEL: Setting<String> = Setting {
    key: "providers.NAME.label",
    flag: None,
    placeholder: "TEXT",
    default: Depends("the name of the preset, or the name of the section"),
    help: "The provider's name on its button on the sign-in page, after \"Continue with\".",
    check: |label| {
        if (1..=40).contains(&label.chars().count()) && !label.contains(char::is_control) {
            return Ok(());
        }
        Err("1 to 40 characters are expected".to_owned())
    },
};

/// [`ProviderConfig::issuer`](crate::ProviderConfig::issuer).
pub static PROVIDER_ISSUER: Setting<String> = Setting {
    key: "providers.NAME.issuer",
    flag: None,
    placeholder: "URL",
    default: Depends("that of Google, gitlab.com or github.com with these presets; otherwise required"),
    help: "The issuer identifier, exactly as the provider publishes it, with or without a slash at the end. The document \
           `/.well-known/openid-configuration` below it is read when the provider is first used. For a GitHub Enterprise \
           Server, the server's URL.",
    check: |issuer| check_issuer(issuer),
};

/// [`ProviderConfig::client_id`](crate::ProviderConfig::client_id).
pub static PROVIDER_CLIENT_ID: Setting<String> = Setting {
    key: "providers.NAME.client-id",
    flag: None,
    placeholder: "ID",
    default: Depends("none; required"),
    help: "The client ID that the provider has given this server. Register the redirect URI \
           `PUBLIC-URL/login/with/NAME/callback` there.",
    check: |id| if id.is_empty() { Err("it cannot be empty".to_owned()) } else { Ok(()) },
};

/// [`ProviderCredential::Secret`](crate::ProviderCredential::Secret).
pub static PROVIDER_CLIENT_SECRET_FILE: Setting<PathBuf> = Setting {
    key: "providers.NAME.client-secret-file",
    flag: None,
    placeholder: "FILE",
    default: Depends("none: a public client, which only PKCE protects, or one with a private key"),
    help: "File with the client secret. It is read again for each request to the provider, so a new secret needs no restart.",
    check: any,
};

/// [`ProviderCredential::Key`](crate::ProviderCredential::Key).
pub static PROVIDER_CLIENT_KEY_FILE: Setting<PathBuf> = Setting {
    key: "providers.NAME.client-key-file",
    flag: None,
    placeholder: "FILE",
    default: Depends("none"),
    help: "PEM file (PKCS#8) of a private key, RSA, P-256 or Ed25519, with which this server authenticates in place of a \
           secret (`private_key_jwt`).",
    check: any,
};

/// `kid` of [`ProviderCredential::Key`](crate::ProviderCredential::Key).
pub static PROVIDER_CLIENT_KEY_ID: Setting<String> = Setting {
    key: "providers.NAME.client-key-id",
    flag: None,
    placeholder: "KID",
    default: Depends("none"),
    help: "The key ID (`kid`) of `client-key-file` at the provider, if it needs one.",
    check: any,
};

/// [`ProviderConfig::scopes`](crate::ProviderConfig::scopes).
pub static PROVIDER_SCOPES: Setting<Vec<String>> = Setting {
    key: "providers.NAME.scopes",
    flag: None,
    placeholder: "SCOPE,...",
    default: Depends(
        "`openid,email,profile`; with `github`, `read:user,user:email` and, for groups, `read:org`",
    ),
    help: "The scopes that are requested. They replace the default.",
    check: |scopes| {
        let good =
            |scope: &String| scope.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte));
        if !scopes.is_empty() && scopes.iter().all(good) {
            return Ok(());
        }
        Err("a list of scopes is expected, for example openid,email,profile".to_owned())
    },
};

/// [`ProviderConfig::email_claim`](crate::ProviderConfig::email_claim).
pub static PROVIDER_EMAIL_CLAIM: Setting<String> = Setting {
    key: "providers.NAME.email-claim",
    flag: None,
    placeholder: "CLAIM",
    default: Value("email"),
    help: "The claim with the e-mail address.",
    check: |claim| check_claim(claim),
};

/// [`ProviderConfig::email_verified_claim`](crate::ProviderConfig::email_verified_claim).
pub static PROVIDER_EMAIL_VERIFIED_CLAIM: Setting<String> = Setting {
    key: "providers.NAME.email-verified-claim",
    flag: None,
    placeholder: "CLAIM",
    default: Value("email_verified"),
    help: "The claim that says whether the provider has verified the address. Only `true` and `\"true\"` count.",
    check: |claim| check_claim(claim),
};

/// [`ProviderConfig::trust_xms_edov`](crate::ProviderConfig::trust_xms_edov).
pub static PROVIDER_TRUST_XMS_EDOV: Setting<bool> = Setting {
    key: "providers.NAME.trust-xms-edov",
    flag: None,
    placeholder: "true|false",
    default: Value("false"),
    help: "Whether an address also counts as verified if Entra ID says that the tenant owns its domain (`xms_edov`). This \
           applies only if the claim of `email-verified-claim` is absent. Use it with the preset `entra`.",
    check: any,
};

/// [`ProviderConfig::verified_domains`](crate::ProviderConfig::verified_domains).
pub static PROVIDER_VERIFIED_DOMAINS: Setting<Vec<String>> = Setting {
    key: "providers.NAME.verified-domains",
    flag: None,
    placeholder: "DOMAIN,...",
    default: Value(""),
    help: "Domains whose addresses count as verified if the provider does not say whether they are. Use it only for \
           addresses that the provider's users cannot change themselves, for example those of a directory. If the provider \
           says that an address is not verified, this does not apply.",
    check: |domains| check_domains(domains),
};

/// [`ProviderConfig::name_claim`](crate::ProviderConfig::name_claim).
pub static PROVIDER_NAME_CLAIM: Setting<String> = Setting {
    key: "providers.NAME.name-claim",
    flag: None,
    placeholder: "CLAIM",
    default: Value("name"),
    help: "The claim with the full name.",
    check: |claim| check_claim(claim),
};

/// [`ProviderConfig::groups_claim`](crate::ProviderConfig::groups_claim).
pub static PROVIDER_GROUPS_CLAIM: Setting<String> = Setting {
    key: "providers.NAME.groups-claim",
    flag: None,
    placeholder: "CLAIM",
    default: Depends("`groups` if `allowed-groups` is set; otherwise none: groups are not read"),
    help: "The claim with the identifiers of the user's groups: a list of texts, or one text. At each sign-in, the user becomes a \
           member of exactly these groups of the provider; groups that were made here are never changed. If the provider does \
           not say in which groups a user is, the memberships stay. GitHub has no claims: the groups \
           are `org:ID` for each organization and `team:ID` for each team, with the numbers of GitHub's API.",
    check: |claim| check_claim(claim),
};

/// [`ProviderConfig::allowed_domains`](crate::ProviderConfig::allowed_domains).
pub static PROVIDER_ALLOWED_DOMAINS: Setting<Vec<String>> = Setting {
    key: "providers.NAME.allowed-domains",
    flag: None,
    placeholder: "DOMAIN,...",
    default: Value(""),
    help: "Domains whose users may sign in. The user needs a verified address in one of them. With the preset `google`, the \
           account must belong to the Google Workspace of one of them (claim `hd`), whatever its address. If the list is \
           empty, every user of the provider may.",
    check: |domains| check_domains(domains),
};

/// [`ProviderConfig::allowed_groups`](crate::ProviderConfig::allowed_groups).
pub static PROVIDER_ALLOWED_GROUPS: Setting<Vec<String>> = Setting {
    key: "providers.NAME.allowed-groups",
    flag: None,
    placeholder: "GROUP,...",
    default: Value(""),
    help: "Identifiers of groups, as the provider sends them. A user must be in one of them to sign in. If the provider does \
           not say in which groups a user is, or the user is in too many to list, the sign-in is refused.",
    check: any,
};

/// [`ProviderConfig::allowed_tenants`](crate::ProviderConfig::allowed_tenants).
pub static PROVIDER_ALLOWED_TENANTS: Setting<Vec<String>> = Setting {
    key: "providers.NAME.allowed-tenants",
    flag: None,
    placeholder: "ID,...",
    default: Value(""),
    help: "Identifiers of the tenants of Entra ID whose users may sign in (claim `tid`). Required if the issuer is one for \
           several tenants, for example `https://login.microsoftonline.com/organizations/v2.0`.",
    check: any,
};

/// [`ProviderConfig::link`](crate::ProviderConfig::link).
pub static PROVIDER_LINK: Setting<LinkRule> = Setting {
    key: "providers.NAME.link",
    flag: None,
    placeholder: "sign-in|verified-email",
    default: Value("sign-in"),
    help: "How an existing account is connected to a user of the provider. With `sign-in`, the user signs in to the account \
           once in another way and confirms. With `verified-email`, an account with the same address is connected at once if \
           the provider has verified the address and the account has proved it too, or if the address is in one of \
           `owned-domains`.",
    check: any,
};

/// [`ProviderConfig::owned_domains`](crate::ProviderConfig::owned_domains).
pub static PROVIDER_OWNED_DOMAINS: Setting<Vec<String>> = Setting {
    key: "providers.NAME.owned-domains",
    flag: None,
    placeholder: "DOMAIN,...",
    default: Value(""),
    help: "Domains whose addresses your organization gives out and never gives to another person. An account with an address \
           in one of them counts as proved for `link`.",
    check: |domains| check_domains(domains),
};

/// [`ProviderConfig::create_accounts`](crate::ProviderConfig::create_accounts).
pub static PROVIDER_CREATE_ACCOUNTS: Setting<bool> = Setting {
    key: "providers.NAME.create-accounts",
    flag: None,
    placeholder: "true|false",
    default: Value("false"),
    help: "Whether the first sign-in of a user with a verified address that no account has creates an account. It is never \
           an administrator's.",
    check: any,
};

/// [`ProviderConfig::account_roles`](crate::ProviderConfig::account_roles).
pub static PROVIDER_ACCOUNT_ROLES: Setting<Vec<String>> = Setting {
    key: "providers.NAME.account-roles",
    flag: None,
    placeholder: "ROLE,...",
    default: Value("contributor"),
    help: "The roles that accounts of `create-accounts` get in all projects and domains: built-in or custom ones, but not \
           `admin`. With an empty list, only the roles of the user's groups count.",
    check: |roles| {
        if roles.iter().any(|role| role == "admin") {
            return Err("accounts that a provider creates cannot be administrators".to_owned());
        }
        Ok(())
    },
};

/// [`ProviderConfig::domain_hint`](crate::ProviderConfig::domain_hint).
pub static PROVIDER_DOMAIN_HINT: Setting<String> = Setting {
    key: "providers.NAME.domain-hint",
    flag: None,
    placeholder: "DOMAIN",
    default: Depends("with `google`, the only one of `allowed-domains`; otherwise none"),
    help: "The organization for which the provider shows its sign-in page (`hd` of Google, `domain_hint` of others). It only \
           saves a choice: `allowed-domains` and `allowed-tenants` are what is checked.",
    check: any,
};

/// [`ProviderConfig::allow_internal`](crate::ProviderConfig::allow_internal).
pub static PROVIDER_ALLOW_INTERNAL: Setting<bool> = Setting {
    key: "providers.NAME.allow-internal",
    flag: None,
    placeholder: "true|false",
    default: Value("false"),
    help: "Whether the provider may have an address of an internal network. Set it for a provider inside of your organization.",
    check: any,
};

/// [`ProviderConfig::recheck`](crate::ProviderConfig::recheck).
pub static PROVIDER_RECHECK: Setting<Seconds> = Setting {
    key: "providers.NAME.recheck",
    flag: None,
    placeholder: "DURATION",
    default: Value("1h"),
    help: "How often the provider is asked whether a user who is signed in may still be. A user that it no longer accepts, or \
           that a rule here no longer admits, loses access within this time. The server needs a refresh token for this, and \
           requests the scope `offline_access` if the provider lists it. With `0s`, the provider is not asked, and \
           `max-session` does not apply.",
    check: |interval| if interval.0 == 0 { Ok(()) } else { between(interval, 60, 30 * 86_400) },
};

/// [`ProviderConfig::recheck_grace`](crate::ProviderConfig::recheck_grace).
pub static PROVIDER_RECHECK_GRACE: Setting<Seconds> = Setting {
    key: "providers.NAME.recheck-grace",
    flag: None,
    placeholder: "DURATION",
    default: Value("4h"),
    help: "How long users keep access while the provider cannot be asked, from the first failure on.",
    check: |grace| between(grace, 0, 30 * 86_400),
};

/// [`ProviderConfig::max_session`](crate::ProviderConfig::max_session).
pub static PROVIDER_MAX_SESSION: Setting<Seconds> = Setting {
    key: "providers.NAME.max-session",
    flag: None,
    placeholder: "DURATION",
    default: Value("12h"),
    help: "How long a sign-in lasts, in browsers and programs, if the provider gave no refresh token for the user. After that, \
           the user signs in again.",
    check: |age| between(age, 300, 30 * 86_400),
};

fn check_issuer(issuer: &str) -> Result<(), String> {
    let wrong = || {
        "the issuer identifier of the provider is expected, for example https://login.example.com/realms/main"
            .to_owned()
    };
    let url: Url = issuer.parse().map_err(|_| wrong())?;
    let is_safe = url.scheme() == "https" || (url.scheme() == "http" && flyte_model::is_loopback(&url));
    let is_plain = url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
        && issuer.bytes().all(|byte| byte.is_ascii_graphic());
    if is_safe && is_plain && url.has_host() { Ok(()) } else { Err(wrong()) }
}

fn check_claim(claim: &str) -> Result<(), String> {
    if (1..=128).contains(&claim.len()) && !claim.contains(char::is_control) {
        return Ok(());
    }
    Err("the name of a claim is expected".to_owned())
}

fn check_domains(domains: &[String]) -> Result<(), String> {
    let is_domain = |domain: &String| crate::cluster::is_host(domain) && domain.contains('.');
    match domains.iter().find(|domain| !is_domain(domain)) {
        Some(domain) => Err(format!("{domain:?} is not a domain, for example example.com")),
        None => Ok(()),
    }
}
