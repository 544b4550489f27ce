//! Reruns: new runs of what an earlier run ran, with its code and inputs.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flyte_idl::flyteidl2::common::{OffloadedInputData, Relation, RelationType, RunIdentifier};
use flyte_idl::flyteidl2::core::KeyValuePair;
use flyte_idl::flyteidl2::core::task_template::Target;
use flyte_idl::flyteidl2::dataproxy::GetActionDataRequest;
use flyte_idl::flyteidl2::task::TaskSpec;
use flyte_idl::flyteidl2::task::{
    Inputs as WireInputs, NamedLiteral, Recover, RunSpec, TaskDetails as Details,
};
use flyte_idl::flyteidl2::workflow as wire;
use flyte_idl::flyteidl2::workflow::action_details::Spec as ActionSpec;

use super::{Given, Program, Run, Runs};
use crate::action::{ActionId, ROOT};
use crate::data::Inputs;
use crate::error::ClientError;
use crate::literal::text;
use crate::task::{Spec, TaskDetails, Variable};
use crate::transport::Transport;

/// The variable with the paths of modules. `flyte deploy` writes it into the task; older clients also sent it with each run.
const SYS_PATH: &str = "_F_SYS_PATH";

/// Why a rerun was not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RerunError {
    /// A call failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A changed input is wrong.
    #[error("{name}: {why}")]
    Input {
        /// The name of the input.
        name: String,
        /// The reason.
        why: String,
    },
    /// The inputs of the earlier run are no longer stored.
    #[error("the inputs of {0} are no longer stored")]
    InputsGone(ActionId),
    /// The outputs of the earlier run are no longer stored, so that the server does not say whether the inputs are.
    #[error("the outputs of {0} are no longer stored, and its inputs cannot be checked")]
    OutputsGone(ActionId),
}

/// What a rerun starts from: the task of an earlier action, and the options of its run.
#[derive(Clone, Debug)]
pub struct Origin {
    action: ActionId,
    run: RunIdentifier,
    task: TaskSpec,
    run_spec: RunSpec,
    /// The task's inputs. None is required, because the earlier run has values for all of them.
    pub inputs: Vec<Variable>,
    /// The task's documentation.
    pub documentation: String,
}

/// The options of a rerun.
#[derive(Clone, Debug, Default)]
pub struct RerunOptions {
    /// The name of the new run; `None` lets the server choose one.
    pub name: Option<String>,
    /// The texts of changed inputs by name. Other inputs keep their values.
    pub changes: BTreeMap<String, Vec<String>>,
    /// Environment variables, in addition to those of the earlier run.
    pub env: BTreeMap<String, String>,
    /// Labels, in addition to those of the earlier run.
    pub labels: BTreeMap<String, String>,
    /// Whether actions that succeeded keep their results.
    pub recover: Option<RecoverOptions>,
    /// Whether to use the URI of the inputs if the server cannot say whether they are still stored.
    pub allow_missing_outputs: bool,
}

/// The options of a recovery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoverOptions {
    /// The names of actions that run again although they succeeded.
    pub force: Vec<String>,
}

impl<T: Transport> Runs<T> {
    /// Finds the task and the run options of an earlier action.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if the run or the action does not exist, [`ClientError::InvalidArgument`] if the action has no task.
    pub async fn origin(&self, action: &ActionId) -> Result<Origin, ClientError> {
        let org = self.org.as_deref();
        let run_id = action.run.identifier(org).into();
        let request = wire::GetRunDetailsRequest { run_id, ..Default::default() };
        let answer = self.service.get_run_details(request).await.map_err(|error| self.error(error))?;
        let run = answer.into_owned().details.into_option().unwrap_or_default();
        let root = run.action.into_option().unwrap_or_default();
        let mut identifier = root.id.run.as_option().cloned().unwrap_or_default();
        if identifier.name.is_empty() {
            identifier = action.run.identifier(org);
        }
        let details = if action.name == ROOT {
            root
        } else {
            let action_id = action.identifier(org).into();
            let request = wire::GetActionDetailsRequest { action_id, ..Default::default() };
            let answer = self.service.get_action_details(request).await.map_err(|error| self.error(error))?;
            answer.into_owned().details.into_option().unwrap_or_default()
        };
        let Some(ActionSpec::Task(task)) = details.spec else {
            return Err(ClientError::InvalidArgument {
                message: format!("action {} of run {} has no task", action.name, action.run.name),
            });
        };
        let described = TaskDetails::from(Details { spec: (*task).clone().into(), ..Default::default() });
        let mut inputs = described.inputs;
        for input in &mut inputs {
            (input.required, input.default, input.default_literal) = (false, None, None);
        }
        Ok(Origin {
            action: action.clone(),
            run: identifier,
            task: *task,
            run_spec: run.run_spec.into_option().unwrap_or_default(),
            inputs,
            documentation: described.documentation,
        })
    }

    /// Starts a new run of an earlier task with its inputs, in the same project and domain.
    ///
    /// # Errors
    /// [`RerunError`].
    pub async fn rerun(&self, origin: Origin, options: RerunOptions) -> Result<Run, RerunError> {
        let changes = changes(&origin.inputs, &options.changes)?;
        let inputs = if !changes.is_empty() && changes.len() == origin.inputs.len() {
            Given::Inputs(Inputs(WireInputs { literals: changes, ..Default::default() }))
        } else {
            match self.inputs(&origin.action, options.allow_missing_outputs).await? {
                Given::Inputs(mut inputs) => {
                    replace(&mut inputs.0.literals, changes);
                    Given::Inputs(inputs)
                }
                // Unchanged inputs can be merged with changed ones only if they can be read.
                Given::Stored(_) if !changes.is_empty() => {
                    return Err(RerunError::OutputsGone(origin.action));
                }
                stored @ Given::Stored(_) => stored,
            }
        };
        let spec = run_spec(&origin, &options);
        let project_domain = origin.action.run.project_domain;
        let program = Program::Spec(Box::new(Spec(origin.task)));
        Ok(self.submit(project_domain, options.name, program, inputs, spec).await?)
    }

    /// The inputs of an earlier action.
    async fn inputs(&self, action: &ActionId, allow_missing_outputs: bool) -> Result<Given, RerunError> {
        let action_id = action.identifier(self.org.as_deref());
        let request = GetActionDataRequest { action_id: action_id.clone().into(), ..Default::default() };
        let message = match self.data.get_action_data(request).await.map_err(|error| self.error(error)) {
            Ok(answer) => {
                let inputs = answer.into_owned().inputs.into_option().unwrap_or_default();
                return Ok(Given::Inputs(Inputs(inputs)));
            }
            Err(ClientError::NotFound { message }) => message,
            Err(error) => return Err(error.into()),
        };
        // Servers fetch both, and fail if either is gone. Only the message says which.
        if message.contains("inputs") {
            return Err(RerunError::InputsGone(action.clone()));
        }
        if !allow_missing_outputs {
            return Err(RerunError::OutputsGone(action.clone()));
        }
        let request = wire::GetActionDataURIsRequest { action_id: action_id.into(), ..Default::default() };
        let answer = self.service.get_action_data_ur_is(request).await.map_err(|error| self.error(error))?;
        let uri = answer.into_owned().inputs_uri;
        if uri.is_empty() {
            return Err(RerunError::InputsGone(action.clone()));
        }
        let inputs_hash = hash_of_uri(&uri);
        Ok(Given::Stored(OffloadedInputData { uri, inputs_hash, ..Default::default() }))
    }
}

/// The literals of changed inputs, in the task's order.
fn changes(
    inputs: &[Variable],
    given: &BTreeMap<String, Vec<String>>,
) -> Result<Vec<NamedLiteral>, RerunError> {
    if let Some(name) = given.keys().find(|name| !inputs.iter().any(|input| input.name == **name)) {
        return Err(RerunError::Input { name: name.clone(), why: "there is no such input".to_owned() });
    }
    let changed = inputs.iter().filter_map(|input| Some((input, given.get(&input.name)?)));
    let literals = changed.map(|(input, texts)| {
        let value = text::parse_many(texts, &input.literal_type)
            .map_err(|why| RerunError::Input { name: input.name.clone(), why })?;
        Ok(NamedLiteral { name: input.name.clone(), value: value.into(), ..Default::default() })
    });
    literals.collect()
}

/// Replaces literals by their names, and appends those that are new.
fn replace(literals: &mut Vec<NamedLiteral>, changes: Vec<NamedLiteral>) {
    for change in changes {
        match literals.iter_mut().find(|literal| literal.name == change.name) {
            Some(literal) => *literal = change,
            None => literals.push(change),
        }
    }
}

/// The options of the new run: those of the earlier run with the changes.
fn run_spec(origin: &Origin, options: &RerunOptions) -> RunSpec {
    let mut spec = origin.run_spec.clone();
    // A rerun of a rerun is related to the latter only.
    spec.recover = None.into();
    spec.related_to = None.into();
    let kind = match &options.recover {
        Some(RecoverOptions { force }) => {
            if !force.is_empty() {
                spec.recover = Recover { force_rerun_actions: force.clone(), ..Default::default() }.into();
            }
            RelationType::RELATION_TYPE_RECOVER
        }
        None => RelationType::RELATION_TYPE_RERUN,
    };
    let related_to = origin.run.clone().into();
    spec.relation = Relation { related_to, relation_type: kind.into(), ..Default::default() }.into();
    let mut envs = spec.envs.into_option().unwrap_or_default();
    // The task has the variable already. A container that has it twice is refused by some operators.
    envs.values.retain(|pair| pair.key != SYS_PATH || !has_variable(&origin.task, SYS_PATH));
    envs.values.retain(|pair| !options.env.contains_key(&pair.key));
    let added = options.env.iter();
    envs.values.extend(added.map(|(key, value)| KeyValuePair {
        key: key.clone(),
        value: value.clone(),
        ..Default::default()
    }));
    spec.envs = envs.into();
    let mut labels = spec.labels.into_option().unwrap_or_default();
    labels.values.extend(options.labels.iter().map(|(key, value)| (key.clone(), value.clone())));
    spec.labels = labels.into();
    spec
}

/// Whether the container of a task has an environment variable.
fn has_variable(task: &TaskSpec, name: &str) -> bool {
    match &task.task_template.target {
        Some(Target::Container(container)) => container.env.iter().any(|pair| pair.key == name),
        _ => false,
    }
}

/// A hash of inputs that cannot be read, as the published client computes it: FNV-1a (64 bits) of their URI. Servers refuse inputs
/// without a hash.
fn hash_of_uri(uri: &str) -> String {
    let hash = uri.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    URL_SAFE_NO_PAD.encode(hash.to_be_bytes())
}

#[cfg(test)]
mod tests;
