//! `flyte get settings`

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use flyte_client::settings::{Scope, Settings, UNSET, Value};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::global::Global;
use crate::output::{self, Format};

pub(crate) const HELP: &str = "\
Without --project and --domain, these are the settings of the organization, regardless of the configuration. A domain inherits \
from the organization, and a project from its domain.

The file of --to-file is the one that `flyte edit settings --from-file` of the published command reads.";

/// The settings, with an example of a value and what they are for. The names are those of `flyteidl2.settings.Settings`.
const SETTINGS: [(&str, &str, &str); 21] = [
    ("run.default_queue", "''", "Queue of runs that name none"),
    ("run.max_action_concurrency", "0", "Most actions of a run that run at the same time; 0 for no limit"),
    ("run.run_base_dir", "''", "Storage prefix of inputs and outputs, for example s3://bucket/prefix"),
    ("security.service_account", "''", "Kubernetes service account of tasks"),
    (
        "storage.raw_data_path",
        "''",
        "Storage prefix of the tasks' large data, for example s3://bucket/prefix",
    ),
    ("task_resource.min.cpu", "''", "Processors, for example 500m or 2"),
    ("task_resource.min.gpu", "''", "GPUs, for example 1"),
    ("task_resource.min.memory", "''", "Memory, for example 256Mi or 4Gi"),
    ("task_resource.min.storage", "''", "Temporary storage, for example 10Gi"),
    ("task_resource.max.cpu", "''", "Processors, for example 500m or 2"),
    ("task_resource.max.gpu", "''", "GPUs, for example 1"),
    ("task_resource.max.memory", "''", "Memory, for example 256Mi or 4Gi"),
    ("task_resource.max.storage", "''", "Temporary storage, for example 10Gi"),
    ("task_resource.mirror_limits_request", "false", "Whether the limits of resources are the requests"),
    ("task_resource.default_accelerator", "''", "Accelerator of tasks that want a GPU and name none"),
    ("labels", "{}", "Kubernetes labels of tasks; those of narrower scopes are added"),
    ("annotations", "{}", "Kubernetes annotations of tasks; those of narrower scopes are added"),
    ("environment_variables", "{}", "Environment variables of tasks; those of narrower scopes are added"),
    ("app.disallow_anonymous", "false", "Whether apps need a sign-in"),
    ("app.app_dns_strategy", "''", "Host names of apps: shared or dataplane_specific"),
    ("pod_template_name", "''", "Kubernetes PodTemplate that the pods of tasks are made from"),
];

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Write the settings to this file, as YAML that can be edited, instead of printing them
    #[arg(long, value_name = "FILE")]
    to_file: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let scope = scope(&context.global)?;
    let settings = context.project_domain_client()?.settings();
    let found = context.run("Fetching the settings", async {
        let found = settings.get(scope.clone()).await;
        found.map_err(|error| {
            Failure::resource(format!("cannot show the settings of {scope}"), &error, "project")
        })
    })?;
    match &arguments.to_file {
        Some(file) => {
            write(file, &yaml(&found))
                .map_err(|error| Failure::new(format!("cannot write {}", file.display())).why(error))?;
            output::tell(&format!("Wrote the settings of {scope} to {}.", file.display()));
        }
        None => output::print(context.global.format, &found, yaml)?,
    }
    if context.global.format == Format::Table && found.levels.iter().all(|level| level.settings.is_empty()) {
        output::tell(&format!("No settings are set for {scope} or what it inherits from."));
    }
    Ok(Exit::Success)
}

/// The scope on the command line. The configured project and domain are not used, as in the published command.
fn scope(global: &Global) -> Result<Scope, Failure> {
    match (global.domain.clone(), global.project.clone()) {
        (None, None) => Ok(Scope::Org),
        (Some(domain), None) => Ok(Scope::Domain { domain }),
        (Some(domain), Some(project)) => Ok(Scope::Project { domain, project }),
        (None, Some(project)) => Err(Failure::new("the domain is missing")
            .why("a project's settings are those of one of its domains")
            .next(format!("Add the domain: flyte get settings --project {project} --domain development"))
            .exit(Exit::Usage)),
    }
}

/// Writes a file whole, or not at all.
fn write(file: &Path, text: &str) -> std::io::Result<()> {
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary = tempfile::NamedTempFile::new_in(directory)?;
    std::io::Write::write_all(&mut temporary, text.as_bytes())?;
    temporary.persist(file).map(drop).map_err(|error| error.error)
}

/// A value and the scope that it comes from.
type Found<'a> = (&'a Value, &'a Scope);

/// The settings in the published command's notation: `###` begins a section, `##` a comment, and `#` a setting that is not set here.
fn yaml(settings: &Settings) -> String {
    let mut own: BTreeMap<&str, &Value> = BTreeMap::new();
    let mut inherited: BTreeMap<&str, Found<'_>> = BTreeMap::new();
    // The entries of maps add up, so each has its own origin.
    let mut entries: BTreeMap<&str, BTreeMap<&str, (&str, &Scope)>> = BTreeMap::new();
    for level in &settings.levels {
        for (name, value) in &level.settings {
            if level.scope == settings.scope {
                own.insert(name, value);
                continue;
            }
            inherited.insert(name, (value, &level.scope));
            match value {
                Value::Map(map) => {
                    let known = entries.entry(name).or_default();
                    known.extend(map.iter().map(|(key, text)| (key.as_str(), (text.as_str(), &level.scope))));
                }
                _ => drop(entries.remove(name)),
            }
        }
    }
    // An empty map adds nothing, so what is shown is what is inherited.
    own.retain(|_, value| !matches!(value, Value::Map(map) if map.is_empty()));
    let mut text = format!(
        "### Settings for scope: {}\n\
         ## Remove or comment out a line to inherit the setting from the wider scope.\n\
         ## A value of {UNSET} clears a setting: it is not inherited either.\n",
        settings.scope
    );
    let mut sections = [
        ("Local overrides", String::new()),
        ("Inherited settings (uncomment to override at this scope)", String::new()),
        ("Available settings (uncomment and edit to set at this scope)", String::new()),
    ];
    for (name, example, about) in SETTINGS {
        let (section, lines) = match (own.get(name), inherited.get(name)) {
            (Some(value), outer) => (0, local(name, value, outer.copied(), entries.get(name))),
            (None, Some((value, origin))) => {
                let shown = entries.get(name).filter(|_| matches!(value, Value::Map(_)));
                (1, outer(name, value, origin, shown))
            }
            (None, None) => (2, format!("# {name}: {example}\n")),
        };
        // Writing to a text does not fail.
        let _ = write!(sections[section].1, "## {about}\n{lines}");
    }
    for (title, lines) in sections.iter().filter(|(_, lines)| !lines.is_empty()) {
        let _ = write!(text, "\n### {title}\n{lines}");
    }
    text
}

/// A setting that this scope has.
fn local(
    name: &str,
    value: &Value,
    outer: Option<Found<'_>>,
    entries: Option<&BTreeMap<&str, (&str, &Scope)>>,
) -> String {
    let Value::Map(map) = value else {
        let replaced = outer.map(|(value, origin)| {
            format!("# overridden value: {}  ## defined at {origin}\n", scalar(value))
        });
        return format!("{name}: {}\n{}", scalar(value), replaced.unwrap_or_default());
    };
    let mut text = format!("{name}:\n");
    for (key, entry) in map {
        let _ = writeln!(text, "  {}: {}", plain(key), plain(entry));
    }
    for (key, (entry, origin)) in entries.into_iter().flatten().filter(|(key, _)| !map.contains_key(**key)) {
        let _ = writeln!(text, "  # {}: {}  ## defined at {origin}", plain(key), plain(entry));
    }
    text
}

/// A setting that this scope inherits.
fn outer(
    name: &str,
    value: &Value,
    origin: &Scope,
    entries: Option<&BTreeMap<&str, (&str, &Scope)>>,
) -> String {
    let Some(entries) = entries else {
        return format!("# {name}: {}  ## inherited from {origin}\n", scalar(value));
    };
    let mut text = format!("# {name}:  ## inherited from {origin}\n");
    for (key, (entry, _)) in entries {
        let _ = writeln!(text, "#   {}: {}", plain(key), plain(entry));
    }
    text
}

fn scalar(value: &Value) -> String {
    match value {
        Value::Unset => UNSET.to_owned(),
        Value::Text(text) => plain(text),
        Value::Integer(number) => number.to_string(),
        Value::Boolean(truth) => truth.to_string(),
        Value::Map(map) => {
            let entries = map.iter().map(|(key, text)| format!("{}: {}", plain(key), plain(text)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

/// A text in YAML, with quotation marks if it would mean something else without them.
fn plain(text: &str) -> String {
    let safe = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-/+@".contains(c))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&text.to_ascii_lowercase().as_str());
    // A text in JSON is one in YAML too.
    if safe { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use flyte_client::settings::Level;

    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    fn map(entries: &[(&str, &str)]) -> Value {
        Value::Map(entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn settings_are_yaml_that_can_be_edited() {
        let domain = Scope::Domain { domain: "production".into() };
        let level = |scope: &Scope, settings: &[(&'static str, Value)]| Level {
            scope: scope.clone(),
            version: 1,
            settings: settings.iter().cloned().collect(),
        };
        let settings = Settings {
            scope: domain.clone(),
            levels: vec![
                level(
                    &Scope::Org,
                    &[
                        ("run.default_queue", text("cpu")),
                        ("labels", map(&[("team", "ml"), ("cost", "7")])),
                        ("task_resource.min.cpu", text("500m")),
                        ("annotations", map(&[("a", "b")])),
                    ],
                ),
                level(
                    &domain,
                    &[
                        ("run.default_queue", Value::Unset),
                        ("labels", map(&[("team", "x: y")])),
                        ("app.disallow_anonymous", Value::Boolean(true)),
                    ],
                ),
            ],
        };
        let text = yaml(&settings);
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with("## ")).collect();
        assert_eq!(
            lines[..20],
            [
                "### Settings for scope: DOMAIN(production)",
                "",
                "### Local overrides",
                "run.default_queue: ~unset",
                "# overridden value: cpu  ## defined at ORG",
                "labels:",
                "  team: \"x: y\"",
                "  # cost: \"7\"  ## defined at ORG",
                "app.disallow_anonymous: true",
                "",
                "### Inherited settings (uncomment to override at this scope)",
                "# task_resource.min.cpu: \"500m\"  ## inherited from ORG",
                "# annotations:  ## inherited from ORG",
                "#   a: b",
                "",
                "### Available settings (uncomment and edit to set at this scope)",
                "# run.max_action_concurrency: 0",
                "# run.run_base_dir: ''",
                "# security.service_account: ''",
                "# storage.raw_data_path: ''",
            ]
        );
    }

    #[test]
    fn texts_that_mean_something_else_are_quoted() {
        for (text, expected) in [
            ("gpu", "gpu"),
            ("s3://b", "\"s3://b\""),
            ("500m", "\"500m\""),
            ("yes", "\"yes\""),
            ("", "\"\""),
            ("a \"b\"", r#""a \"b\"""#),
            ("~unset", "\"~unset\""),
        ] {
            assert_eq!(plain(text), expected);
        }
    }
}
