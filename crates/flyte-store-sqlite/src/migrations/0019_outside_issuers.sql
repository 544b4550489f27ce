-- A provider's group is that of an issuer, no longer that of a section of the settings, which can be pointed at another issuer.
-- The issuer is the one through which its members have signed in. If there are several, it is not known whose group it is: it
-- loses its members, and its roles stay for an administrator to see.
CREATE TEMP TABLE groups_of_sections AS
SELECT id, external_id, coalesce(
    (SELECT CASE count(DISTINCT issuer) WHEN 1 THEN min(issuer) END
     FROM outside_identities JOIN group_members USING (user_id)
     WHERE outside_identities.provider = groups.provider AND group_id = groups.id),
    (SELECT CASE count(DISTINCT issuer) WHEN 1 THEN min(issuer) END
     FROM outside_identities WHERE outside_identities.provider = groups.provider)
) AS issuer
FROM groups WHERE provider IS NOT NULL;

DELETE FROM group_members WHERE group_id IN (SELECT id FROM groups_of_sections WHERE issuer IS NULL);

-- Two sections with one issuer had two groups for one.
CREATE TEMP TABLE merged_groups AS
SELECT id, (SELECT min(id) FROM groups_of_sections AS same
            WHERE same.issuer = of_section.issuer AND same.external_id = of_section.external_id) AS kept
FROM groups_of_sections AS of_section WHERE issuer IS NOT NULL;
DELETE FROM merged_groups WHERE id = kept;
INSERT OR IGNORE INTO group_members (group_id, user_id)
SELECT kept, user_id FROM group_members JOIN merged_groups ON id = group_id;
INSERT OR IGNORE INTO bindings (subject_kind, subject, role, project, domain, created_at)
SELECT 1, kept, role, project, domain, created_at FROM bindings JOIN merged_groups ON id = subject WHERE subject_kind = 1;
INSERT OR IGNORE INTO policy_assignments (policy, subject_kind, subject, created_at)
SELECT policy, 1, kept, created_at FROM policy_assignments JOIN merged_groups ON id = subject WHERE subject_kind = 1;
DELETE FROM groups WHERE id IN (SELECT id FROM merged_groups);

UPDATE groups SET provider = (SELECT issuer FROM groups_of_sections WHERE groups_of_sections.id = groups.id)
WHERE id IN (SELECT id FROM groups_of_sections WHERE issuer IS NOT NULL);
DROP TABLE merged_groups;
DROP TABLE groups_of_sections;

-- Addresses that users have proved to control, and which provider vouches. A proof counts only while it is for the account's address. The
-- earlier ones do not say which, and providers gave them without being trusted for it.
DROP TABLE email_proofs;
CREATE TABLE email_proofs (
    user_id   TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    email_key TEXT NOT NULL,
    issuer    TEXT,                          -- of the provider that vouches for it; NULL: proved to this server
    proved_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
