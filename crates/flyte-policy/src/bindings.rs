//! The bindings of one subject, indexed by project and domain.

use std::collections::HashMap;

use crate::{Permission, Permissions};
use flyte_model::Limit;

/// What one subject may do, by project and domain. Looking something up takes the same time for any number of bindings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bindings {
    everywhere: Permissions,
    /// In these domains of all projects.
    domains: ByName,
    projects: HashMap<Box<str>, InProject>,
    /// The permissions that it has at least somewhere.
    somewhere: Permissions,
}

/// Permissions by the name of a domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ByName {
    of: HashMap<Box<str>, Permissions>,
    /// All of them together.
    any: Permissions,
}

impl ByName {
    fn add(&mut self, name: &str, permissions: Permissions) {
        let own = self.of.entry(name.into()).or_default();
        *own = own.union(permissions);
        self.any = self.any.union(permissions);
    }

    fn get(&self, name: &str) -> Permissions {
        if self.any.is_empty() {
            return Permissions::NONE;
        }
        self.of.get(name).copied().unwrap_or_default()
    }
}

/// Permissions in one project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct InProject {
    /// In the whole project.
    whole: Permissions,
    domains: ByName,
}

impl Bindings {
    /// Adds permissions, and those that they include, in a part of the control plane.
    pub fn add(&mut self, permissions: Permissions, limit: &Limit) {
        let permissions = permissions.with_included();
        if permissions.is_empty() {
            return;
        }
        self.somewhere = self.somewhere.union(permissions);
        match (&limit.project, &limit.domain) {
            (None, None) => self.everywhere = self.everywhere.union(permissions),
            (None, Some(domain)) => self.domains.add(domain, permissions),
            (Some(project), domain) => {
                let own = self.projects.entry(project.as_str().into()).or_default();
                match domain {
                    Some(domain) => own.domains.add(domain, permissions),
                    None => own.whole = own.whole.union(permissions),
                }
            }
        }
    }

    /// The permissions that apply everywhere.
    #[must_use]
    pub fn everywhere(&self) -> Permissions {
        self.everywhere
    }

    /// The permissions that apply somewhere.
    #[must_use]
    pub fn somewhere(&self) -> Permissions {
        self.somewhere
    }

    /// Whether all of these permissions apply everywhere, and there are no others.
    pub(crate) fn is_only_everywhere(&self) -> bool {
        self.projects.is_empty() && self.domains.of.is_empty()
    }

    /// The permissions in a project and a domain of it. Without a domain, those in at least one domain.
    #[must_use]
    pub fn permissions_in(&self, project: &str, domain: Option<&str>) -> Permissions {
        let mut all = self.everywhere;
        if self.is_only_everywhere() {
            return all;
        }
        let in_domain = |domains: &ByName| domain.map_or(domains.any, |domain| domains.get(domain));
        all = all.union(in_domain(&self.domains));
        if let Some(own) = self.projects.get(project) {
            all = all.union(own.whole).union(in_domain(&own.domains));
        }
        all
    }

    /// The permissions in all of a part of the control plane.
    #[must_use]
    pub fn permissions_over(&self, limit: &Limit) -> Permissions {
        let mut all = self.everywhere;
        if self.is_only_everywhere() {
            return all;
        }
        if let Some(domain) = &limit.domain {
            all = all.union(self.domains.get(domain));
        }
        if let Some(own) = limit.project.as_deref().and_then(|project| self.projects.get(project)) {
            all = all.union(own.whole);
            if let Some(domain) = &limit.domain {
                all = all.union(own.domains.get(domain));
            }
        }
        all
    }

    /// The permissions in each part of the control plane, as they were [added](Self::add), in no order.
    pub fn parts(&self) -> impl Iterator<Item = (Limit, Permissions)> {
        let everywhere = (!self.everywhere.is_empty()).then(|| (Limit::default(), self.everywhere));
        let some = |name: &str| Some(name.to_owned());
        let domains =
            self.domains.of.iter().map(move |(domain, permissions)| {
                (Limit { project: None, domain: some(domain) }, *permissions)
            });
        let projects = self.projects.iter().flat_map(move |(project, own)| {
            let whole =
                (!own.whole.is_empty()).then(|| (Limit { project: some(project), domain: None }, own.whole));
            let domains = own.domains.of.iter().map(move |(domain, permissions)| {
                (Limit { project: some(project), domain: some(domain) }, *permissions)
            });
            whole.into_iter().chain(domains)
        });
        everywhere.into_iter().chain(domains).chain(projects)
    }

    /// The parts in which this permission applies.
    pub(crate) fn limits(&self, permission: Permission) -> impl Iterator<Item = Limit> {
        self.parts().filter(move |(_, permissions)| permissions.contains(permission)).map(|(limit, _)| limit)
    }
}
