//! The claims about a caller, and the account that they come from.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use flyte_access::Caller;
use flyte_model::{PrincipalKind, clock::UnixTime};
use flyte_store::{Creator, CreatorKind, Store, StoreError};

/// `typ` of the claims (RFC 7515 section 4.1.9). Access tokens have `at+jwt`, and ID tokens `JWT`.
pub const TYP: &str = "flyte-identity+jwt";

/// The claims about a caller (OpenID Connect Core section 5.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityClaims {
    /// The issuer: this server.
    pub iss: String,
    /// The audience: the URL of the backend, without a slash at the end.
    pub aud: String,
    /// The subject: an identifier that is unique among all kinds of principals.
    pub sub: String,
    /// The time of issue.
    pub iat: UnixTime,
    /// The expiry time.
    pub exp: UnixTime,
    /// The kind of principal, if it is not a person.
    #[serde(default, skip_serializing_if = "PrincipalKind::is_person")]
    pub principal: PrincipalKind,
    /// The e-mail address of a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The name by which a person signs in: the e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred_username: Option<String>,
    /// The whole name of a person; the name of an API key, a job or a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The first word of the name, or the whole name if it is not a person's: the backend displays only this and
    /// `family_name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_name: Option<String>,
    /// The rest of a person's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family_name: Option<String>,
    /// The run that acts in the name of the subject (RFC 8693 section 4.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Actor>,
    /// The client that the caller's token was issued to (RFC 8693 section 4.3).
    pub client_id: String,
}

/// A run that acts in the name of another principal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// `project/domain/name` of the run.
    pub sub: String,
    /// The kind of principal: a run.
    pub principal: PrincipalKind,
}

/// What a backend displays about a principal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Profile {
    email: Option<String>,
    name: String,
}

impl Profile {
    /// The claims about `caller` with this profile, without issuer, audience and times.
    pub(super) fn claims(&self, caller: &Caller) -> IdentityClaims {
        let subject_of = represented(caller);
        let text = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let (given, family) = match self.name.trim().split_once(char::is_whitespace) {
            Some((given, family)) if subject_of.principal.is_person() => (given, family),
            _ => (self.name.as_str(), ""),
        };
        IdentityClaims {
            sub: subject(&subject_of),
            principal: subject_of.principal,
            act: caller
                .on_behalf_of
                .as_ref()
                .map(|_| Actor { sub: caller.subject.clone(), principal: caller.principal }),
            email: self.email.clone(),
            preferred_username: self.email.clone(),
            name: text(&self.name),
            given_name: text(given),
            family_name: text(family),
            client_id: caller.client_id.to_string(),
            ..IdentityClaims::default()
        }
    }
}

/// The subject, which no other principal has. The backend knows no kinds of principals: subjects of people are UUIDs, those
/// of jobs have a colon, and those of runs a slash. Old API keys may have the form of a UUID, and must not pass for a user.
fn subject(caller: &Caller) -> String {
    match caller.principal {
        PrincipalKind::ApiKey if Uuid::try_parse(&caller.subject).is_ok() => {
            format!("api-key:{}", caller.subject)
        }
        _ => caller.subject.clone(),
    }
}

/// The principal that the backend records: the caller itself, or the one that started the calling run.
fn represented(caller: &Caller) -> Cow<'_, Caller> {
    let Some(Creator { subject, kind, client_id, family_id, .. }) = &caller.on_behalf_of else {
        return Cow::Borrowed(caller);
    };
    Cow::Owned(Caller {
        subject: subject.clone(),
        principal: match kind {
            CreatorKind::Person => PrincipalKind::Person,
            CreatorKind::ApiKey => PrincipalKind::ApiKey,
            CreatorKind::Federated => PrincipalKind::Federated,
        },
        client_id: client_id.clone(),
        family_id: family_id.clone(),
        on_behalf_of: None,
        ..caller.clone()
    })
}

/// Reads what is displayed about the caller; `None` if its account or API key no longer exists.
pub(super) async fn look_up(store: &dyn Store, caller: &Caller) -> Result<Option<Profile>, StoreError> {
    let caller = &*represented(caller);
    Ok(match caller.principal {
        PrincipalKind::Person => store.user_by_id(&caller.subject).await?.map(|user| Profile {
            email: Some(user.email).filter(|email| !email.is_empty()),
            name: user.name,
        }),
        PrincipalKind::ApiKey => {
            store.api_key_by_id(&caller.client_id).await?.map(|key| Profile { email: None, name: key.name })
        }
        // The subject has the form `rule:job`.
        PrincipalKind::Federated => {
            let name = caller.subject.split_once(':').map_or(caller.subject.as_str(), |(_, job)| job);
            Some(Profile { email: None, name: name.to_owned() })
        }
        PrincipalKind::Run => Some(Profile { email: None, name: format!("run {}", caller.subject) }),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_word_of_a_name_is_lost(name in "\\PC{0,40}", person in any::<bool>()) {
            let principal = if person { PrincipalKind::Person } else { PrincipalKind::ApiKey };
            let caller = Caller { principal, ..Caller::for_test() };
            let claims = Profile { email: None, name: name.clone() }.claims(&caller);
            let shown = format!(
                "{} {}", claims.given_name.as_deref().unwrap_or_default(), claims.family_name.unwrap_or_default()
            );
            prop_assert!(shown.split_whitespace().eq(name.split_whitespace()), "{}", shown);
            prop_assert_ne!(claims.given_name.as_deref(), Some(""));
            prop_assert_eq!(claims.name.as_deref(), Some(name.trim()).filter(|name| !name.is_empty()));
        }
    }
}
