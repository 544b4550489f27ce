//! The rule that an administrator remains.

use rusqlite::Connection;

use super::{error::SqliteError, one};
use flyte_store::StoreError;

/// Enabled accounts with the role `admin` everywhere: by themselves, by a group, or by a policy of either.
const ANY: &str = "
    WITH administrators (kind, subject) AS (
        SELECT subject_kind, subject FROM bindings WHERE role = 'admin' AND project = '' AND domain = ''
    ), holders (kind, subject) AS (
        SELECT kind, subject FROM administrators
        UNION
        SELECT a.subject_kind, a.subject FROM policy_assignments a
        JOIN administrators p ON p.kind = 3 AND p.subject = a.policy
    )
    SELECT 1 FROM users u WHERE u.disabled_at IS NULL AND (
        EXISTS (SELECT 1 FROM holders h WHERE h.kind = 0 AND h.subject = u.id)
        OR EXISTS (
            SELECT 1 FROM group_members m JOIN holders h ON h.kind = 1 AND h.subject = m.group_id
            WHERE m.user_id = u.id
        )
    ) LIMIT 1";

fn any(connection: &Connection) -> Result<bool, SqliteError> {
    Ok(one(connection, ANY, [], |_| Ok(()))?.is_some())
}

/// Whether an account administers the server, or could make others administrators: by a role of its own, of a group or of a policy,
/// anywhere.
const ONE: &str = "
    WITH administrators (kind, subject) AS (
        SELECT subject_kind, subject FROM bindings WHERE role = 'admin' OR role IN (
            SELECT role FROM role_permissions
            WHERE permission IN ('administer-server', 'manage-permissions', 'manage-trust')
        )
    ), holders (kind, subject) AS (
        SELECT kind, subject FROM administrators
        UNION
        SELECT a.subject_kind, a.subject FROM policy_assignments a
        JOIN administrators p ON p.kind = 3 AND p.subject = a.policy
    )
    SELECT 1 FROM holders h WHERE (h.kind = 0 AND h.subject = ?1)
        OR (h.kind = 1 AND EXISTS (SELECT 1 FROM group_members WHERE group_id = h.subject AND user_id = ?1))
    LIMIT 1";

/// Returns whether an account administers the server or a part of it.
pub(super) fn is_one(connection: &Connection, user_id: &str) -> Result<bool, SqliteError> {
    Ok(one(connection, ONE, [user_id], |_| Ok(()))?.is_some())
}

/// Makes a change that can take the role from administrators. Fails if it takes it from the last one. If there was none before,
/// for example in an empty database, the change cannot do so.
pub(super) fn keep_one<T>(
    connection: &Connection,
    change: impl FnOnce() -> Result<T, SqliteError>,
) -> Result<T, SqliteError> {
    let had_one = any(connection)?;
    let changed = change()?;
    if had_one && !any(connection)? {
        return Err(StoreError::LastAdministrator.into());
    }
    Ok(changed)
}
