//! The settings that the Helm chart writes are settings of this server.

use std::{fs, path::PathBuf, process::Command};

use flyte_e2e::{binary, repository, target};
use tempfile::TempDir;

/// The settings file that the chart renders with a file of values; `None` if `helm` is not installed.
fn settings(values: &str) -> Option<String> {
    let built = target().join("peers/tools/bin/helm");
    let program = if built.exists() { built } else { PathBuf::from("helm") };
    let home = TempDir::new().unwrap();
    let mut command = Command::new(program);
    command.args([
        "template",
        "r",
        "deploy/helm/flyte-auth",
        "--namespace",
        "flyte-auth",
        "--kube-version",
        "1.34",
    ]);
    command.args(["--show-only", "templates/configmap.yaml", "--values"]);
    command.arg(repository().join("tests/repository/chart").join(values)).current_dir(repository());
    for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        command.env(variable, home.path());
    }
    let Ok(output) = command.output() else {
        eprintln!("skipped: helm is not installed, and ./test could not build it because Go is missing");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rendered = String::from_utf8(output.stdout).unwrap();
    let (_, file) = rendered.split_once("flyte-server.toml: |\n").unwrap();
    Some(file.lines().map(|line| format!("{}\n", line.strip_prefix("    ").unwrap_or(line))).collect())
}

#[test]
fn settings_of_the_chart_are_settings_of_the_server() {
    for (values, expected) in [
        ("minimal.yaml", "http://flyte-binary-http.flyte:8090"),
        ("full.yaml", "http://flyte-http.backend:8091"),
        ("plain.yaml", "http://flyte-binary-http.flyte:8090"),
    ] {
        let Some(settings) = settings(values) else { return };
        let directory = TempDir::new().unwrap();
        let file = directory.path().join("flyte-server.toml");
        fs::write(&file, &settings).unwrap();
        // The volumes of the pod are not here.
        let output = Command::new(binary("flyte-server"))
            .arg("--config")
            .arg(&file)
            .arg("check-config")
            .env("FLYTE_SERVER_DATA_DIR", directory.path().join("data"))
            .env("FLYTE_SERVER_LISTEN", "127.0.0.1:0")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert_ne!(
            output.status.code(),
            Some(2),
            "{values}: the server refuses a setting: {said}\n{settings}"
        );
        for line in settings.lines().filter(|line| line.starts_with("public-url") || line.starts_with("url"))
        {
            let value = line.split('"').nth(1).unwrap();
            assert!(said.contains(value), "{values}: {value} is not in effect: {said}");
        }
        assert!(settings.contains(expected), "{values}: {settings}");
    }
}
