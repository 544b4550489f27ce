//! Checks whether the outputs of an earlier action still exist, before another action takes them as its own.

use flyte_idl::flyteidl2::{
    core::{Literal, literal, scalar},
    task::Outputs,
};

use super::result::has_outputs;
use flyte_objects::{ObjectError, Objects};
use flyte_store::{QueuedAttempt, RunId};

/// The result of a check of outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// All of the server's objects that the outputs name exist.
    Whole,
    /// An object is missing or cannot be read.
    Gone,
    /// The object store failed.
    Unknown,
}

/// Checks the outputs below `prefix`, which `attempt` could take.
pub async fn find(objects: &Objects, attempt: &QueuedAttempt, prefix: &str) -> Found {
    match is_whole(objects, attempt, prefix).await {
        Ok(true) => Found::Whole,
        Ok(false) | Err(ObjectError::Undecodable(_) | ObjectError::Elsewhere(..) | ObjectError::Key(_)) => {
            Found::Gone
        }
        Err(error) => {
            tracing::warn!(%error, action = %attempt.action.id, "a cached result could not be checked");
            Found::Unknown
        }
    }
}

async fn is_whole(objects: &Objects, attempt: &QueuedAttempt, prefix: &str) -> Result<bool, ObjectError> {
    if !has_outputs(attempt) {
        return Ok(true);
    }
    let run = &attempt.action.id.run;
    let url = format!("{prefix}/outputs.pb");
    let key = objects.key_of(&url)?;
    // Existing outputs are never empty.
    if !key.is_in(&run.project, &run.domain) || objects.length(&key).await?.is_none_or(|length| length == 0) {
        return Ok(false);
    }
    let outputs: Outputs = match objects.decode(&url).await {
        Ok(outputs) => outputs.unwrap_or_default(),
        // It is too large to be read here. The task that reads it finds out.
        Err(ObjectError::TooLarge { .. }) => return Ok(true),
        Err(error) => return Err(error),
    };
    let mut uris = Vec::new();
    for named in &outputs.literals {
        if let Some(value) = named.value.as_option() {
            collect(value, &mut uris);
        }
    }
    for uri in uris {
        if !is_there(objects, run, uri).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether the objects that a value names exist. Data outside of this server's objects is not checked.
async fn is_there(objects: &Objects, run: &RunId, uri: &str) -> Result<bool, ObjectError> {
    match objects.key_of(uri) {
        Ok(key) if key.is_in(&run.project, &run.domain) => objects.exists(&key).await,
        Ok(_) | Err(_) => Ok(true),
    }
}

/// The URLs of data that a value refers to: files, directories, tables, and values that are too large to be inline.
fn collect<'a>(value: &'a Literal, uris: &mut Vec<&'a str>) {
    match &value.value {
        Some(literal::Value::Scalar(scalar)) => match &scalar.value {
            Some(scalar::Value::Blob(blob)) => uris.push(&blob.uri),
            Some(scalar::Value::Schema(schema)) => uris.push(&schema.uri),
            Some(scalar::Value::StructuredDataset(table)) => uris.push(&table.uri),
            Some(scalar::Value::Union(union)) => {
                if let Some(value) = union.value.as_option() {
                    collect(value, uris);
                }
            }
            _ => {}
        },
        Some(literal::Value::Collection(all)) => all.literals.iter().for_each(|one| collect(one, uris)),
        Some(literal::Value::Map(all)) => all.literals.values().for_each(|one| collect(one, uris)),
        Some(literal::Value::OffloadedMetadata(large)) => uris.push(&large.uri),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use buffa::{Message as _, MessageField};
    use flyte_idl::flyteidl2::{
        core::{
            Blob, LiteralCollection, LiteralMap, Scalar, TaskTemplate, TypedInterface, Variable,
            VariableEntry, VariableMap,
        },
        task::{NamedLiteral, TaskSpec},
    };

    use super::*;
    use crate::testing::{Server, new_run};

    fn file(uri: String) -> Literal {
        let blob = scalar::Value::Blob(Box::new(Blob { uri, ..Blob::default() }));
        Literal {
            value: Some(Scalar { value: Some(blob), ..Scalar::default() }.into()),
            ..Literal::default()
        }
    }

    /// An attempt in the domain `p/d` at a task that has outputs or not.
    async fn attempt(app: &Server, outputs: bool) -> QueuedAttempt {
        let entry = VariableEntry {
            key: "o0".to_owned(),
            value: MessageField::some(Variable::default()),
            ..VariableEntry::default()
        };
        let variables = if outputs { vec![entry] } else { Vec::new() };
        let interface = TypedInterface {
            outputs: MessageField::some(VariableMap { variables, ..VariableMap::default() }),
            ..TypedInterface::default()
        };
        let template = TaskTemplate { interface: MessageField::some(interface), ..TaskTemplate::default() };
        let spec = TaskSpec { task_template: MessageField::some(template), ..TaskSpec::default() };
        let id = RunId { project: "p".to_owned(), domain: "d".to_owned(), name: format!("r-{outputs}") };
        let output_base = app.objects.native_url("p", "d", "runs/r").unwrap();
        app.runs.create(new_run(id, spec, output_base)).await.unwrap();
        app.runs.claim(9).await.unwrap().remove(0)
    }

    #[tokio::test]
    async fn all_that_outputs_name_must_be_there() {
        let home = tempfile::tempdir().unwrap();
        let data_dir = home.path().to_owned();
        let app = Server::new(move |config| config.data_dir = data_dir).await;
        app.objects.prepare().unwrap();
        let url = |path: &str| app.objects.native_url("p", "d", path).unwrap();
        let (with, without) = (attempt(&app, true).await, attempt(&app, false).await);
        let prefix = url("runs/first/a0/1");
        assert_eq!(find(&app.objects, &with, &prefix).await, Found::Gone);
        assert_eq!(find(&app.objects, &without, &prefix).await, Found::Whole, "there is nothing to be there");
        for elsewhere in ["/somewhere/else".to_owned(), app.objects.native_url("q", "d", "x").unwrap()] {
            assert_eq!(find(&app.objects, &with, &elsewhere).await, Found::Gone);
        }

        let collection = LiteralCollection { literals: vec![file(url("raw/in-list"))], ..Default::default() };
        let map = LiteralMap {
            literals: [("k".to_owned(), file(app.objects.for_command(&url("raw/directory"))))]
                .into_iter()
                .collect(),
            ..Default::default()
        };
        let values = [
            file(url("raw/file")),
            Literal { value: Some(collection.into()), ..Literal::default() },
            Literal { value: Some(map.into()), ..Literal::default() },
            // Not this server's.
            file("s3://elsewhere/file".to_owned()),
        ];
        let literals = values.into_iter().map(|value| NamedLiteral {
            name: "o0".to_owned(),
            value: MessageField::some(value),
            ..NamedLiteral::default()
        });
        let outputs = Outputs { literals: literals.collect(), ..Outputs::default() };
        app.objects.put(&format!("{prefix}/outputs.pb"), outputs.encode_to_vec().into()).await.unwrap();
        for path in ["raw/file", "raw/in-list", "raw/directory/below/it"] {
            assert_eq!(find(&app.objects, &with, &prefix).await, Found::Gone, "without {path}");
            app.objects.put(&url(path), "content".into()).await.unwrap();
        }
        assert_eq!(find(&app.objects, &with, &prefix).await, Found::Whole);
        std::fs::remove_dir_all(app.objects.for_command(&url("raw/directory/below"))).unwrap();
        assert_eq!(find(&app.objects, &with, &prefix).await, Found::Gone, "the directory is empty");
    }
}
