//! Values that can differ between projects.

use super::value::{Form, Value};

/// A list of values, each for all projects or, written as `PROJECT=VALUE`, for one. If a project has values of its own, the
/// others are not for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PerProject(Vec<(Option<String>, String)>);

impl PerProject {
    /// Returns the values for a project. They are the values for all projects, if it has none of its own.
    #[must_use]
    pub fn of(&self, project: &str) -> Vec<&str> {
        let values = |wanted: Option<&str>| -> Vec<&str> {
            let those = self.0.iter().filter(|(project, _)| project.as_deref() == wanted);
            those.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty()).collect()
        };
        if self.projects().any(|known| known == project) { values(Some(project)) } else { values(None) }
    }

    /// Returns the projects that have values of their own. Some may come several times.
    pub fn projects(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|(project, _)| project.as_deref())
    }

    /// Returns all values.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(_, value)| value.as_str())
    }
}

impl Value for PerProject {
    const FORM: Form = Form::List;
    const DESCRIPTION: &'static str = "list of `VALUE` or `PROJECT=VALUE`";

    fn parse(text: &str) -> Result<Self, String> {
        let is_project = |text: &str| {
            !text.is_empty()
                && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        };
        let items = <Vec<String> as Value>::parse(text)?.into_iter().map(|item| match item.split_once('=') {
            Some((project, value)) if is_project(project) => {
                Ok((Some(project.to_owned()), value.trim().to_owned()))
            }
            Some(("", _)) => Err(format!("the project is missing in {item:?}; PROJECT=VALUE is expected")),
            _ => Ok((None, item)),
        });
        items.collect::<Result<_, _>>().map(Self)
    }

    fn show(&self) -> String {
        let items = self.0.iter().map(|(project, value)| match project {
            Some(project) => format!("{project}={value}"),
            None => value.clone(),
        });
        items.collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_with_values_of_its_own_has_no_others() {
        let values = PerProject::parse("default, ml=gpu,ml=default,none=,https://x?y=z").unwrap();
        assert_eq!(values.of("p"), ["default", "https://x?y=z"]);
        assert_eq!(values.of("ml"), ["gpu", "default"]);
        assert_eq!(values.of("none"), [""; 0]);
        assert_eq!(values.show(), "default,ml=gpu,ml=default,none=,https://x?y=z");
        assert_eq!(PerProject::parse(&values.show()), Ok(values));
        assert!(PerProject::parse("=x").is_err());
    }
}
