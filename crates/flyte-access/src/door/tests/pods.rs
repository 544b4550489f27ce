//! The rules for pods: the Pod Security Standards, in every place where a pod is specified.

use flyte_idl::flyteidl2::workflow::CreateRunRequest;
use serde_json::{Value, json};

use super::{
    code::{backend, contributor, pass, pod, refused, run},
    *,
};

/// The Pod Security Standards, level "baseline".
#[test]
fn pods_keep_the_level_baseline() {
    let (baseline, privileged) = (backend(&[]), backend(&[("projects.pod-security", "privileged")]));
    let container = |more: Value| json!({"containers": [{"name": "main", "image": "x"}, more]});
    let context = |more: Value| container(json!({"securityContext": more}));
    for spec in [
        json!({"hostNetwork": true}),
        json!({"hostPID": true}),
        json!({"hostIPC": true}),
        json!({"HOSTNETWORK": true}),
        json!({"ho\u{17f}tNetwork": true}),
        json!({("hostNetwork".replace('k', "\u{212a}")): true}),
        json!({"hostNetwork": "true"}),
        json!({"hostNetwork": false, "hostnetwork": true}),
        json!({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}),
        json!({"volumes": [{"name": "v", "hostPath": {}}]}),
        context(json!({"privileged": true})),
        json!({"initContainers": [{"securityContext": {"privileged": true}}]}),
        json!({"ephemeralContainers": [{"securityContext": {"privileged": true}}]}),
        context(json!({"capabilities": {"add": ["NET_BIND_SERVICE", "SYS_ADMIN"]}})),
        context(json!({"capabilities": {"add": ["ALL"]}})),
        context(json!({"capabilities": {"add": ["chown"]}})),
        container(json!({"ports": [{"containerPort": 80, "hostPort": 80}]})),
        context(json!({"procMount": "Unmasked"})),
        context(json!({"seccompProfile": {"type": "Unconfined"}})),
        json!({"securityContext": {"seccompProfile": {"type": "Unconfined"}}}),
        context(json!({"appArmorProfile": {"type": "Unconfined"}})),
        context(json!({"seLinuxOptions": {"type": "spc_t"}})),
        context(json!({"seLinuxOptions": {"user": "root"}})),
        json!({"securityContext": {"seLinuxOptions": {"role": "x"}}}),
        json!({"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}}),
        json!({"securityContext": {"windowsOptions": {"hostProcess": true}}}),
        context(json!({"windowsOptions": {"hostProcess": true}})),
        container(json!({"livenessProbe": {"httpGet": {"host": "10.0.0.1", "port": 80}}})),
        container(json!({"lifecycle": {"preStop": {"tcpSocket": {"host": "10.0.0.1"}}}})),
    ] {
        let (rule, message) = refused(run(&contributor("p"), &pod(&spec), &baseline));
        assert!(matches!(rule, "projects.pod-security" | "none"), "{message}");
        if rule != "none" {
            assert_eq!(run(&contributor("p"), &pod(&spec), &privileged), Ok(()), "{spec}");
        }
    }
    for spec in [
        json!({}),
        json!({"hostNetwork": false, "hostPID": null, "hostIPC": false}),
        json!({"volumes": [{"name": "v", "emptyDir": {}}, {"name": "w", "hostPath": null}]}),
        context(json!({"privileged": false, "procMount": "Default"})),
        context(json!({"capabilities": {"add": ["NET_BIND_SERVICE", "CHOWN"], "drop": ["ALL"]}})),
        container(json!({"ports": [{"containerPort": 80}, {"containerPort": 81, "hostPort": 0}]})),
        context(
            json!({"seccompProfile": {"type": "RuntimeDefault"}, "appArmorProfile": {"type": "Localhost"}}),
        ),
        context(json!({"seLinuxOptions": {"type": "container_t", "level": "s0"}})),
        json!({"securityContext": {"sysctls": [{"name": "net.ipv4.tcp_syncookies", "value": "1"}]}}),
        container(json!({"livenessProbe": {"httpGet": {"path": "/", "port": 80}}})),
        json!({"nodeSelector": {"app": "x", "App": "y"}, "automountServiceAccountToken": false}),
    ] {
        assert_eq!(run(&contributor("p"), &pod(&spec), &baseline), Ok(()), "{spec}");
    }
    for (key, value, passes) in [
        ("container.apparmor.security.beta.kubernetes.io/main", "unconfined", false),
        ("container.apparmor.security.beta.kubernetes.io/main", "runtime/default", true),
        ("seccomp.security.alpha.kubernetes.io/pod", "unconfined", false),
        ("example.org/note", "unconfined", true),
        ("flyte.secrets/s0", "MFZWIZLTMVZGS3DF", false),
    ] {
        for template in [
            json!({"k8sPod": {"metadata": {"annotations": {key: value}}}}),
            json!({"metadata": {"metadata": {"annotations": {key: value}}}}),
        ] {
            assert_eq!(run(&contributor("p"), &template, &baseline).is_ok(), passes, "{template}");
        }
        let request =
            json!({"runId": {"project": "p"}, "runSpec": {"annotations": {"values": {key: value}}}});
        let passed = pass::<CreateRunRequest>(&contributor("p"), CREATE, &request, &baseline);
        assert_eq!(passed.is_ok(), passes, "{request}");
    }
}

/// The Pod Security Standards, level "restricted".
#[test]
fn pods_keep_the_level_restricted() {
    let rules = backend(&[("projects.pod-security", "baseline,p=restricted")]);
    let hardened = || {
        json!({
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}],
        })
    };
    assert_eq!(run(&contributor("p"), &pod(&hardened()), &rules), Ok(()));
    for (pointer, value) in [
        ("/securityContext/runAsNonRoot", Value::Null),
        ("/securityContext/runAsNonRoot", json!(false)),
        ("/securityContext/seccompProfile", Value::Null),
        ("/containers/0/securityContext/allowPrivilegeEscalation", json!(true)),
        ("/containers/0/securityContext/allowPrivilegeEscalation", Value::Null),
        ("/containers/0/securityContext/capabilities/drop", json!(["CHOWN"])),
        ("/containers/0/securityContext/capabilities", json!({"drop": ["ALL"], "add": ["CHOWN"]})),
        ("/containers/0/securityContext/capabilities", json!({"drop": ["ALL"], "add": ["NET_ADMIN"]})),
        ("/containers/0/securityContext", Value::Null),
        ("/containers", json!([{}])),
        (
            "/securityContext",
            json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}, "runAsUser": 0}),
        ),
    ] {
        let mut spec = hardened();
        *spec.pointer_mut(pointer).unwrap() = value.clone();
        let (rule, message) = refused(run(&contributor("p"), &pod(&spec), &rules));
        assert_eq!(rule, "projects.pod-security", "{message}");
        assert!(message.ends_with("(allowed: restricted)"), "{message}");
    }
    let mut volumes = hardened();
    volumes["volumes"] = json!([{"name": "v", "nfs": {"server": "x"}}]);
    refused(run(&contributor("p"), &pod(&volumes), &rules));
    let mut twice = hardened();
    twice["securitycontext"] = json!({});
    refused(run(&contributor("p"), &pod(&twice), &rules));
    // Other projects have the level of all.
    let other =
        json!({"runId": {"project": "q"}, "taskSpec": {"taskTemplate": pod(&json!({"containers": [{}]}))}});
    assert_eq!(pass::<CreateRunRequest>(&contributor("q"), CREATE, &other, &rules), Ok(()));
}

/// Plugins make pods from what is in `custom`.
#[test]
fn pods_of_plugins_keep_the_rules() {
    let rules = backend(&[]);
    let spec = json!({"podSpec": {"hostNetwork": true}});
    for (kind, custom) in [
        ("spark", json!({"driverPod": spec})),
        ("spark", json!({"executorPod": {"podSpec": {"serviceAccountName": "flyte"}}})),
        ("spark", json!({"executor_pod": {"pod_spec": {"volumes": [{"hostPath": {"path": "/"}}]}}})),
        ("spark", json!({"sparkConf": {"spark.kubernetes.authenticate.driver.serviceAccountName": "flyte"}})),
        ("spark", json!({"sparkConf": {"spark.kubernetes.driver.volumes.hostPath.x.mount.path": "/"}})),
        ("spark", json!({"sparkConf": {"spark.kubernetes.driver.secrets.flyte": "/s"}})),
        ("spark", json!({"sparkConf": {"spark.kubernetes.driver.podTemplateFile": "/t"}})),
        ("ray", json!({"rayCluster": {"headGroupSpec": {"k8sPod": spec}}})),
        ("ray", json!({"rayCluster": {"workerGroupSpec": [{}, {"k8sPod": spec}]}})),
        ("sidecar", json!({"podSpec": {"hostPID": true}})),
        ("sidecar", json!({"hostPID": true, "containers": []})),
        ("sidecar", json!({"podSpec": {}, "annotations": {"flyte.secrets/s0": "x"}})),
        ("anything", json!({"deep": [[{"er": {"privileged": true}}]]})),
    ] {
        let template = json!({"type": if kind == "anything" { "python" } else { kind }, "custom": custom});
        refused(run(&contributor("p"), &template, &rules));
    }
    for (kind, custom) in [
        (
            "spark",
            json!({"sparkConf": {"spark.driver.memory": "1g", "spark.kubernetes.driver.limit.cores": "1"}}),
        ),
        (
            "ray",
            json!({"rayCluster": {"headGroupSpec": {"k8sPod": {"podSpec": {"containers": [{"name": "x"}]}}}}}),
        ),
        ("pytorch", json!({"workerReplicas": {"common": {"replicas": 2, "image": "x"}}})),
        ("clustered-task", json!({"replicas": 2, "nprocPerNode": 8})),
    ] {
        assert_eq!(
            run(&contributor("p"), &json!({"type": kind, "custom": custom}), &rules),
            Ok(()),
            "{custom}"
        );
    }
}
