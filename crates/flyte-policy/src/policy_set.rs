//! The snapshot of all policies.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use flyte_model::Limit;

use crate::{Binding, Bindings, Grants, Permission, Permissions, Subject, SubjectKind, builtin};

/// All stored rows that policies consist of, at one moment.
#[derive(Clone, Debug, Default)]
pub struct PolicyRows {
    /// Changes with each change of the rows.
    pub generation: i64,
    /// Custom roles: name and permissions.
    pub roles: Vec<(String, Permissions)>,
    /// All bindings.
    pub bindings: Vec<Binding>,
    /// Assignments: who has which policy. Policies have none.
    pub assignments: Vec<(Subject, String)>,
    /// The members of groups: identifiers of a group and of a user.
    pub members: Vec<(String, String)>,
}

/// An immutable snapshot of all policies. Finding the grants of a caller takes the same time for any number of bindings.
#[derive(Debug, Default)]
pub struct PolicySet {
    generation: i64,
    own: [HashMap<Box<str>, Arc<Bindings>>; 4],
    /// The policies of each subject, by its kind like `own`, so that a look-up allocates nothing.
    policies: [HashMap<Box<str>, Vec<Box<str>>>; 4],
    groups: HashMap<Box<str>, Vec<Box<str>>>,
}

impl PolicySet {
    /// Builds it. A binding of a role that does not exist, and an assignment of a policy that does not exist, give nothing.
    #[must_use]
    pub fn new(rows: PolicyRows) -> Self {
        let PolicyRows { generation, roles, bindings, assignments, members } = rows;
        let roles: HashMap<String, Permissions> = roles.into_iter().collect();
        let mut own: [HashMap<Box<str>, Bindings>; 4] = Default::default();
        for Binding { subject, role, limit } in bindings {
            // A built-in role stays what it is, whatever the database has.
            let Some(permissions) = builtin(&role).or_else(|| roles.get(&role).copied()) else { continue };
            own[subject.kind as usize].entry(subject.id.into()).or_default().add(permissions, &limit);
        }
        // Most people have one role everywhere. They share it.
        let mut shared: HashMap<Permissions, Arc<Bindings>> = HashMap::new();
        let own = own.map(|of| {
            of.into_iter()
                .map(|(id, bindings)| {
                    let bindings = match bindings.is_only_everywhere() {
                        true => {
                            let everywhere = bindings.everywhere();
                            Arc::clone(shared.entry(everywhere).or_insert_with(|| Arc::new(bindings)))
                        }
                        false => Arc::new(bindings),
                    };
                    (id, bindings)
                })
                .collect()
        });
        let mut policies: [HashMap<Box<str>, Vec<Box<str>>>; 4] = Default::default();
        for (subject, policy) in assignments {
            if subject.kind != SubjectKind::Policy {
                policies[subject.kind as usize].entry(subject.id.into()).or_default().push(policy.into());
            }
        }
        let mut groups: HashMap<Box<str>, Vec<Box<str>>> = HashMap::new();
        for (group, user) in members {
            groups.entry(user.into()).or_default().push(group.into());
        }
        Self { generation, own, policies, groups }
    }

    /// The [generation](PolicyRows::generation) of its rows.
    #[must_use]
    pub fn generation(&self) -> i64 {
        self.generation
    }

    /// What a subject has: by its own bindings, by the policies that are assigned to it, and as a person by its groups.
    #[must_use]
    pub fn grants(&self, subject: &Subject) -> Grants {
        let mut found = Vec::new();
        self.each(subject, &mut |bindings| found.push(Arc::clone(bindings)));
        Grants::of_bindings(found)
    }

    /// What a subject has, and beside it these permissions in a part of the control plane.
    #[must_use]
    pub fn grants_beside(&self, subject: &Subject, permissions: Permissions, limit: &Limit) -> Grants {
        let mut own = Bindings::default();
        own.add(permissions, limit);
        let mut found = vec![Arc::new(own)];
        self.each(subject, &mut |bindings| found.push(Arc::clone(bindings)));
        Grants::of_bindings(found)
    }

    /// Whether a subject has a permission in a project and a domain of it. Without a domain: in at least one domain.
    #[must_use]
    pub fn may(
        &self,
        subject: &Subject,
        permission: Permission,
        project: &str,
        domain: Option<&str>,
    ) -> bool {
        let mut may = false;
        self.each(subject, &mut |bindings| {
            may = may || bindings.permissions_in(project, domain).contains(permission);
        });
        may
    }

    /// The groups of a person.
    #[must_use]
    pub fn groups_of(&self, user: &str) -> &[Box<str>] {
        self.groups.get(user).map_or(&[], Vec::as_slice)
    }

    /// Visits the bindings of a subject, of its policies and of its groups. A policy that it has in several ways counts once.
    fn each(&self, subject: &Subject, visit: &mut impl FnMut(&Arc<Bindings>)) {
        let mut seen = HashSet::new();
        self.each_of(subject.kind, &subject.id, &mut seen, visit);
        if subject.kind == SubjectKind::User {
            for group in self.groups_of(&subject.id) {
                self.each_of(SubjectKind::Group, group, &mut seen, visit);
            }
        }
    }

    fn each_of<'s>(
        &'s self,
        kind: SubjectKind,
        id: &str,
        seen: &mut HashSet<&'s str>,
        visit: &mut impl FnMut(&Arc<Bindings>),
    ) {
        if let Some(bindings) = self.own[kind as usize].get(id) {
            visit(bindings);
        }
        for policy in self.policies[kind as usize].get(id).map_or(&[][..], Vec::as_slice) {
            if seen.insert(policy)
                && let Some(bindings) = self.own[SubjectKind::Policy as usize].get(policy)
            {
                visit(bindings);
            }
        }
    }
}

#[cfg(test)]
mod tests;
