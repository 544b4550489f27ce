//! Groups of people.

use connectrpc::{ConnectError, RequestContext};
use flyte_idl::flyteauth;
use uuid::Uuid;

use super::{Directory, check_text, page};
use flyte_audit::{Detail, Kind};
use flyte_policy::{Binding, Subject};
use flyte_rpc::{invalid, store_error};
use flyte_store::{Group, GroupQuery, MemberQuery, User};

fn not_found(text: &str) -> ConnectError {
    ConnectError::not_found(format!("there is no group {text:?}"))
}

/// The name of a new group. Unlike those of roles, these are often what a provider says: with spaces and capitals.
fn check_group_name(name: &str) -> Result<(), ConnectError> {
    if name.trim() != name || name.is_empty() {
        return Err(invalid("name", "must have a character that is not a space at each end"));
    }
    check_text("name", name)
}

impl Directory {
    /// The group with this identifier, or the one that is made here with this name.
    pub(crate) async fn group(&self, text: &str) -> Result<Group, ConnectError> {
        if text.is_empty() {
            return Err(invalid("group", "is missing"));
        }
        let store = &self.state.store;
        if let Some(group) = store.group_by_id(text).await.map_err(store_error)? {
            return Ok(group);
        }
        store.group_by_name(text).await.map_err(store_error)?.ok_or_else(|| not_found(text))
    }

    pub(crate) async fn groups(
        &self,
        limit: u32,
        token: String,
    ) -> Result<(Vec<Group>, String), ConnectError> {
        let query = GroupQuery { provider: None, limit: page(limit), page_token: token };
        self.state.store.list_groups(&query).await.map_err(store_error)
    }

    pub(crate) async fn create_group(
        &self,
        context: &RequestContext,
        name: String,
        description: String,
    ) -> Result<Group, ConnectError> {
        check_group_name(&name)?;
        check_text("description", &description)?;
        let created_at = self.state.clock.now();
        let group = Group { id: Uuid::new_v4().to_string(), name, description, origin: None, created_at };
        self.state.store.create_group(&group).await.map_err(store_error)?;
        self.changed(context, Kind::GroupCreated, |event| event.object(&group.name)).await;
        Ok(group)
    }

    pub(crate) async fn update_group(
        &self,
        context: &RequestContext,
        group: Group,
        name: String,
        description: Option<String>,
    ) -> Result<Group, ConnectError> {
        let name = if name.is_empty() { group.name.clone() } else { name };
        if name != group.name && group.origin.is_some() {
            return Err(ConnectError::failed_precondition(format!(
                "the group {:?} mirrors a provider's group and has the name that it has there",
                group.name
            )));
        }
        check_group_name(&name)?;
        let description = description.unwrap_or_else(|| group.description.clone());
        check_text("description", &description)?;
        if !self.state.store.update_group(&group.id, &name, &description).await.map_err(store_error)? {
            return Err(not_found(&group.name));
        }
        self.changed(context, Kind::GroupChanged, |event| event.object(&name)).await;
        Ok(Group { name, description, ..group })
    }

    /// Deletes a group. The caller must manage permissions wherever it gives a role.
    pub(crate) async fn delete_group(
        &self,
        context: &RequestContext,
        group: &Group,
    ) -> Result<(), ConnectError> {
        let subject = Subject::group(&group.id);
        for Binding { limit, .. } in self.bindings(&subject).await? {
            self.allow_change(context, &limit, "deleting a group that has roles there").await?;
        }
        if !self.state.store.delete_group(&group.id).await.map_err(store_error)? {
            return Err(not_found(&group.name));
        }
        self.changed(context, Kind::GroupDeleted, |event| event.object(&group.name)).await;
        Ok(())
    }

    /// Makes a person a member, who gets all that the group has.
    pub(crate) async fn add_member(
        &self,
        context: &RequestContext,
        group: &Group,
        user: &User,
    ) -> Result<(), ConnectError> {
        self.allow_membership(group)?;
        self.allow_all_of(context, &Subject::group(&group.id)).await?;
        if self.state.store.add_group_member(&group.id, &user.id).await.map_err(store_error)? {
            self.record_member(context, Kind::MemberAdded, group, user).await;
        }
        Ok(())
    }

    pub(crate) async fn remove_member(
        &self,
        context: &RequestContext,
        group: &Group,
        user: &User,
    ) -> Result<(), ConnectError> {
        self.allow_membership(group)?;
        if !self.state.store.remove_group_member(&group.id, &user.id).await.map_err(store_error)? {
            return Err(ConnectError::not_found(format!(
                "{} is not a member of the group {:?}",
                user.email, group.name
            )));
        }
        self.record_member(context, Kind::MemberRemoved, group, user).await;
        Ok(())
    }

    /// Who is in a provider's group is the provider's to say: the next sign-in would undo a change here.
    fn allow_membership(&self, group: &Group) -> Result<(), ConnectError> {
        match &group.origin {
            None => Ok(()),
            Some(origin) => Err(ConnectError::failed_precondition(format!(
                "the provider {:?} decides who is in the group {:?}: change it there",
                origin.provider, group.name
            ))),
        }
    }

    async fn record_member(&self, context: &RequestContext, kind: Kind, group: &Group, user: &User) {
        self.changed(context, kind, |event| {
            event.object(&group.name).detail(Detail::User, &user.id).detail(Detail::Email, &user.email)
        })
        .await;
    }

    pub(crate) async fn members(
        &self,
        group: &Group,
        limit: u32,
        token: String,
    ) -> Result<(Vec<User>, String), ConnectError> {
        let query = MemberQuery { group_id: group.id.clone(), limit: page(limit), page_token: token };
        self.state.store.list_group_members(&query).await.map_err(store_error)
    }

    /// The message of a group, with its own roles and policies.
    pub(crate) async fn group_with_assignments(
        &self,
        group: Group,
    ) -> Result<flyteauth::Group, ConnectError> {
        let subject = Subject::group(&group.id);
        let (_, policies) = self.assigned(&subject).await?;
        let policies = policies.into_iter().filter_map(|policy| policy.id.into_option().map(|id| id.name));
        Ok(flyteauth::Group {
            policies: policies.collect(),
            roles: self.grants(&subject).await?,
            ..group_message(group)
        })
    }
}

/// The message of a group, without what it has.
pub(crate) fn group_message(group: Group) -> flyteauth::Group {
    flyteauth::Group {
        id: group.id,
        name: group.name,
        description: group.description,
        provider: group.origin.map(|origin| origin.provider).unwrap_or_default(),
        created_at: group.created_at,
        ..flyteauth::Group::default()
    }
}
