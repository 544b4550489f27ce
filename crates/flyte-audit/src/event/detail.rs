//! Further facts about events.

names! {
    /// Further facts about an event.
    Detail {
        /// The reason.
        Reason = "reason",
        /// The rule that denied a call, for example `role`.
        Rule = "rule",
        /// The e-mail address of an existing account.
        Email = "email",
        /// The outside provider: its section of the settings.
        Provider = "provider",
        /// The browser session.
        Session = "session_id",
        /// The family of tokens.
        Family = "family_id",
        /// The number of families that ended.
        Families = "families",
        /// The address that a device asked from.
        DeviceAddress = "device_address",
        /// OAuth scopes, separated by spaces.
        Scope = "scope",
        /// A task.
        Task = "task",
        /// A version of a task.
        Version = "version",
        /// `sub` of the principal that started the acting run.
        OnBehalfOf = "on_behalf_of",
        /// The wanted state of an app, for example `active`.
        State = "state",
        /// A role.
        Role = "role",
        /// The change of a role or a policy: `added` or `removed`.
        Change = "change",
        /// `sub` of an account.
        User = "user",
        /// The identifier of a group.
        Group = "group",
        /// A policy.
        Policy = "policy",
        /// Permissions, separated by commas.
        Permission = "permission",
        /// A project.
        Project = "project",
        /// A domain of a project.
        Domain = "domain",
        /// The expiry, Unix time in seconds.
        ExpiresAt = "expires_at",
        /// The key of a SCIM client.
        ScimKey = "scim_key",
        /// The SCIM client that a key is for.
        ScimClient = "scim_client",
        /// The trust rule.
        Trust = "trust",
        /// `iss` of the issuer's token.
        Issuer = "issuer",
        /// `sub` of the issuer's token.
        ForeignSubject = "foreign_subject",
        /// `jti` of the access token of this server.
        Token = "jti",
        /// The number of repeats; the record covers all of them.
        Repeated = "repeated",
        /// The time of the first repeat, Unix time in seconds. The record's own time is that of the last one.
        Since = "since",
    }
}
