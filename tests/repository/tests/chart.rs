//! The Helm chart in deploy/helm: what it renders, what it refuses, and that its numbers and names fit the server's.
//! `INSTA_UPDATE=always cargo test -p flyte-repository --test chart` updates what it is expected to render.
//!
//! These tests need `helm`, which `./test --setup` builds if Go is there. Without it, they say so and pass.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::PathBuf,
    process::{Command, Output},
};

use flyte_repository::root;
use serde_json::Value;

/// What `helm` renders for, because its own default depends on how it was built.
const KUBERNETES: &str = "1.34";

fn chart() -> PathBuf {
    root().join("deploy/helm/flyte-auth")
}

/// A file of values for the tests, or of what they render.
fn file(name: &str) -> PathBuf {
    root().join("tests/repository/chart").join(name)
}

fn text(output: &[u8]) -> String {
    String::from_utf8(output.to_vec()).unwrap()
}

/// Runs `helm`; `None` if it is not installed.
fn helm(arguments: &[&str]) -> Option<Output> {
    let built = root().join("target/peers/tools/bin/helm");
    let program = if built.exists() { built } else { PathBuf::from("helm") };
    // Nothing of the person who runs the tests.
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        command.env(variable, home.path());
    }
    if let Ok(output) = command.output() {
        return Some(output);
    }
    eprintln!("skipped: helm is not installed, and ./test could not build it because Go is missing");
    None
}

/// Renders the chart with the values of the file and more arguments.
fn render(values: &str, more: &[&str]) -> Option<Output> {
    let (chart, values) = (chart(), file(values));
    let mut arguments = vec!["template", "r", chart.to_str().unwrap(), "--namespace", "flyte-auth"];
    arguments.extend(["--kube-version", KUBERNETES, "--values", values.to_str().unwrap()]);
    arguments.extend(more);
    helm(&arguments)
}

/// The objects that the chart renders with the values of the file.
fn objects(values: &str) -> Option<Vec<Value>> {
    let output = render(values, &[])?;
    assert!(output.status.success(), "{values}: {}", text(&output.stderr));
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text(&output.stdout)).unwrap();
    assert!(objects.len() > 3, "{objects:?}");
    Some(objects)
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

#[test]
fn chart_has_the_version_and_the_image_of_the_server() {
    let chart = fs::read_to_string(chart().join("Chart.yaml")).unwrap();
    let chart: Value = serde_saphyr::from_str(&chart).unwrap();
    for field in ["version", "appVersion"] {
        assert_eq!(chart[field], env!("CARGO_PKG_VERSION"), "{field} of Chart.yaml");
    }
    let values = fs::read_to_string(self::chart().join("values.yaml")).unwrap();
    let values: Value = serde_saphyr::from_str(&values).unwrap();
    // The release's workflow publishes the image under the owner of the repository.
    let repository = chart["home"].as_str().unwrap();
    let owner = repository.strip_prefix("https://github.com/").unwrap().split('/').next().unwrap();
    assert_eq!(values["image"]["repository"], format!("ghcr.io/{owner}/flyte-server"));
}

#[test]
fn values_schema_knows_exactly_the_values() {
    fn compare(values: &Value, schema: &Value, path: &str) {
        let (Some(values), Some(known)) = (values.as_object(), schema["properties"].as_object()) else {
            return;
        };
        let expected: BTreeSet<_> = values.keys().collect();
        let known_names: BTreeSet<_> =
            known.keys().filter(|name| *name != "global" && *name != "claims").collect();
        assert_eq!(expected, known_names, "values.yaml and values.schema.json below {path:?}");
        for (name, value) in values {
            compare(value, &known[name], &format!("{path}.{name}"));
        }
    }
    let values = fs::read_to_string(chart().join("values.yaml")).unwrap();
    let schema = fs::read_to_string(chart().join("values.schema.json")).unwrap();
    compare(&serde_saphyr::from_str(&values).unwrap(), &serde_json::from_str(&schema).unwrap(), "");
}

#[test]
fn chart_lints() {
    for values in ["minimal.yaml", "full.yaml", "plain.yaml"] {
        let (chart, values) = (chart(), file(values));
        let arguments = ["lint", "--strict", chart.to_str().unwrap(), "--values", values.to_str().unwrap()];
        let Some(output) = helm(&arguments) else { return };
        assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    }
}

#[test]
fn chart_renders_what_is_expected_every_time() {
    for name in ["minimal", "full", "plain"] {
        let values = format!("{name}.yaml");
        let Some(first) = render(&values, &[]) else { return };
        assert!(first.status.success(), "{name}: {}", text(&first.stderr));
        let upgrade = render(&values, &["--is-upgrade"]).unwrap();
        assert_eq!(
            text(&first.stdout),
            text(&upgrade.stdout),
            "an upgrade of the same values changes nothing"
        );

        let rendered = text(&first.stdout);
        let expected = file(&format!("{name}.rendered.yaml"));
        if env::var_os("INSTA_UPDATE").is_some_and(|update| update == "always") {
            fs::write(&expected, &rendered).unwrap();
        }
        let before = fs::read_to_string(&expected).unwrap_or_default();
        assert!(
            before == rendered,
            "{} differs from what the chart renders; see the first lines of this test",
            expected.display()
        );
    }
}

#[test]
fn chart_creates_no_secret() {
    for values in ["minimal.yaml", "full.yaml", "plain.yaml"] {
        let Some(objects) = objects(values) else { return };
        assert!(of_kind(&objects, "Secret").is_empty(), "{values}");
    }
}

#[test]
fn selectors_have_only_labels_that_never_change() {
    for values in ["minimal.yaml", "full.yaml", "plain.yaml"] {
        let Some(objects) = objects(values) else { return };
        let deployment = of_kind(&objects, "Deployment")[0];
        let selector = &deployment["spec"]["selector"]["matchLabels"];
        let names: Vec<_> = selector.as_object().unwrap().keys().collect();
        assert_eq!(names, ["app.kubernetes.io/instance", "app.kubernetes.io/name"], "{values}");
        let labels = &deployment["spec"]["template"]["metadata"]["labels"];
        for (name, value) in selector.as_object().unwrap() {
            assert_eq!(&labels[name], value, "{values}");
        }
        for service in of_kind(&objects, "Service") {
            assert_eq!(&service["spec"]["selector"], selector, "{values}");
        }
        for budget in of_kind(&objects, "PodDisruptionBudget") {
            assert_eq!(&budget["spec"]["selector"]["matchLabels"], selector, "{values}");
        }
    }
}

#[test]
fn gateway_has_few_rights_in_the_cluster() {
    let Some(objects) = objects("minimal.yaml") else { return };
    assert!(
        of_kind(&objects, "ClusterRole").is_empty() && of_kind(&objects, "ClusterRoleBinding").is_empty()
    );
    let roles = of_kind(&objects, "Role");
    assert_eq!(roles.len(), 1);
    assert_eq!(roles[0]["metadata"]["namespace"], "flyte", "the namespace of the tasks");
    for rule in roles[0]["rules"].as_array().unwrap() {
        assert_eq!(rule["verbs"], serde_json::json!(["get", "list", "watch"]));
        assert!(["pods", "taskactions"].contains(&rule["resources"][0].as_str().unwrap()), "{rule}");
    }
    // The service account is in the release's namespace, and the Role in another.
    assert_eq!(of_kind(&objects, "RoleBinding")[0]["subjects"][0]["namespace"], "flyte-auth");
}

#[test]
fn only_the_gateway_and_the_backend_reach_the_backend() {
    let Some(objects) = objects("minimal.yaml") else { return };
    let policies = of_kind(&objects, "NetworkPolicy");
    assert_eq!(policies.len(), 1);
    let policy = policies[0];
    assert_eq!(policy["metadata"]["namespace"], "flyte", "the namespace of the backend");
    let ingress = policy["spec"]["ingress"].as_array().unwrap();
    let api: Vec<_> = ingress
        .iter()
        .filter(|rule| rule["ports"].as_array().unwrap().iter().any(|port| port["port"] == 8090))
        .collect();
    assert_eq!(api.len(), 1, "{ingress:?}");
    let from = api[0]["from"].as_array().unwrap();
    assert_eq!(from.len(), 2, "{from:?}");
    let deployment = of_kind(&objects, "Deployment")[0];
    assert_eq!(from[0]["podSelector"], deployment["spec"]["selector"]);
    assert_eq!(from[0]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"], "flyte-auth");
    assert_eq!(from[1]["podSelector"], policy["spec"]["podSelector"], "the backend calls itself");
    // A rule without ports or without peers would open more than it says.
    for rule in ingress {
        assert!(rule["ports"].as_array().is_some_and(|ports| !ports.is_empty()), "{rule}");
    }
}

#[test]
fn pods_get_the_published_sdk_s_variables_and_a_token_for_the_gateway() {
    for (values, endpoint) in
        [("minimal.yaml", "flyte.example.com:443"), ("full.yaml", "r-flyte-auth.flyte-auth.svc:443")]
    {
        let Some(objects) = objects(values) else { return };
        let template = &of_kind(&objects, "PodTemplate")[0]["template"]["spec"];
        let container = &template["containers"][0];
        assert_eq!(container["name"], "default", "the backend merges the container of this name into all");
        let variables: BTreeMap<_, _> = container["env"]
            .as_array()
            .unwrap()
            .iter()
            .map(|variable| (variable["name"].as_str().unwrap(), variable["value"].as_str().unwrap()))
            .collect();
        assert_eq!(variables["_U_EP_OVERRIDE"], endpoint);
        assert_eq!(variables["FLYTE_AUTH_TYPE"], "ExternalCommand");
        let token = variables["FLYTE_AUTH_COMMAND"].strip_prefix("cat ").unwrap();
        let mounts = container["volumeMounts"].as_array().unwrap();
        let source = template["volumes"]
            .as_array()
            .unwrap()
            .iter()
            .find_map(|volume| {
                let source = &volume["projected"]["sources"][0]["serviceAccountToken"];
                let mount = mounts.iter().find(|mount| mount["name"] == volume["name"])?;
                let path = format!("{}/{}", mount["mountPath"].as_str()?, source["path"].as_str()?);
                (path == token).then_some(source)
            })
            .unwrap();
        let settings: &Value = &of_kind(&objects, "ConfigMap")[0]["data"]["flyte-server.toml"];
        let public_url = format!("public-url = \"{}\"", source["audience"].as_str().unwrap());
        assert!(settings.as_str().unwrap().contains(&public_url), "the audience is the issuer");
        if let Some(bundle) = variables.get("SSL_CERT_FILE") {
            let mount = &mounts[1];
            assert_eq!(*bundle, format!("{}/ca.crt", mount["mountPath"].as_str().unwrap()));
        }
    }
}

#[test]
fn unusable_values_are_refused_by_name() {
    let cases: &[(&[&str], &str)] = &[
        (&["publicUrl="], "publicUrl is missing"),
        (&["publicUrl=http://flyte.example.com"], "/publicUrl"),
        (&["publicUrl=https://flyte.example.com/path"], "/publicUrl"),
        (&["publicURL=https://flyte.example.com"], "publicURL"),
        (&["replicas=2"], "replicas must be 1: the server's database is a file on one volume"),
        (&["replicas=0"], "/replicas"),
        (&["tls.source=letsencrypt"], "/tls/source"),
        (&["tls.source=existingSecret"], "tls.existingSecret is missing"),
        (&["tls.existingSecret=tls"], "tls.existingSecret has no effect with tls.source own"),
        (&["tls.source=certManager"], "tls.certManager.issuer is missing"),
        (&["tls.secret=tls"], "/tls"),
        (&["backend.port=http"], "/backend/port"),
        (
            &[
                "backend.podLabels.app\\.kubernetes\\.io/name=null",
                "backend.podLabels.app\\.kubernetes\\.io/component=null",
            ],
            "/backend/podLabels",
        ),
        (&["tasks.podTemplate.tokenExpirationSeconds=60"], "tokenExpirationSeconds"),
        (&["tasks.podTemplate.endpoint=https://gateway"], "/tasks/podTemplate/endpoint"),
        (
            &["tasks.podTemplate.endpoint=host.docker.internal:8443"],
            "sends no token to an address that contains",
        ),
        (&["tasks.podSecurity=strict"], "/tasks/podSecurity"),
        (&["tasks.identity.enabled=false"], "tasks.podTemplate.create needs tasks.identity.enabled"),
        (
            &["tasks.createNamespace=true", "tasks.namespace=flyte-auth"],
            "tasks.createNamespace must be false",
        ),
        (&["projects.alpha.serviceAccounts=x"], "/projects/alpha"),
        (
            &["persistence.enabled=false", "persistence.existingClaim=x"],
            "persistence.existingClaim has no effect",
        ),
        (&["persistence.accessMode=ReadWriteMany"], "/persistence/accessMode"),
        (&["gatewayApi.enabled=true"], "gatewayApi.parentRefs is missing"),
        (&["rbac.create=false"], "serviceAccount.name is missing"),
        (&["podDisruptionBudget.maxUnavailable=0"], "/podDisruptionBudget/maxUnavailable"),
        (&["drainDelay=5"], "/drainDelay"),
        (&["resources.limit.memory=1Gi"], "/resources"),
    ];
    for (set, expected) in cases {
        let arguments: Vec<_> = set.iter().flat_map(|value| ["--set", value]).collect();
        let Some(output) = render("minimal.yaml", &arguments) else { return };
        let said = text(&output.stderr);
        assert!(
            !output.status.success() && said.contains(expected),
            "{set:?}: {said}{}",
            text(&output.stdout)
        );
    }
}
