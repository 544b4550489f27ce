//! Bindings of roles, and policies.

use crate::error::SqliteError;
use async_trait::async_trait;
use rusqlite::{Connection, Row, params, params_from_iter, types::Value};

use super::{
    SqliteStore, administrator, already_exists, change,
    group::require,
    one,
    page::{self, Key, Order},
    role, unexpected_value,
};
use flyte_model::{Limit, clock::UnixTime};
use flyte_policy::{Binding, PolicyRows, Subject, SubjectKind};
use flyte_store::{
    AssigneeQuery, NameQuery, Policy, PolicyStore, RoleHolder, RoleHolderQuery, RoleIn, StoreError,
};

const COLUMNS: &str = "name, description, created_at";
const BINDING: &str = "subject_kind, subject, role, project, domain";

fn policy(row: &Row<'_>) -> rusqlite::Result<Policy> {
    Ok(Policy { name: row.get(0)?, description: row.get(1)?, created_at: row.get(2)? })
}

fn subject(row: &Row<'_>) -> rusqlite::Result<Subject> {
    let kind = row.get(0)?;
    let kind = SubjectKind::from_number(kind).ok_or_else(|| unexpected_value(0, kind))?;
    Ok(Subject { kind, id: row.get(1)? })
}

fn binding(row: &Row<'_>) -> rusqlite::Result<Binding> {
    let given = |text: String| Some(text).filter(|text| !text.is_empty());
    let limit = Limit { project: given(row.get(3)?), domain: given(row.get(4)?) };
    Ok(Binding { subject: subject(row)?, role: row.get(2)?, limit })
}

/// Fails with [`StoreError::Missing`] if the subject does not exist.
fn require_subject(connection: &Connection, subject: &Subject) -> Result<(), SqliteError> {
    let (table, column) = match subject.kind {
        SubjectKind::User => ("users", "id"),
        SubjectKind::Group => ("groups", "id"),
        SubjectKind::Application => ("api_keys", "client_id"),
        SubjectKind::Policy => ("policies", "name"),
    };
    require(connection, table, column, subject.kind.noun(), &subject.id)
}

/// Gives a subject that exists a role.
pub(super) fn bind(
    connection: &Connection,
    subject: &Subject,
    role: &str,
    limit: &Limit,
    now: UnixTime,
) -> Result<bool, SqliteError> {
    role::require_role(connection, role)?;
    let sql = format!(
        "INSERT INTO bindings ({BINDING}, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING"
    );
    let (project, domain) = (limit.project.as_deref(), limit.domain.as_deref());
    let values = params![
        subject.kind as i64,
        subject.id,
        role,
        project.unwrap_or_default(),
        domain.unwrap_or_default(),
        now
    ];
    Ok(change(connection, &sql, values)? > 0)
}

fn unbind(connection: &Connection, binding: &Binding) -> Result<bool, SqliteError> {
    let Binding { subject, role, limit } = binding;
    let sql = "DELETE FROM bindings
               WHERE subject_kind = ?1 AND subject = ?2 AND role = ?3 AND project = ?4 AND domain = ?5";
    let (project, domain) = (limit.project.as_deref(), limit.domain.as_deref());
    let values = params![
        subject.kind as i64,
        subject.id,
        role,
        project.unwrap_or_default(),
        domain.unwrap_or_default()
    ];
    Ok(change(connection, sql, values)? > 0)
}

fn names(connection: &Connection, query: &NameQuery) -> Result<(Vec<Policy>, String), SqliteError> {
    let page = (query.page_token.as_str(), query.limit);
    page::of_table(connection, ("policies", COLUMNS, "name"), page, policy, |last| last.name.clone())
}

fn assignees(connection: &Connection, query: &AssigneeQuery) -> Result<(Vec<Subject>, String), SqliteError> {
    let listing = page::listing(("assignees", &query.policy));
    let order = Order {
        columns: &["subject_kind", "subject"],
        like: vec![Key::Number(0), Key::Text(String::new())],
        descending: false,
        listing: &listing,
        token: &query.page_token,
        limit: query.limit,
    };
    let mut values = vec![Value::Text(query.policy.clone())];
    let select = "SELECT subject_kind, subject FROM policy_assignments";
    let sql = order.complete(select, vec!["policy = ?".to_owned()], &mut values)?;
    let mut statement = connection.prepare_cached(&sql)?;
    let subjects = statement.query_map(params_from_iter(values), subject)?.collect::<Result<_, _>>()?;
    page::cut(subjects, query.limit, &listing, |last: &Subject| {
        vec![Key::Number(last.kind as i64), Key::Text(last.id.clone())]
    })
}

fn role_holders(
    connection: &Connection,
    query: &RoleHolderQuery,
) -> Result<(Vec<RoleHolder>, String), SqliteError> {
    let listing = page::listing(("role holders", &query.role));
    let text = || Key::Text(String::new());
    // The order is that of the index by role.
    let order = Order {
        columns: &["b.project", "b.domain", "b.subject_kind", "b.subject"],
        like: vec![text(), text(), Key::Number(0), text()],
        descending: false,
        listing: &listing,
        token: &query.page_token,
        limit: query.limit,
    };
    let mut values = vec![Value::Text(query.role.clone())];
    let select = "SELECT b.subject_kind, b.subject, b.role, b.project, b.domain,
                      coalesce(u.email, g.name, k.name, p.name, '')
                  FROM bindings b
                  LEFT JOIN users u ON b.subject_kind = 0 AND u.id = b.subject
                  LEFT JOIN groups g ON b.subject_kind = 1 AND g.id = b.subject
                  LEFT JOIN api_keys k ON b.subject_kind = 2 AND k.client_id = b.subject
                  LEFT JOIN policies p ON b.subject_kind = 3 AND p.name = b.subject";
    let sql = order.complete(select, vec!["b.role = ?".to_owned()], &mut values)?;
    let mut statement = connection.prepare_cached(&sql)?;
    let holder = |row: &Row<'_>| Ok(RoleHolder { binding: binding(row)?, name: row.get(5)? });
    let holders = statement.query_map(params_from_iter(values), holder)?.collect::<Result<_, _>>()?;
    page::cut(holders, query.limit, &listing, |last: &RoleHolder| {
        let Binding { subject, limit, .. } = &last.binding;
        let text = |text: &Option<String>| Key::Text(text.clone().unwrap_or_default());
        vec![
            text(&limit.project),
            text(&limit.domain),
            Key::Number(subject.kind as i64),
            Key::Text(subject.id.clone()),
        ]
    })
}

fn generation(connection: &Connection) -> Result<i64, SqliteError> {
    let found = one(connection, "SELECT generation FROM policy_generation", [], |row| row.get(0))?;
    Ok(found.unwrap_or_default())
}

/// All rows that decide about rights. One transaction, so that they are of one moment.
fn rows(connection: &Connection) -> Result<PolicyRows, SqliteError> {
    let all = |sql: &str| -> Result<Vec<(Subject, String)>, SqliteError> {
        let mut statement = connection.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| Ok((subject(row)?, row.get(2)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    };
    let mut statement = connection.prepare_cached(&format!("SELECT {BINDING} FROM bindings"))?;
    let bindings = statement.query_map([], binding)?.collect::<Result<_, _>>()?;
    let mut statement = connection.prepare_cached("SELECT group_id, user_id FROM group_members")?;
    let members = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(PolicyRows {
        generation: generation(connection)?,
        roles: role::all(connection)?,
        bindings,
        assignments: all("SELECT subject_kind, subject, policy FROM policy_assignments")?,
        members: members.collect::<Result<_, _>>()?,
    })
}

#[async_trait]
impl PolicyStore for SqliteStore {
    async fn bind_role(&self, binding: &Binding, now: UnixTime) -> Result<bool, StoreError> {
        let Binding { subject, role, limit } = binding.clone();
        self.write(move |connection| {
            require_subject(connection, &subject)?;
            bind(connection, &subject, &role, &limit, now)
        })
        .await
    }

    async fn unbind_role(&self, binding: &Binding) -> Result<bool, StoreError> {
        let binding = binding.clone();
        self.write(move |connection| administrator::keep_one(connection, || unbind(connection, &binding)))
            .await
    }

    async fn bindings_of(&self, subject: &Subject) -> Result<Vec<Binding>, StoreError> {
        let subject = subject.clone();
        self.read(move |connection| {
            let sql = format!(
                "SELECT {BINDING} FROM bindings WHERE subject_kind = ?1 AND subject = ?2 ORDER BY role, project, domain"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let bindings = statement.query_map(params![subject.kind as i64, subject.id], binding)?;
            Ok(bindings.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn list_role_holders(
        &self,
        query: &RoleHolderQuery,
    ) -> Result<(Vec<RoleHolder>, String), StoreError> {
        let query = query.clone();
        self.read(move |connection| role_holders(connection, &query)).await
    }

    async fn create_policy(&self, policy: &Policy, bindings: &[RoleIn]) -> Result<(), StoreError> {
        let (policy, bindings) = (policy.clone(), bindings.to_vec());
        self.write(move |connection| {
            let sql = format!("INSERT INTO policies ({COLUMNS}) VALUES (?1, ?2, ?3)");
            change(connection, &sql, params![policy.name, policy.description, policy.created_at])
                .map_err(|error| already_exists(error, "policy", &policy.name))?;
            let subject = Subject::policy(&policy.name);
            for RoleIn { role, limit } in &bindings {
                bind(connection, &subject, role, limit, policy.created_at)?;
            }
            Ok(())
        })
        .await
    }

    async fn update_policy(&self, name: &str, description: &str) -> Result<bool, StoreError> {
        let (name, description) = (name.to_owned(), description.to_owned());
        self.write(move |connection| {
            let sql = "UPDATE policies SET description = ?2 WHERE name = ?1";
            Ok(change(connection, sql, [name, description])? > 0)
        })
        .await
    }

    async fn policy_by_name(&self, name: &str) -> Result<Option<Policy>, StoreError> {
        let name = name.to_owned();
        let sql = format!("SELECT {COLUMNS} FROM policies WHERE name = ?1");
        self.read(move |connection| one(connection, &sql, [name], policy)).await
    }

    async fn list_policies(&self, query: &NameQuery) -> Result<(Vec<Policy>, String), StoreError> {
        let query = query.clone();
        self.read(move |connection| names(connection, &query)).await
    }

    async fn delete_policy(&self, name: &str) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.write(move |connection| {
            administrator::keep_one(connection, || {
                Ok(change(connection, "DELETE FROM policies WHERE name = ?1", [&name])? > 0)
            })
        })
        .await
    }

    async fn assign_policy(
        &self,
        subject: &Subject,
        policy: &str,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let (subject, policy) = (subject.clone(), policy.to_owned());
        self.write(move |connection| {
            require_subject(connection, &subject)?;
            require(connection, "policies", "name", "policy", &policy)?;
            if subject.kind == SubjectKind::Policy {
                // Policies have no policies, so there are no cycles.
                return Err(StoreError::Missing { kind: "user, group or API key", id: subject.id }.into());
            }
            let sql = "INSERT INTO policy_assignments (policy, subject_kind, subject, created_at)
                       VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
            Ok(change(connection, sql, params![policy, subject.kind as i64, subject.id, now])? > 0)
        })
        .await
    }

    async fn unassign_policy(&self, subject: &Subject, policy: &str) -> Result<bool, StoreError> {
        let (subject, policy) = (subject.clone(), policy.to_owned());
        self.write(move |connection| {
            administrator::keep_one(connection, || {
                let sql = "DELETE FROM policy_assignments
                           WHERE policy = ?1 AND subject_kind = ?2 AND subject = ?3";
                Ok(change(connection, sql, params![policy, subject.kind as i64, subject.id])? > 0)
            })
        })
        .await
    }

    async fn policies_of(&self, subject: &Subject) -> Result<Vec<Policy>, StoreError> {
        let subject = subject.clone();
        self.read(move |connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM policies WHERE name IN (
                     SELECT policy FROM policy_assignments WHERE subject_kind = ?1 AND subject = ?2
                 ) ORDER BY name"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let policies = statement.query_map(params![subject.kind as i64, subject.id], policy)?;
            Ok(policies.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn list_assignees(&self, query: &AssigneeQuery) -> Result<(Vec<Subject>, String), StoreError> {
        let query = query.clone();
        self.read(move |connection| assignees(connection, &query)).await
    }

    async fn policy_generation(&self) -> Result<i64, StoreError> {
        self.read(generation).await
    }

    async fn policy_rows(&self) -> Result<PolicyRows, StoreError> {
        self.read(|connection| {
            // The writer, which reads as well if the database is in memory, is in a transaction already.
            if !connection.is_autocommit() {
                return rows(connection);
            }
            let transaction = connection.unchecked_transaction()?;
            let rows = rows(&transaction)?;
            transaction.commit()?;
            Ok(rows)
        })
        .await
    }
}
