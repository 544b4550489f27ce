//! Reads the result of an attempt from its objects: the error that its runtime wrote, or its outputs.

use buffa::Message as _;
use flyte_idl::flyteidl2::{
    core::{ContainerError, ErrorDocument, container_error, execution_error::ErrorKind},
    task::TaskSpec,
};

use super::Outcome;
use flyte_objects::{ObjectError, Objects};
use flyte_store::{Failure, FailureKind, QueuedAttempt};

/// Whether the attempt's task declares outputs.
pub(super) fn has_outputs(attempt: &QueuedAttempt) -> bool {
    let task = TaskSpec::decode_from_slice(&attempt.spec).unwrap_or_default();
    let interface = task.task_template.as_option().and_then(|template| template.interface.as_option());
    let outputs = interface.and_then(|interface| interface.outputs.as_option());
    outputs.is_some_and(|outputs| !outputs.variables.is_empty())
}

/// The error that an attempt's runtime wrote, or the failure to read it. `None` if there is no error.
pub async fn error(objects: &Objects, attempt: &QueuedAttempt) -> Option<Failure> {
    let content = match objects.get(&format!("{}/error.pb", attempt.output_prefix())).await {
        Ok(content) => content?,
        Err(error) => {
            let message = format!("the task's result cannot be read: {error}");
            return Some(Failure::system("ResultUnreadable", message));
        }
    };
    let Ok(document) = ErrorDocument::decode_from_slice(&content) else {
        return Some(Failure {
            kind: FailureKind::User,
            code: "BadError".to_owned(),
            message: "the task failed, and its error.pb cannot be read".to_owned(),
            recoverable: false,
        });
    };
    Some(failure(document.error.into_option().unwrap_or_default()))
}

/// Converts the error of a runtime. An error without an origin counts as one of the task's code.
#[must_use]
pub fn failure(error: ContainerError) -> Failure {
    let kind = match error.origin.as_known() {
        Some(ErrorKind::SYSTEM) => FailureKind::System,
        _ => FailureKind::User,
    };
    let recoverable = error.kind.as_known() == Some(container_error::Kind::RECOVERABLE);
    Failure { kind, code: error.code, message: error.message, recoverable }
}

/// The outcome of an attempt whose command reports success. It succeeded if its runtime wrote no error, its declared outputs exist,
/// and everything that it wrote is durable: a task that succeeded is not run again, even after a power failure.
pub async fn of_success(objects: &Objects, attempt: &QueuedAttempt) -> Outcome {
    if let Some(failure) = error(objects, attempt).await {
        return Outcome::Failed(failure);
    }
    if let Err(error) = objects.synchronize().await {
        return Outcome::Failed(Failure::system(
            "ResultNotKept",
            format!("what the task has written cannot be made durable: {error}"),
        ));
    }
    if !has_outputs(attempt) {
        return Outcome::Succeeded;
    }
    let url = format!("{}/outputs.pb", attempt.output_prefix());
    match length(objects, &url).await {
        // Outputs are never empty. An empty file was not yet on the disk when the power failed.
        Ok(None | Some(0)) => Outcome::Failed(Failure::system(
            "MissingOutputs",
            format!("the command ended without an error, but has not written its outputs to {url}"),
        )),
        Ok(Some(_)) => Outcome::Succeeded,
        Err(error) => Outcome::Failed(Failure::system(
            "ResultUnreadable",
            format!("the task's outputs cannot be read: {error}"),
        )),
    }
}

async fn length(objects: &Objects, url: &str) -> Result<Option<u64>, ObjectError> {
    objects.length(&objects.key_of(url)?).await
}

#[cfg(test)]
mod tests {
    use buffa::MessageField;
    use flyte_idl::flyteidl2::{
        core::{TaskTemplate, TypedInterface, Variable, VariableEntry, VariableMap},
        task::TaskSpec,
    };

    use super::*;
    use crate::testing::{Server, new_run};
    use flyte_store::RunId;

    /// A server with an attempt at a task that has one output.
    async fn begun(home: &std::path::Path) -> (Server, QueuedAttempt) {
        let data_dir = home.to_owned();
        let app = Server::new(move |config| config.data_dir = data_dir).await;
        app.objects.prepare().unwrap();
        let entry = VariableEntry {
            key: "o0".to_owned(),
            value: MessageField::some(Variable::default()),
            ..VariableEntry::default()
        };
        let outputs = VariableMap { variables: vec![entry], ..VariableMap::default() };
        let interface = TypedInterface { outputs: MessageField::some(outputs), ..TypedInterface::default() };
        let template = TaskTemplate { interface: MessageField::some(interface), ..TaskTemplate::default() };
        let spec = TaskSpec { task_template: MessageField::some(template), ..TaskSpec::default() };
        let id = RunId { project: "p".to_owned(), domain: "d".to_owned(), name: "r1".to_owned() };
        let output_base = app.objects.native_url("p", "d", "runs/r1").unwrap();
        app.runs.create(new_run(id, spec, output_base)).await.unwrap();
        let attempt = app.runs.claim(1).await.unwrap().remove(0);
        (app, attempt)
    }

    #[tokio::test]
    async fn outputs_that_are_not_there_are_no_success() {
        let home = tempfile::tempdir().unwrap();
        let (app, attempt) = begun(home.path()).await;
        let url = format!("{}/outputs.pb", attempt.output_prefix());
        for (content, expected) in [(None, false), (Some(""), false), (Some("o0"), true)] {
            if let Some(content) = content {
                app.objects.put(&url, content.into()).await.unwrap();
            }
            match of_success(&app.objects, &attempt).await {
                Outcome::Succeeded => assert!(expected, "{content:?}"),
                Outcome::Failed(failure) => {
                    assert!(!expected, "{content:?}");
                    assert_eq!(
                        (failure.kind, failure.code.as_str()),
                        (FailureKind::System, "MissingOutputs"),
                        "it is tried again"
                    );
                }
                other => panic!("{content:?}: {other:?}"),
            }
        }
        assert_eq!(app.objects.synchronized().await, 3);
    }
}
