//! Events as lines of the log.

use super::{Detail, Kind};
use flyte_store::AuditRecord;

/// Writes the line. Each detail has its own field, so that JSON lines can be searched; absent details are left out.
pub(super) fn write(kind: Kind, record: &AuditRecord) {
    let detail = |detail: Detail| record.details.get(detail.as_str()).map(String::as_str);
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                target: "audit",
                event = record.event,
                reason = detail(Detail::Reason),
                rule = detail(Detail::Rule),
                subject = record.subject,
                email = detail(Detail::Email),
                client_id = record.client_id,
                object = record.object,
                provider = detail(Detail::Provider),
                session_id = detail(Detail::Session),
                family_id = detail(Detail::Family),
                families = detail(Detail::Families),
                device_address = detail(Detail::DeviceAddress),
                scope = detail(Detail::Scope),
                task = detail(Detail::Task),
                version = detail(Detail::Version),
                on_behalf_of = detail(Detail::OnBehalfOf),
                state = detail(Detail::State),
                role = detail(Detail::Role),
                change = detail(Detail::Change),
                user = detail(Detail::User),
                group = detail(Detail::Group),
                policy = detail(Detail::Policy),
                permission = detail(Detail::Permission),
                project = detail(Detail::Project),
                domain = detail(Detail::Domain),
                expires_at = detail(Detail::ExpiresAt),
                scim_key = detail(Detail::ScimKey),
                scim_client = detail(Detail::ScimClient),
                trust = detail(Detail::Trust),
                issuer = detail(Detail::Issuer),
                foreign_subject = detail(Detail::ForeignSubject),
                jti = detail(Detail::Token),
                repeated = detail(Detail::Repeated),
                since = detail(Detail::Since),
                address = record.address.as_deref().map(tracing::field::display),
            )
        };
    }
    if kind.is_suspicious() {
        line!(warn);
    } else {
        line!(info);
    }
}
