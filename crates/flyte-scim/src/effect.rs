//! What follows from a change: records of the audit log, and rights that hold at once.

use futures_util::future::join_all;

use crate::Scim;
use flyte_audit::{Detail, Event, Kind};
use flyte_store::{
    ApiKey, DeletedUser, SCIM_ORIGIN, ScimGroup, ScimGroupChanged, ScimKey, ScimUser, ScimUserChanged,
};

fn event(kind: Kind, key: &ScimKey) -> Event {
    Event::new(kind).subject(&format!("{SCIM_ORIGIN}{}", key.client)).detail(Detail::ScimKey, &key.name)
}

fn about(kind: Kind, key: &ScimKey, user: &ScimUser) -> Event {
    event(kind, key).object(&user.email).detail(Detail::User, &user.id)
}

impl Scim {
    /// Records that a user was created or changed, and ends what ended.
    pub(crate) async fn user_changed(&self, key: &ScimKey, changed: &ScimUserChanged) {
        let ScimUserChanged { user, before, ended } = changed;
        let same = |other: &ScimUser| {
            let ScimUser { active, version, updated_at, .. } = user.clone();
            *user == ScimUser { active, version, updated_at, ..other.clone() }
        };
        match before {
            None if user.adopted => {
                let event = about(Kind::UserChanged, key, user);
                self.audit.record(event.detail(Detail::Reason, "adopted by a SCIM client")).await;
            }
            None => self.audit.record(about(Kind::UserCreated, key, user)).await,
            Some(before) if same(before) => {}
            Some(_) => self.audit.record(about(Kind::UserChanged, key, user)).await,
        }
        let was_active = before.as_ref().is_none_or(|before| before.active);
        if was_active != user.active {
            let kind = if user.active { Kind::UserEnabled } else { Kind::UserDisabled };
            self.audit.record(about(kind, key, user)).await;
        }
        let old_subject = before.as_ref().and_then(|before| before.external_id.as_ref());
        if let Some(issuer) = key.rules.issuer.as_ref().filter(|_| !user.adopted)
            && user.external_id.as_ref() != old_subject
        {
            for (kind, subject) in
                [(Kind::IdentityUnlinked, old_subject), (Kind::IdentityLinked, user.external_id.as_ref())]
            {
                let Some(subject) = subject else { continue };
                let event = about(kind, key, user).detail(Detail::Issuer, issuer);
                self.audit.record(event.detail(Detail::ForeignSubject, subject)).await;
            }
        }
        if was_active && !user.active {
            self.end_keys(key, ended, "a SCIM client disabled the account").await;
            self.put_into_effect().await;
        }
    }

    /// Records that a user was deleted, and ends what ended.
    pub(crate) async fn user_deleted(&self, key: &ScimKey, user: &ScimUser, ended: &DeletedUser) {
        let kind = if user.adopted { Kind::UserDisabled } else { Kind::UserDeleted };
        self.audit.record(about(kind, key, user)).await;
        self.end_keys(key, &ended.api_keys, "a SCIM client deleted the account").await;
        for rule in &ended.trust_rules {
            self.access.revoke_family(&rule.family_id);
            let event = event(Kind::TrustDeleted, key).object(&rule.name);
            let event = event.detail(Detail::Reason, "a SCIM client deleted the account");
            self.audit.record(event.detail(Detail::Family, &rule.family_id)).await;
        }
        self.put_into_effect().await;
    }

    async fn end_keys(&self, key: &ScimKey, ended: &[ApiKey], why: &str) {
        for ended in ended {
            self.access.revoke_family(&ended.family_id);
            let event = event(Kind::ApiKeyDeleted, key).object(ended.client_id.as_str());
            let event = event.detail(Detail::Family, &ended.family_id).detail(Detail::Reason, why);
            self.audit.record(event).await;
        }
    }

    /// Records that a group was created or changed, and puts the rights of its members into effect.
    pub(crate) async fn group_changed(&self, key: &ScimKey, changed: &ScimGroupChanged, is_new: bool) {
        let ScimGroupChanged { group, changed, added, removed } = changed;
        if *changed {
            let kind = if is_new { Kind::GroupCreated } else { Kind::GroupChanged };
            self.audit.record(event(kind, key).object(&group.name).detail(Detail::Group, &group.id)).await;
        }
        let member = |kind, id: &String| {
            let event = event(kind, key).object(&group.name).detail(Detail::Group, &group.id);
            self.audit.record(event.detail(Detail::User, id))
        };
        // At once, so that they share writes.
        let added = added.iter().map(|id| member(Kind::MemberAdded, id));
        let removed: Vec<_> = removed.iter().map(|id| member(Kind::MemberRemoved, id)).collect();
        let records: Vec<_> = added.chain(removed).collect();
        let has_members = !records.is_empty();
        join_all(records).await;
        if has_members {
            self.put_into_effect().await;
        }
    }

    /// Records that a group was deleted, and puts the rights of its members into effect.
    pub(crate) async fn group_deleted(&self, key: &ScimKey, group: &ScimGroup) {
        let event = event(Kind::GroupDeleted, key).object(&group.name);
        self.audit.record(event.detail(Detail::Group, &group.id)).await;
        self.put_into_effect().await;
    }

    /// Makes this replica forget rights and tokens that have ended. The others do so within a second.
    async fn put_into_effect(&self) {
        if let Err(error) = self.access.reload_policies().await {
            tracing::warn!(%error, "reading the policies failed; they are read again within a second");
        }
        if let Err(error) = self.access.maintain().await {
            tracing::warn!(%error, "reading revocations failed; they are read again within a second");
        }
    }
}
