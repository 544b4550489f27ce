//! What the caller may see.

use std::collections::BTreeSet;

use flyte_model::Limit;
use flyte_policy::{Grants, Permission};

use super::plan::Identity;

/// The parts of the control plane whose items a caller may see in the answers of one RPC.
#[derive(Clone, Debug)]
pub(super) struct Sight {
    grants: Grants,
    permission: Permission,
}

impl Sight {
    /// What a caller may see by this permission; `None` if that is everything.
    pub(super) fn new(grants: &Grants, permission: Permission) -> Option<Self> {
        (!grants.may_everywhere(permission)).then(|| Self { grants: grants.clone(), permission })
    }

    /// The parts of the control plane that are visible, sorted.
    pub(super) fn limits(&self) -> Vec<Limit> {
        self.grants.limits(self.permission)
    }

    /// Whether something in a project and a domain is visible. Without a domain: in at least one.
    pub(super) fn includes(&self, project: &[u8], domain: Option<&[u8]>) -> bool {
        let domain = domain.map(std::str::from_utf8);
        match (std::str::from_utf8(project), domain.transpose()) {
            (Ok(project), Ok(domain)) => self.grants.may(self.permission, project, domain),
            _ => false,
        }
    }

    /// Whether everything in a project is visible, or everything in a domain of it.
    pub(super) fn includes_all(&self, project: &[u8], domain: Option<&[u8]>) -> bool {
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(str::to_owned);
        match (text(project), domain.map(text).transpose()) {
            (Ok(project), Ok(domain)) => {
                let limit = Limit { project: Some(project), domain };
                self.grants.hold(self.permission.into(), &limit)
            }
            _ => false,
        }
    }

    /// Whether everything in a domain of all projects is visible.
    pub(super) fn includes_all_in_domain(&self, domain: &[u8]) -> bool {
        std::str::from_utf8(domain).is_ok_and(|domain| {
            let limit = Limit { project: None, domain: Some(domain.to_owned()) };
            self.grants.hold(self.permission.into(), &limit)
        })
    }

    /// Whether something in a domain is visible, in whatever project.
    pub(super) fn includes_domain(&self, domain: &[u8]) -> bool {
        std::str::from_utf8(domain).is_ok_and(|domain| self.grants.may_in_domain(self.permission, domain))
    }

    /// Whether the caller sees only some domains of at least one project.
    pub(super) fn is_limited_to_domains(&self) -> bool {
        self.grants.limits(self.permission).iter().any(|limit| limit.domain.is_some())
    }
}

/// The projects and domains that an item names.
#[derive(Debug, Default)]
pub(super) struct Named {
    projects: BTreeSet<Vec<u8>>,
    domains: BTreeSet<Vec<u8>>,
}

impl Named {
    /// Adds a project.
    pub(super) fn project(&mut self, project: &[u8]) {
        if !project.is_empty() {
            self.projects.insert(project.to_vec());
        }
    }

    /// Adds a domain.
    pub(super) fn domain(&mut self, domain: &[u8]) {
        if !domain.is_empty() {
            self.domains.insert(domain.to_vec());
        }
    }

    /// Whether the caller may see the item. One that does not say where it belongs is not shown, unless such items belong to
    /// everyone.
    pub(super) fn is_visible(&self, sight: &Sight, identity: &Identity) -> bool {
        if self.projects.is_empty() && identity.project.is_some() {
            return identity.may_be_shared && self.domains.iter().all(|domain| sight.includes_domain(domain));
        }
        if self.projects.is_empty() {
            return self.domains.iter().all(|domain| sight.includes_domain(domain));
        }
        self.projects.iter().all(|project| match (self.domains.is_empty(), &identity.domain) {
            // Of several, none may be another's.
            (false, _) => self.domains.iter().all(|domain| sight.includes(project, Some(domain))),
            (true, Some(_)) if !identity.may_be_shared => sight.includes_all(project, None),
            (true, _) => sight.includes(project, None),
        })
    }
}
