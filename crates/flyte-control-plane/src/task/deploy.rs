//! Reads and checks a deployment request.

use buffa::{Message as _, MessageField};
use connectrpc::ConnectError;
use flyte_idl::flyteidl2::{
    task::{DeployTaskRequest, TaskTrigger, task_trigger_spec},
    trigger::{TriggerSpec, trigger_spec},
};

use super::super::{actor, invalid, project_domain, unsupported};
use crate::ControlPlane;
use flyte_access::Caller;
use flyte_store::{NewTask, NewTrigger, Task, TaskId, TriggerId, task_digest};

/// The longest description in lists, in characters. The specification keeps the whole description.
const MAX_SHORT_DESCRIPTION: usize = 255;
/// The most triggers of one deployment.
const MAX_TRIGGERS: usize = 100;

/// A task and its triggers, ready to be stored.
pub(super) struct NewDeployment {
    pub(super) task: NewTask,
    pub(super) triggers: Vec<NewTrigger>,
}

impl NewDeployment {
    pub(super) async fn read(
        plane: &ControlPlane,
        caller: &Caller,
        request: &DeployTaskRequest,
    ) -> Result<Self, ConnectError> {
        let id = request.task_id.as_option().ok_or_else(|| invalid("task_id", "is missing"))?;
        project_domain::check(plane, "task_id", &id.project, &id.domain).await?;
        project_domain::check_name("task_id.name", &id.name)?;
        project_domain::check_name("task_id.version", &id.version)?;
        let spec = request.spec.as_option().ok_or_else(|| invalid("spec", "is missing"))?;
        let template =
            spec.task_template.as_option().ok_or_else(|| invalid("spec.task_template", "is missing"))?;
        unsupported::check_task("spec", spec)?;
        if let Some(inner) = template.id.as_option() {
            for (field, inner, outer) in
                [("name", &inner.name, &id.name), ("version", &inner.version, &id.version)]
            {
                if !inner.is_empty() && inner != outer {
                    let what = format!("is {inner:?}, and task_id.{field} is {outer:?}");
                    return Err(invalid(&format!("spec.task_template.id.{field}"), &what));
                }
            }
        }
        if request.triggers.len() > MAX_TRIGGERS {
            return Err(invalid("triggers", &format!("has more than {MAX_TRIGGERS} triggers")));
        }
        let id = TaskId {
            project: id.project.clone(),
            domain: id.domain.clone(),
            name: id.name.clone(),
            version: id.version.clone(),
        };
        let (before, after) = id.name.rsplit_once('.').unwrap_or(("", &id.name));
        let or =
            |given: &str, other: &str| if given.is_empty() { other.to_owned() } else { given.to_owned() };
        let environment = spec.environment.as_option().map_or("", |environment| &environment.name);
        let description =
            spec.documentation.as_option().map_or("", |documentation| &documentation.short_description);
        let task = Task {
            short_name: or(&spec.short_name, after),
            environment: or(environment, before),
            short_description: description.chars().take(MAX_SHORT_DESCRIPTION).collect(),
            entrypoint: template.metadata.as_option().is_some_and(|metadata| metadata.is_entrypoint),
            deployed_by: actor::of(caller),
            deployed_at: plane.clock.now(),
            id,
        };
        let triggers = request
            .triggers
            .iter()
            .enumerate()
            .map(|(n, trigger)| new_trigger(&format!("triggers[{n}]"), &task, trigger))
            .collect::<Result<Vec<_>, _>>()?;
        for (n, trigger) in triggers.iter().enumerate() {
            if triggers[..n].iter().any(|other| other.id == trigger.id) {
                let what = format!("is {:?}, which another trigger also has", trigger.id.name);
                return Err(invalid(&format!("triggers[{n}].name"), &what));
            }
        }
        Ok(Self {
            task: NewTask {
                task,
                digest: task_digest(&flyte_idl::canonical(spec)),
                spec: spec.encode_to_vec(),
            },
            triggers,
        })
    }
}

fn new_trigger(at: &str, task: &Task, trigger: &TaskTrigger) -> Result<NewTrigger, ConnectError> {
    project_domain::check_name(&format!("{at}.name"), &trigger.name)?;
    let spec = trigger.spec.as_option().cloned().unwrap_or_default();
    let automation = trigger
        .automation_spec
        .as_option()
        .ok_or_else(|| invalid(&format!("{at}.automation_spec"), "is missing"))?;
    unsupported::check_trigger(&format!("{at}.spec.active"), spec.active, automation)?;
    let inputs = spec.input_wrapper.map(|inputs| match inputs {
        task_trigger_spec::InputWrapper::Inputs(inputs) => trigger_spec::InputWrapper::Inputs(inputs),
        task_trigger_spec::InputWrapper::OffloadedInputData(inputs) => {
            trigger_spec::InputWrapper::OffloadedInputData(inputs)
        }
    });
    let stored = TriggerSpec {
        input_wrapper: inputs,
        run_spec: spec.run_spec.as_option().cloned().map_or_else(MessageField::none, MessageField::some),
        active: spec.active,
        task_version: task.id.version.clone(),
        description: spec.description,
        ..TriggerSpec::default()
    };
    Ok(NewTrigger {
        id: TriggerId {
            project: task.id.project.clone(),
            domain: task.id.domain.clone(),
            task: task.id.name.clone(),
            name: trigger.name.clone(),
        },
        task_version: task.id.version.clone(),
        active: spec.active,
        spec: stored.encode_to_vec(),
        automation: automation.encode_to_vec(),
        due_at: None,
        by: task.deployed_by.clone(),
        at: task.deployed_at,
    })
}
