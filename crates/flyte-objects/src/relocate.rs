//! Rewrites messages of earlier versions that name objects by file paths, so that they use native URLs. Those stay
//! valid if the data directory is moved.

use flyte_idl::flyteidl2::{
    app::{Spec as AppSpec, spec::AppPayload},
    common::OffloadedInputData,
    core::{Container, Literal, literal, parameter, scalar, task_template::Target},
    task::{Inputs, NamedLiteral, Outputs, RunSpec, TaskSpec},
    trigger::{TriggerSpec, trigger_spec},
};

use super::{SCHEME, below_one, key::ObjectKey, url::PATH_SCHEMES};

/// The directories of objects whose paths are replaced, and the number of replacements.
#[derive(Debug)]
pub struct Relocation {
    directories: Vec<String>,
    changes: usize,
}

impl Relocation {
    /// Creates a relocation that replaces paths below these directories.
    #[must_use]
    pub fn new(directories: Vec<String>) -> Self {
        Self { directories, changes: 0 }
    }

    /// Returns the number of replacements so far.
    #[must_use]
    pub fn changes(&self) -> usize {
        self.changes
    }

    /// Returns the native URL of the object with this file path, or `None` if the text is not a path below one of the
    /// directories.
    #[must_use]
    pub fn native_url(&self, text: &str) -> Option<String> {
        let path = PATH_SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme)).unwrap_or(text);
        let rest = below_one(&self.directories, path)?;
        ObjectKey::parse(rest.trim_end_matches('/')).ok()?;
        Some(format!("{SCHEME}{rest}"))
    }

    /// Rewrites a URL, or a path without a scheme.
    pub fn url(&mut self, url: &mut String) {
        if let Some(native) = self.native_url(url) {
            *url = native;
            self.changes += 1;
        }
    }

    /// Rewrites an argument of a command: a URL, or a flag with a URL.
    fn argument(&mut self, argument: &mut String) {
        match argument.split_once('=') {
            Some((flag, value)) if flag.starts_with('-') => {
                if let Some(native) = self.native_url(value) {
                    *argument = format!("{flag}={native}");
                    self.changes += 1;
                }
            }
            _ => self.url(argument),
        }
    }

    fn container(&mut self, container: &mut Container) {
        for argument in container.command.iter_mut().chain(&mut container.args) {
            self.argument(argument);
        }
        for variable in &mut container.env {
            self.url(&mut variable.value);
        }
    }

    /// Rewrites a task's specification: the defaults of its inputs, and the arguments of its container.
    pub fn task_spec(&mut self, spec: &mut TaskSpec) {
        if let Some(template) = spec.task_template.as_option_mut() {
            if let Some(metadata) = template.metadata.as_option_mut() {
                self.url(&mut metadata.code_bundle_uri);
            }
            if let Some(Target::Container(container)) = &mut template.target {
                self.container(container);
            }
        }
        for input in &mut spec.default_inputs {
            if let Some(parameter) = input.parameter.as_option_mut()
                && let Some(parameter::Behavior::Default(value)) = &mut parameter.behavior
            {
                self.literal(value);
            }
        }
    }

    /// Rewrites a run's specification.
    pub fn run_spec(&mut self, spec: &mut RunSpec) {
        self.url(&mut spec.run_base_dir);
        if let Some(storage) = spec.raw_data_storage.as_option_mut() {
            self.url(&mut storage.raw_data_prefix);
        }
        for variable in spec.envs.as_option_mut().into_iter().flat_map(|envs| &mut envs.values) {
            self.url(&mut variable.value);
        }
    }

    /// Rewrites a trigger's specification.
    pub fn trigger_spec(&mut self, spec: &mut TriggerSpec) {
        match &mut spec.input_wrapper {
            Some(trigger_spec::InputWrapper::Inputs(inputs)) => self.inputs(inputs),
            Some(trigger_spec::InputWrapper::OffloadedInputData(data)) => {
                let OffloadedInputData { uri, .. } = &mut **data;
                self.url(uri);
            }
            None => {}
        }
        if let Some(run) = spec.run_spec.as_option_mut() {
            self.run_spec(run);
        }
    }

    /// Rewrites an app's specification.
    pub fn app_spec(&mut self, spec: &mut AppSpec) {
        if let Some(AppPayload::Container(container)) = &mut spec.app_payload {
            self.container(container);
        }
    }

    /// Rewrites each literal of the inputs that names an object.
    pub fn inputs(&mut self, inputs: &mut Inputs) {
        self.named(&mut inputs.literals);
    }

    /// Rewrites each literal of the outputs that names an object.
    pub fn outputs(&mut self, outputs: &mut Outputs) {
        self.named(&mut outputs.literals);
    }

    fn named(&mut self, literals: &mut [NamedLiteral]) {
        for literal in literals.iter_mut().filter_map(|literal| literal.value.as_option_mut()) {
            self.literal(literal);
        }
    }

    fn literal(&mut self, literal: &mut Literal) {
        match &mut literal.value {
            Some(literal::Value::Scalar(scalar)) => match &mut scalar.value {
                Some(scalar::Value::Blob(blob)) => self.url(&mut blob.uri),
                Some(scalar::Value::Schema(schema)) => self.url(&mut schema.uri),
                Some(scalar::Value::StructuredDataset(dataset)) => self.url(&mut dataset.uri),
                Some(scalar::Value::Union(union)) => {
                    if let Some(value) = union.value.as_option_mut() {
                        self.literal(value);
                    }
                }
                _ => {}
            },
            Some(literal::Value::Collection(collection)) => {
                for literal in &mut collection.literals {
                    self.literal(literal);
                }
            }
            Some(literal::Value::Map(map)) => {
                for literal in map.literals.values_mut() {
                    self.literal(literal);
                }
            }
            Some(literal::Value::OffloadedMetadata(data)) => self.url(&mut data.uri),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_objects_become_native_urls_and_nothing_else_changes() {
        let mut relocation = Relocation::new(vec!["/data/objects".to_owned()]);
        for (text, expected) in [
            ("/data/objects/p/d/a b.tgz", "objects://p/d/a b.tgz"),
            ("file:///data/objects/p/d/x/", "objects://p/d/x/"),
            ("objects:///data/objects/p/d/x", "objects://p/d/x"),
            ("objects://p/d/x", "objects://p/d/x"),
            ("/data/objects-2/p/d/x", "/data/objects-2/p/d/x"),
            ("/data/objects/p/d/../x", "/data/objects/p/d/../x"),
            ("/data/objects", "/data/objects"),
            ("s3://data/objects/p/d/x", "s3://data/objects/p/d/x"),
            ("--tgz=/data/objects/p/d/x", "--tgz=objects://p/d/x"),
            ("echo x=/data/objects/p/d/x", "echo x=/data/objects/p/d/x"),
        ] {
            let mut given = text.to_owned();
            relocation.argument(&mut given);
            assert_eq!(given, expected);
        }
        assert_eq!(relocation.changes(), 4);
    }
}
