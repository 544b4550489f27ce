//! What the caller may see.

use flyte_model::Limit;

use super::plan::Identity;

/// The projects and domains that an item names.
#[derive(Debug, Default)]
pub(super) struct Named {
    has_project: bool,
    has_domain: bool,
    is_foreign: bool,
}

impl Named {
    /// Adds a project.
    pub(super) fn project(&mut self, limit: &Limit, project: &[u8]) {
        if !project.is_empty() {
            self.has_project = true;
            self.is_foreign |= limit.project.as_deref().is_some_and(|own| own.as_bytes() != project);
        }
    }

    /// Adds a domain.
    pub(super) fn domain(&mut self, limit: &Limit, domain: &[u8]) {
        if !domain.is_empty() {
            self.has_domain = true;
            self.is_foreign |= limit.domain.as_deref().is_some_and(|own| own.as_bytes() != domain);
        }
    }

    /// Whether the caller may see the item. One that does not say where it belongs is not shown, unless such items belong to
    /// everyone.
    pub(super) fn is_visible(&self, limit: &Limit, identity: &Identity) -> bool {
        let lacks = |is_named: bool, has_part: bool, is_limited: bool| is_limited && has_part && !is_named;
        let is_unnamed = lacks(self.has_project, identity.project.is_some(), limit.project.is_some())
            || lacks(self.has_domain, identity.domain.is_some(), limit.domain.is_some());
        !self.is_foreign && (identity.may_be_shared || !is_unnamed)
    }
}
