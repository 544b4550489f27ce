//! The cache key of a run's root action. Tasks send the keys of the actions that they enqueue. The server computes the same
//! hash here, so that both find the same cached result.

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use buffa::Message as _;
use bytes::Bytes;
use connectrpc::ConnectError;
use flyte_idl::flyteidl2::{
    core::{TypedInterface, VariableMap},
    task::{RunSpec, TaskSpec},
};

use super::{dataproxy::inputs, object_error};
use crate::ControlPlane;

/// The inputs of a run.
pub(super) enum Inputs<'a> {
    /// Encoded inputs in the request.
    Given(&'a [u8]),
    /// Inputs in an object, with the hash that the client sent.
    Stored {
        /// The object's native URL.
        uri: &'a str,
        /// The hash that `UploadInputs` returned, or a hash that the client computed.
        hash: &'a str,
    },
}

/// Whether cached results are computed again.
pub(super) fn is_overwritten(spec: &RunSpec) -> bool {
    let config = spec.cache_config.as_option();
    spec.overwrite_cache || config.is_some_and(|config| config.overwrite_cache)
}

/// The cache key of a task with these inputs; `None` if its results are not cached.
pub(super) async fn of(
    plane: &ControlPlane,
    spec: &TaskSpec,
    given: Inputs<'_>,
) -> Result<Option<String>, ConnectError> {
    let template = spec.task_template.as_option();
    let Some((template, metadata)) =
        template.and_then(|template| Some((template, template.metadata.as_option()?)))
    else {
        return Ok(None);
    };
    if !metadata.discoverable {
        return Ok(None);
    }
    let ignored = &metadata.cache_ignore_input_vars;
    let inputs = match given {
        Inputs::Stored { hash, .. } if !hash.is_empty() => hash.to_owned(),
        Inputs::Stored { uri, .. } => {
            let raw: Option<Bytes> = plane.objects.get(uri).await.map_err(object_error)?;
            inputs::hash(&raw.unwrap_or_default(), ignored)
        }
        Inputs::Given(raw) => inputs::hash(raw, ignored),
    };
    let name = template.id.as_option().map_or("", |id| id.name.as_str());
    let interface = template.interface.as_option().map(interface).unwrap_or_default();
    Ok(Some(hash(format!("{inputs}{name}{interface}{}", metadata.discovery_version).as_bytes())))
}

/// The hash of an interface. The order of the variables makes no difference.
fn interface(interface: &TypedInterface) -> String {
    let mut interface = interface.clone();
    let maps = [interface.inputs.as_option_mut(), interface.outputs.as_option_mut()];
    for VariableMap { variables, .. } in maps.into_iter().flatten() {
        variables.sort_by(|one, other| one.key.cmp(&other.key));
    }
    hash(&interface.encode_to_vec())
}

fn hash(content: &[u8]) -> String {
    STANDARD.encode(digest::digest(&digest::SHA256, content))
}

#[cfg(test)]
mod tests {
    use buffa::MessageField;
    use flyte_idl::flyteidl2::{
        core::{Identifier, TaskMetadata, TaskTemplate, Variable, VariableEntry},
        task::CacheConfig,
    };

    use super::*;
    use crate::testing;

    fn task(version: &str, outputs: &[&str]) -> TaskSpec {
        let entry = |key: &&str| VariableEntry {
            key: (*key).to_owned(),
            value: MessageField::some(Variable::default()),
            ..VariableEntry::default()
        };
        let outputs =
            VariableMap { variables: outputs.iter().map(entry).collect(), ..VariableMap::default() };
        TaskSpec {
            task_template: MessageField::some(TaskTemplate {
                id: MessageField::some(Identifier { name: "e.t".to_owned(), ..Identifier::default() }),
                metadata: MessageField::some(TaskMetadata {
                    discoverable: true,
                    discovery_version: version.to_owned(),
                    ..TaskMetadata::default()
                }),
                interface: MessageField::some(TypedInterface {
                    outputs: MessageField::some(outputs),
                    ..TypedInterface::default()
                }),
                ..TaskTemplate::default()
            }),
            ..TaskSpec::default()
        }
    }

    #[tokio::test]
    async fn the_key_depends_on_version_interface_and_inputs() {
        let plane = testing::control_plane(|_| {}).await;
        let key =
            async |task: &TaskSpec, inputs: &[u8]| of(&plane, task, Inputs::Given(inputs)).await.unwrap();
        let first = key(&task("v1", &["o0", "o1"]), b"").await.unwrap();
        assert_eq!(key(&task("v1", &["o1", "o0"]), b"").await.unwrap(), first);
        // A literal named "x".
        let inputs = [0x0a, 0x03, 0x0a, 0x01, b'x'];
        for other in [
            key(&task("v2", &["o0", "o1"]), b"").await,
            key(&task("v1", &["o0"]), b"").await,
            key(&task("v1", &["o0", "o1"]), &inputs).await,
        ] {
            assert_ne!(other.unwrap(), first);
        }
        let stored = Inputs::Stored { uri: "", hash: &inputs::hash(b"", &[]) };
        assert_eq!(of(&plane, &task("v1", &["o0", "o1"]), stored).await.unwrap().unwrap(), first);
        let mut uncached = task("v1", &[]);
        uncached.task_template.as_option_mut().unwrap().metadata =
            MessageField::some(TaskMetadata::default());
        assert_eq!(key(&uncached, b"").await, None);
    }

    #[test]
    fn a_run_overwrites_the_cache_by_either_field() {
        let config =
            RunSpec { cache_config: MessageField::some(CacheConfig::default()), ..RunSpec::default() };
        assert!(!is_overwritten(&config));
        let config = CacheConfig { overwrite_cache: true, ..CacheConfig::default() };
        assert!(is_overwritten(&RunSpec { cache_config: MessageField::some(config), ..RunSpec::default() }));
        assert!(is_overwritten(&RunSpec { overwrite_cache: true, ..RunSpec::default() }));
    }
}
