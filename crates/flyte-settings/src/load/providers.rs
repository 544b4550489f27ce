//! The providers that the sections `providers.NAME` and the environment describe.

use std::collections::{BTreeMap, BTreeSet};

use super::{Environment, Origin, values::Values};
use crate::{
    AnySetting, ConfigError, ProviderConfig, ProviderCredential, ProviderPreset, provider,
    settings::{self as s, PROVIDER},
};

/// The values of the settings of each provider, by its name.
pub(super) type Given = BTreeMap<String, BTreeMap<&'static str, (String, Origin)>>;

/// The prefix of the environment variables.
const PREFIX: &str = "FLYTE_SERVER_PROVIDERS_";

/// Returns the key of a provider's setting with the provider's name.
pub(crate) fn key_of(name: &str, setting: &dyn AnySetting) -> String {
    format!("providers.{name}.{}", key_in_section(setting))
}

/// Returns the key of a setting in the section of its provider.
pub(crate) fn key_in_section(setting: &dyn AnySetting) -> &'static str {
    setting.key().rsplit('.').next().unwrap_or_default()
}

/// Returns the provider and the setting that an environment variable means.
pub(super) fn variable(name: &str) -> Option<(String, &'static (dyn AnySetting + Sync))> {
    let rest = name.strip_prefix(PREFIX)?;
    let meant = PROVIDER.iter().filter_map(|setting| {
        let suffix = key_in_section(*setting).replace('-', "_").to_uppercase();
        let name = rest.strip_suffix(&suffix)?.strip_suffix('_')?;
        let name = name.to_lowercase().replace('_', "-");
        provider::is_name(&name).then_some((suffix.len(), name, *setting))
    });
    // `CLIENT_ID` is also the end of a longer key.
    meant.max_by_key(|(length, ..)| *length).map(|(_, name, setting)| (name, setting))
}

/// Adds the values of the environment.
pub(super) fn add_environment(given: &mut Given, environment: &Environment, errors: &mut Vec<ConfigError>) {
    for (variable, text) in environment.all().filter(|(_, text)| !text.is_empty()) {
        let Some((name, setting)) = self::variable(variable) else { continue };
        let origin = Origin::Environment(variable.to_owned());
        match setting.canonical(text) {
            Ok(_) => {
                given.entry(name).or_default().insert(setting.key(), (text.to_owned(), origin));
            }
            Err(reason) => {
                let key = key_of(&name, setting);
                errors.push(ConfigError::Invalid { origin, key, value: text.to_owned(), reason });
            }
        }
    }
}

/// Makes the providers of the values, sorted by name.
///
/// # Errors
/// A setting that is missing or contradicts another one.
pub(super) fn build(given: &Given) -> Result<Vec<ProviderConfig>, ConfigError> {
    let providers = given.iter().map(|(name, values)| provider_of(name, &Values(values)));
    let providers = providers.collect::<Result<Vec<_>, _>>()?;
    let mut labels = BTreeSet::new();
    if let Some(twice) = providers.iter().find(|provider| !labels.insert(&provider.label)) {
        return Err(ConfigError::Conflict(format!(
            "two providers have the label {:?}: set another one in [providers.{}]",
            twice.label, twice.name
        )));
    }
    Ok(providers)
}

fn provider_of(name: &str, values: &Values<'_>) -> Result<ProviderConfig, ConfigError> {
    let conflict = |why: &str| Err(ConfigError::Conflict(format!("[providers.{name}]: {why}")));
    let preset = values.value(&s::PROVIDER_PRESET)?;
    let issuer = values.optional(&s::PROVIDER_ISSUER)?.or_else(|| preset.issuer().map(str::to_owned));
    let Some(issuer) = issuer else { return conflict("\"issuer\" is missing") };
    let Some(client_id) = values.optional(&s::PROVIDER_CLIENT_ID)? else {
        return conflict("\"client-id\" is missing");
    };
    let secret = values.optional(&s::PROVIDER_CLIENT_SECRET_FILE)?;
    let key = values.optional(&s::PROVIDER_CLIENT_KEY_FILE)?;
    let key_id = values.optional(&s::PROVIDER_CLIENT_KEY_ID)?;
    let credential = match (secret, key) {
        (Some(_), Some(_)) => {
            return conflict("\"client-secret-file\" and \"client-key-file\" are set: remove one of the two");
        }
        (Some(secret), None) => ProviderCredential::Secret(secret),
        (None, Some(file)) => ProviderCredential::Key { file, id: key_id },
        (None, None) => ProviderCredential::None,
    };
    if preset == ProviderPreset::Github && !matches!(credential, ProviderCredential::Secret(_)) {
        return conflict("GitHub needs \"client-secret-file\"");
    }
    let lower = |domains: Vec<String>| -> Vec<String> {
        domains.into_iter().map(|domain| domain.to_ascii_lowercase()).collect()
    };
    let allowed_domains = lower(values.value(&s::PROVIDER_ALLOWED_DOMAINS)?);
    let allowed_groups = values.value(&s::PROVIDER_ALLOWED_GROUPS)?;
    let allowed_tenants = lower(values.value(&s::PROVIDER_ALLOWED_TENANTS)?);
    if preset != ProviderPreset::Entra && !allowed_tenants.is_empty() {
        return conflict("\"allowed-tenants\" needs the preset \"entra\"");
    }
    let is_shared = ["/common/", "/organizations/", "/consumers/"].iter().any(|part| issuer.contains(part));
    if preset == ProviderPreset::Entra && is_shared && allowed_tenants.is_empty() {
        return conflict("this issuer is for many tenants: set \"allowed-tenants\"");
    }
    let groups_claim = values.optional(&s::PROVIDER_GROUPS_CLAIM)?;
    let groups_claim = groups_claim.or_else(|| (!allowed_groups.is_empty()).then(|| "groups".to_owned()));
    // The administrators of each tenant choose the names of its roles. The identifiers of groups are unique.
    if allowed_tenants.len() > 1 && groups_claim.as_deref().is_some_and(|claim| claim != "groups") {
        return conflict("with several tenants, \"groups-claim\" must be groups: names are not unique");
    }
    let scopes = values.optional(&s::PROVIDER_SCOPES)?.unwrap_or_else(|| {
        let needs_groups = preset == ProviderPreset::Github && groups_claim.is_some();
        preset.scopes().iter().copied().chain(needs_groups.then_some("read:org")).map(str::to_owned).collect()
    });
    if preset != ProviderPreset::Github && !scopes.iter().any(|scope| scope == "openid") {
        return conflict("\"scopes\" must contain openid");
    }
    let only_domain = || match allowed_domains.as_slice() {
        [only] if preset == ProviderPreset::Google => Some(only.clone()),
        _ => None,
    };
    let domain_hint = values.optional(&s::PROVIDER_DOMAIN_HINT)?.or_else(only_domain);
    let label = values.optional(&s::PROVIDER_LABEL)?;
    Ok(ProviderConfig {
        name: name.to_owned(),
        preset,
        label: label.unwrap_or_else(|| preset.label().unwrap_or(name).to_owned()),
        issuer,
        client_id,
        credential,
        scopes,
        email_claim: values.value(&s::PROVIDER_EMAIL_CLAIM)?,
        email_verified_claim: values.value(&s::PROVIDER_EMAIL_VERIFIED_CLAIM)?,
        trust_xms_edov: values.value(&s::PROVIDER_TRUST_XMS_EDOV)?,
        verified_domains: lower(values.value(&s::PROVIDER_VERIFIED_DOMAINS)?),
        name_claim: values.value(&s::PROVIDER_NAME_CLAIM)?,
        groups_claim,
        allowed_domains,
        allowed_groups,
        allowed_tenants,
        link: values.value(&s::PROVIDER_LINK)?,
        owned_domains: lower(values.value(&s::PROVIDER_OWNED_DOMAINS)?),
        create_accounts: values.value(&s::PROVIDER_CREATE_ACCOUNTS)?,
        account_roles: values.value(&s::PROVIDER_ACCOUNT_ROLES)?,
        domain_hint,
        allow_internal: values.value(&s::PROVIDER_ALLOW_INTERNAL)?,
        recheck: values.value(&s::PROVIDER_RECHECK)?.0,
        recheck_grace: values.value(&s::PROVIDER_RECHECK_GRACE)?.0,
        max_session: values.value(&s::PROVIDER_MAX_SESSION)?.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Flags, LinkRule, load};

    fn load_text(text: &str, environment: &[(&str, &str)]) -> Result<Vec<ProviderConfig>, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s.toml");
        std::fs::write(&path, text).unwrap();
        let flags = Flags { file: Some(path), ..Flags::default() };
        let mut environment: Environment =
            Environment(environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect());
        environment.0.insert("HOME".to_owned(), "/home/ada".to_owned());
        match load(&flags, &environment) {
            Ok(loaded) => Ok(loaded.config.providers),
            Err(errors) => Err(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
        }
    }

    #[test]
    fn several_providers_are_read_from_file_and_environment() {
        let text = "[providers.google]\npreset = \"google\"\nclient-id = \"g\"\nallowed-domains = [\"Corp.example\"]\n\
                    [providers.corp]\nissuer = \"https://id.corp.example/\"\nclient-id = \"from-file\"\n\
                    client-secret-file = \"secret\"\nlink = \"verified-email\"\n";
        let environment = [
            ("FLYTE_SERVER_PROVIDERS_CORP_CLIENT_ID", "from-environment"),
            ("FLYTE_SERVER_PROVIDERS_GIT_HUB_PRESET", "github"),
            ("FLYTE_SERVER_PROVIDERS_GIT_HUB_CLIENT_ID", "h"),
            ("FLYTE_SERVER_PROVIDERS_GIT_HUB_CLIENT_SECRET_FILE", "/s"),
            ("FLYTE_SERVER_PROVIDERS_GIT_HUB_ALLOWED_GROUPS", "org:1"),
        ];
        let providers = load_text(text, &environment).unwrap();
        let names: Vec<_> = providers.iter().map(|p| (p.name.as_str(), p.label.as_str())).collect();
        assert_eq!(names, [("corp", "corp"), ("git-hub", "GitHub"), ("google", "Google")]);
        let [corp, github, google] = providers.as_slice() else { panic!("{providers:?}") };
        assert_eq!(
            (corp.issuer.as_str(), corp.client_id.as_str()),
            ("https://id.corp.example/", "from-environment")
        );
        assert_eq!(corp.link, LinkRule::VerifiedEmail);
        assert!(matches!(&corp.credential, ProviderCredential::Secret(path) if path.is_absolute()));
        assert_eq!(github.scopes, ["read:user", "user:email", "read:org"]);
        assert_eq!(google.domain_hint.as_deref(), Some("corp.example"));
        assert_eq!(google.issuer, "https://accounts.google.com");
    }

    #[test]
    fn every_error_names_the_provider_and_the_setting() {
        let corp = "[providers.corp]\nissuer = \"https://a.example\"\nclient-id = \"c\"\n";
        for (text, expected) in [
            ("[providers.corp]\nclient-id = \"c\"\n".to_owned(), "[providers.corp]: \"issuer\" is missing"),
            ("[providers.corp]\nissuer = \"https://a.example\"\n".to_owned(), "\"client-id\" is missing"),
            (format!("{corp}secret = \"x\"\n"), "s.toml:4: there is no setting \"providers.corp.secret\""),
            (format!("{corp}account-roles = [\"admin\"]\n"), "cannot be administrators"),
            (format!("{corp}link = \"always\"\n"), "\"providers.corp.link\" is \"always\": one of these"),
            (format!("{corp}client-secret-file = \"a\"\nclient-key-file = \"b\"\n"), "remove one of the two"),
            (format!("{corp}scopes = [\"email\"]\n"), "must contain openid"),
            (format!("{corp}allowed-tenants = [\"t\"]\n"), "needs the preset \"entra\""),
            (format!("{corp}recheck = \"5s\"\n"), "\"providers.corp.recheck\" is \"5s\""),
            (format!("{corp}allowed-domains = [\"@corp\"]\n"), "is not a domain"),
            ("[providers.Corp]\nclient-id = \"c\"\n".to_owned(), "\"providers.Corp\""),
            ("providers = 3\n".to_owned(), "a section is expected"),
            ("[providers]\ncorp = \"x\"\n".to_owned(), "a section is expected"),
            (
                "[providers.e]\npreset = \"entra\"\nclient-id = \"c\"\n\
                 issuer = \"https://login.microsoftonline.com/organizations/v2.0\"\n"
                    .to_owned(),
                "set \"allowed-tenants\"",
            ),
            (
                "[providers.e]\npreset = \"entra\"\nclient-id = \"c\"\nclient-secret-file = \"s\"\ngroups-claim = \"roles\"\n\
                 issuer = \"https://login.microsoftonline.com/organizations/v2.0\"\nallowed-tenants = [\"t\", \"u\"]\n"
                    .to_owned(),
                "names are not unique",
            ),
            (
                format!("{corp}[providers.b]\nlabel = \"corp\"\nissuer = \"https://b\"\nclient-id = \"c\"\n"),
                "two providers",
            ),
            ("[providers.h]\npreset = \"github\"\nclient-id = \"c\"\n".to_owned(), "client-secret-file"),
            ("[session]\npasswords = false\n".to_owned(), "\"session.passwords\""),
        ] {
            let error = load_text(&text, &[]).unwrap_err();
            assert!(error.contains(expected), "{text}\n{error}");
        }
        for issuer in [
            "http://a.example",
            "a.example",
            "https://a.example/?x",
            "https://u@a.example",
            "https://a.example/#f",
        ] {
            assert!(load_text(&format!("[providers.c]\nissuer = \"{issuer}\"\n"), &[]).is_err(), "{issuer}");
        }
        let error = load_text(corp, &[("FLYTE_SERVER_PROVIDERS_CORP_LINK", "x")]).unwrap_err();
        assert!(
            error.contains("FLYTE_SERVER_PROVIDERS_CORP_LINK") && error.contains("providers.corp.link"),
            "{error}"
        );
    }
}
