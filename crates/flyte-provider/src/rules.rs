//! The administrator's rules about which users of a provider may sign in.

use crate::{Groups, Profile};
use flyte_settings::{ProviderConfig, ProviderPreset};

/// Why a user may not sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The user has no verified address in an allowed domain, or is not in an allowed Google Workspace.
    #[error("domain")]
    Domain,
    /// The tenant is not allowed.
    #[error("tenant")]
    Tenant,
    /// The user is in none of the allowed groups.
    #[error("not in a group")]
    Group,
    /// The provider does not say in which groups the user is.
    #[error("groups unknown")]
    GroupsUnknown,
    /// The user is in too many groups to list.
    #[error("too many groups")]
    TooManyGroups,
}

/// Applies the rules.
///
/// # Errors
/// [`Refusal`] if the user may not sign in.
pub fn admit(settings: &ProviderConfig, profile: &Profile) -> Result<(), Refusal> {
    let organization_in = |allowed: &[String]| {
        profile.organization.as_ref().is_some_and(|organization| allowed.contains(organization))
    };
    if !settings.allowed_tenants.is_empty() && !organization_in(&settings.allowed_tenants) {
        return Err(Refusal::Tenant);
    }
    let domains = &settings.allowed_domains;
    let is_in_domain = match settings.preset {
        _ if domains.is_empty() => true,
        ProviderPreset::Google => organization_in(domains),
        _ => profile.verified_email.as_ref().is_some_and(|email| email.is_in(domains)),
    };
    if !is_in_domain {
        return Err(Refusal::Domain);
    }
    let groups = &settings.allowed_groups;
    match &profile.groups {
        _ if groups.is_empty() => Ok(()),
        Groups::Listed(listed) if listed.iter().any(|group| groups.contains(group)) => Ok(()),
        Groups::Listed(_) => Err(Refusal::Group),
        Groups::Unknown => Err(Refusal::GroupsUnknown),
        Groups::TooMany => Err(Refusal::TooManyGroups),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::settings;

    #[test]
    fn each_rule_refuses_what_it_cannot_check() {
        let base = settings("https://id.example");
        let user = Profile {
            provider: "corp".to_owned(),
            issuer: "https://id.example".to_owned(),
            subject: "u1".to_owned(),
            email: Some("a@corp.example".to_owned()),
            verified_email: None,
            name: None,
            groups: Groups::Unknown,
            organization: None,
            authenticated_at: None,
        };
        let claims = serde_json::json!({"email": "a@corp.example", "email_verified": true});
        let documents = [claims.as_object().unwrap()];
        let verified = crate::claims::Documents(&documents).verified_email(&base);
        let verified = Profile { verified_email: verified, ..user.clone() };
        let domains = ProviderConfig { allowed_domains: vec!["corp.example".to_owned()], ..base.clone() };
        assert_eq!(admit(&base, &user), Ok(()));
        assert_eq!(admit(&domains, &user), Err(Refusal::Domain), "the address is not verified");
        assert_eq!(admit(&domains, &verified), Ok(()));
        // Google: the workspace counts, not the address.
        let google = ProviderConfig { preset: ProviderPreset::Google, ..domains };
        assert_eq!(admit(&google, &verified), Err(Refusal::Domain), "no hd");
        let hd = |hd: &str| Profile { organization: Some(hd.to_owned()), ..user.clone() };
        assert_eq!(admit(&google, &hd("corp.example")), Ok(()));
        assert_eq!(admit(&google, &hd("evil.example")), Err(Refusal::Domain));
        let tenants = ProviderConfig { allowed_tenants: vec!["t1".to_owned()], ..base.clone() };
        assert_eq!(admit(&tenants, &user), Err(Refusal::Tenant));
        assert_eq!(admit(&tenants, &hd("t2")), Err(Refusal::Tenant));
        assert_eq!(admit(&tenants, &hd("t1")), Ok(()));
        let groups = ProviderConfig { allowed_groups: vec!["g".to_owned()], ..base };
        let with = |groups| Profile { groups, ..user.clone() };
        assert_eq!(admit(&groups, &with(Groups::Unknown)), Err(Refusal::GroupsUnknown));
        assert_eq!(admit(&groups, &with(Groups::TooMany)), Err(Refusal::TooManyGroups));
        assert_eq!(admit(&groups, &with(Groups::Listed(vec!["G".to_owned()]))), Err(Refusal::Group));
        assert_eq!(admit(&groups, &with(Groups::Listed(vec!["f".to_owned(), "g".to_owned()]))), Ok(()));
    }
}
