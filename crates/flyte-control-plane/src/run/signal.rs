//! Answers to conditions.

use buffa::Message as _;
use bytes::Bytes;
use connectrpc::ConnectError;
use flyte_idl::flyteidl2::{
    core::{Literal, LiteralType, Primitive, Scalar, SimpleType, literal, literal_type, primitive, scalar},
    workflow::{ConditionAction, EventPayload, event_payload},
};

use super::{message::decode, record};
use crate::{ControlPlane, invalid, store_error};
use flyte_access::Caller;
use flyte_audit::Kind;
use flyte_store::{self, ActionKind};

/// Converts the payload of a signal to a literal.
pub(super) fn payload(payload: &EventPayload) -> Result<Literal, ConnectError> {
    let value: primitive::Value = match &payload.value {
        Some(event_payload::Value::BoolValue(value)) => primitive::Value::Boolean(*value),
        Some(event_payload::Value::IntValue(value)) => primitive::Value::Integer(*value),
        Some(event_payload::Value::FloatValue(value)) => primitive::Value::FloatValue(*value),
        Some(event_payload::Value::StringValue(value)) => primitive::Value::StringValue(value.clone()),
        None => return Err(invalid("payload", "has no value")),
    };
    let primitive = Primitive { value: Some(value), ..Primitive::default() };
    let scalar = Scalar { value: Some(primitive.into()), ..Scalar::default() };
    Ok(Literal { value: Some(scalar.into()), ..Literal::default() })
}

/// Signals a condition with a value, which must have the type of the condition.
pub(crate) async fn signal(
    plane: &ControlPlane,
    caller: &Caller,
    action: &flyte_store::Action,
    value: &Literal,
) -> Result<(), ConnectError> {
    if action.kind != ActionKind::Condition {
        return Err(ConnectError::failed_precondition(format!(
            "{} is not a condition, so it cannot be signalled",
            action.id
        )));
    }
    let spec = plane.runs.action_spec(&action.id).await.map_err(store_error)?.unwrap_or_default();
    let condition: ConditionAction = decode(&spec)?;
    if let Some(wanted) = condition.r#type.as_option().and_then(simple_type)
        && simple_type_of(value) != Some(wanted)
    {
        return Err(invalid("payload", &format!("is not of the type that {} waits for", condition.name)));
    }
    let value = Bytes::from(value.encode_to_vec());
    if !plane.runs.signal(&action.id, &value, &caller.subject).await.map_err(store_error)? {
        return Err(ConnectError::failed_precondition(format!("{} no longer waits", action.id)));
    }
    record(plane, Kind::RunSignalled, caller, &action.id, |event| event).await;
    Ok(())
}

fn simple_type(wanted: &LiteralType) -> Option<SimpleType> {
    match &wanted.r#type {
        Some(literal_type::Type::Simple(simple)) => simple.as_known(),
        _ => None,
    }
}

fn simple_type_of(value: &Literal) -> Option<SimpleType> {
    let Some(literal::Value::Scalar(scalar)) = &value.value else { return None };
    let Some(scalar::Value::Primitive(primitive)) = &scalar.value else { return None };
    Some(match &primitive.value {
        Some(primitive::Value::Boolean(_)) => SimpleType::BOOLEAN,
        Some(primitive::Value::Integer(_)) => SimpleType::INTEGER,
        Some(primitive::Value::FloatValue(_)) => SimpleType::FLOAT,
        Some(primitive::Value::StringValue(_)) => SimpleType::STRING,
        _ => return None,
    })
}
