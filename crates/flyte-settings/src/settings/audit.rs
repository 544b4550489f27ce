//! `audit`: the audit log.

use super::check::between;
use crate::{
    setting::{Default::Value, Setting},
    value::Seconds,
};

/// [`AuditConfig::retention`](crate::AuditConfig::retention).
pub static AUDIT_RETENTION: Setting<Seconds> = Setting {
    key: "audit.retention",
    flag: None,
    placeholder: "DURATION",
    default: Value("400d"),
    help: "How long the database keeps the records of the audit log. Older records are removed.",
    check: |retention| between(retention, 86_400, 20 * 365 * 86_400),
};
