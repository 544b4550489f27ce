//! Events as plain sentences.

use flyte_audit::{Detail, Kind};
use flyte_store::AuditRecord;

/// The kinds of events that the filter offers, with their words.
pub(super) const KINDS: &[(Kind, &str)] = &[
    (Kind::SignedIn, "Signed in"),
    (Kind::SignInFailed, "A sign-in failed"),
    (Kind::ProviderSignInRefused, "A sign-in through a provider was refused"),
    (Kind::SignedOut, "Signed out"),
    (Kind::IdentityLinked, "A provider was connected"),
    (Kind::IdentityUnlinked, "A provider was disconnected"),
    (Kind::PasswordReset, "The password was changed"),
    (Kind::UserChanged, "The account was changed"),
    (Kind::DeviceApproved, "A device was approved"),
    (Kind::DeviceDenied, "A device was denied"),
    (Kind::DeviceCodeFailed, "A wrong code of a device was entered"),
    (Kind::ConsentGiven, "An application was allowed"),
    (Kind::ConsentDenied, "An application was denied"),
    (Kind::ConsentWithdrawn, "The consent to an application was withdrawn"),
    (Kind::TokenRevoked, "A program signed out"),
    (Kind::RefreshReused, "A copy of a sign-in was used, and the sign-in was ended"),
    (Kind::CodeReplayed, "A sign-in code was used twice, and the sign-in was ended"),
    (Kind::DeviceCodeReplayed, "A device code was used twice, and the sign-in was ended"),
    (Kind::ApiKeyCreated, "An API key was created"),
    (Kind::ApiKeyRotated, "An API key got a new secret"),
    (Kind::ApiKeyChanged, "An API key was changed"),
    (Kind::ApiKeyDeleted, "An API key was deleted"),
    (Kind::RoleGranted, "A role was given"),
    (Kind::RoleRevoked, "A role was taken"),
    (Kind::MemberAdded, "A member was added to a group"),
    (Kind::MemberRemoved, "A member was removed from a group"),
    (Kind::RunCreated, "A run was started"),
    (Kind::RunAborted, "A run was aborted"),
    (Kind::TaskDeployed, "A task was deployed"),
    (Kind::TriggerDeployed, "A trigger was deployed"),
    (Kind::AppDeployed, "An app was deployed"),
    (Kind::ProjectCreated, "A project was created"),
    (Kind::CallDenied, "A call was refused"),
];

/// The sentence of an event.
pub(super) fn of(record: &AuditRecord) -> String {
    let words = KINDS.iter().find(|(kind, _)| kind.as_str() == record.event).map(|(_, words)| *words);
    let mut text = words.map_or_else(|| capitalized(&record.event.replace('_', " ")), str::to_owned);
    let detail = |detail: Detail| record.details.get(detail.as_str()).map(String::as_str);
    let mut add = |before: &str, value: Option<&str>| {
        if let Some(value) = value {
            text.push_str(before);
            text.push_str(value);
        }
    };
    // Identifiers of users and sessions say nothing to people.
    let object = record.object.as_deref().filter(|object| Some(*object) != record.subject.as_deref());
    add(": ", object.filter(|object| !is_uuid(object)));
    add(", through ", detail(Detail::Provider));
    add(", role ", detail(Detail::Role));
    add(", for the device at ", detail(Detail::DeviceAddress));
    add(", by the client ", record.client_id.as_deref().filter(|client| *client != "flyte-account"));
    add(", because ", detail(Detail::Reason));
    add(", repeated ", detail(Detail::Repeated));
    if detail(Detail::Repeated).is_some() {
        text.push_str(" times");
    }
    text.push('.');
    text
}

/// Whether the user should look at an event.
pub(super) fn is_suspicious(record: &AuditRecord) -> bool {
    Kind::ALL.iter().any(|kind| kind.as_str() == record.event && kind.is_suspicious())
}

fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(event: &str, object: Option<&str>, details: &[(Detail, &str)]) -> AuditRecord {
        AuditRecord {
            at: 1,
            event: event.to_owned(),
            subject: Some("id-ada".to_owned()),
            client_id: None,
            address: None,
            object: object.map(str::to_owned),
            details: details
                .iter()
                .map(|(name, value)| (name.as_str().to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn events_are_sentences() {
        for (record, expected) in [
            (record("signed_in", None, &[(Detail::Provider, "corp")]), "Signed in, through corp."),
            (record("api_key_created", Some("ci"), &[]), "An API key was created: ci."),
            (record("user_changed", Some("id-ada"), &[]), "The account was changed."),
            (
                record(
                    "call_denied",
                    Some("/a.B/C"),
                    &[(Detail::Reason, "no role"), (Detail::Repeated, "3")],
                ),
                "A call was refused: /a.B/C, because no role, repeated 3 times.",
            ),
            (record("keys_rotated", None, &[]), "Keys rotated."),
        ] {
            assert_eq!(of(&record), expected);
        }
        assert!(is_suspicious(&record("sign_in_failed", None, &[])));
        assert!(!is_suspicious(&record("signed_in", None, &[])));
    }

    #[test]
    fn every_kind_has_words() {
        for kind in Kind::ALL {
            let text = of(&record(kind.as_str(), None, &[]));
            assert!(text.len() > 3 && !text.contains('_'), "{text}");
        }
    }
}
