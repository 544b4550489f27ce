//! Pods: whose they are, and when they end.

use serde_json::{Value, json};

use super::lab::{ACTIONS, Lab, PODS, action, eventually, id, pod};

const ENDED: &str = "the pod has ended";

/// A change of the pod `q-a0-1`.
type Change = fn(&mut Value);

#[tokio::test]
async fn a_pod_has_no_rights_unless_its_labels_and_its_owner_agree() {
    let lab = Lab::new().await;
    lab.accepted(&lab.token("r-a0-1", "u1")).await;
    let differ = "the labels of the pod differ from its task action";
    let no_owner = "the pod belongs to no task action";
    let unknown = "there is no running pod of a task with this name and UID";
    lab.stub.put(ACTIONS, action("q"));
    let changes: [(Change, &str); 12] = [
        (|pod| drop(pod["metadata"].as_object_mut().unwrap().remove("labels")), unknown),
        (|pod| pod["metadata"]["labels"]["flyte.org/run"] = json!("r"), differ),
        (|pod| pod["metadata"]["labels"]["flyte.org/action"] = json!("a1"), differ),
        (|pod| pod["metadata"]["labels"]["flyte.org/project"] = json!("other"), differ),
        (|pod| pod["metadata"]["labels"]["flyte.org/domain"] = json!("production"), differ),
        (|pod| drop(pod["metadata"]["labels"].as_object_mut().unwrap().remove("flyte.org/domain")), differ),
        (|pod| drop(pod["metadata"].as_object_mut().unwrap().remove("ownerReferences")), no_owner),
        (|pod| pod["metadata"]["ownerReferences"][0]["kind"] = json!("Job"), no_owner),
        (|pod| pod["metadata"]["ownerReferences"][0]["apiVersion"] = json!("example.org/v1"), no_owner),
        (|pod| pod["metadata"]["ownerReferences"][0]["uid"] = json!("uid-of-another"), no_owner),
        (
            |pod| pod["metadata"]["ownerReferences"][0]["name"] = json!("missing-a0"),
            "the task action of the pod does not exist",
        ),
        (
            |pod| {
                let owners = pod["metadata"]["ownerReferences"].as_array_mut().unwrap();
                owners.push(json!({"apiVersion": "flyte.org/v1", "kind": "TaskAction", "name": "r-a0", "uid": "uid-of-r-a0"}));
            },
            no_owner,
        ),
    ];
    for (n, (change, why)) in changes.into_iter().enumerate() {
        let (name, uid) = (format!("q-a0-{n}"), format!("uq{n}"));
        let mut changed = pod(&name, &uid, "q");
        change(&mut changed);
        lab.stub.put(PODS, changed);
        lab.refused(&lab.token(&name, &uid), why).await;
    }
    lab.stub.put(PODS, pod("q-a0-100", "uq100", "q"));
    lab.accepted(&lab.token("q-a0-100", "uq100")).await;
}

#[tokio::test]
async fn a_task_action_without_a_project_gives_no_rights() {
    let lab = Lab::new().await;
    for (run, field) in [("q1", "runName"), ("q2", "actionName"), ("q3", "project"), ("q4", "domain")] {
        for (n, value) in [json!(""), json!("a/b")].into_iter().enumerate() {
            let run = format!("{run}-{n}");
            let mut task_action = action(&run);
            task_action["spec"][field] = value;
            lab.stub.put(ACTIONS, task_action);
            lab.stub.put(PODS, pod(&run, &format!("u-{run}"), &run));
            let why = "the task action of the pod names no run, action, project or domain";
            lab.refused(&lab.token(&run, &format!("u-{run}")), why).await;
        }
    }
}

#[tokio::test]
async fn rights_end_with_the_pod() {
    let lab = Lab::new().await;
    let ends: [(&str, Change); 4] = [
        ("succeeded", |pod| pod["status"]["phase"] = json!("Succeeded")),
        ("failed", |pod| pod["status"]["phase"] = json!("Failed")),
        ("lost", |pod| pod["status"]["phase"] = json!("Unknown")),
        ("unlabelled", |pod| drop(pod["metadata"].as_object_mut().unwrap().remove("labels"))),
    ];
    for (name, change) in ends {
        let uid = format!("u-{name}");
        let mut running = pod(name, &uid, "r");
        running["status"]["phase"] = json!("Pending");
        lab.stub.put(PODS, running.clone());
        running["status"]["phase"] = json!("Running");
        lab.stub.put(PODS, running.clone());
        let token = lab.token(name, &uid);
        lab.accepted(&token).await;
        change(&mut running);
        if name == "unlabelled" {
            // The API server reports a pod that no longer matches the selector as deleted.
            lab.stub.delete(PODS, name);
        }
        lab.stub.put(PODS, running.clone());
        lab.refused(&token, ENDED).await;
        eventually(name, async || lab.has_ended(&id(name, &uid))).await;
        // An ended pod does not come back.
        lab.stub.put(PODS, pod(name, &uid, "r"));
        lab.stub.put(PODS, pod("marker", &format!("marker-{name}"), "r"));
        lab.accepted(&lab.token("marker", &format!("marker-{name}"))).await;
        assert_eq!(lab.refusal(&token).await, ENDED, "{name}");
    }
    assert!(!lab.has_ended(&id("r-a0-1", "u1")));
}

#[tokio::test]
async fn a_deleted_pod_has_its_grace_and_no_more() {
    let lab = Lab::new().await;
    let token = lab.token("r-a0-1", "u1");
    lab.accepted(&token).await;
    let mut terminating = pod("r-a0-1", "u1", "r");
    // NOW + 30 s.
    terminating["metadata"]["deletionTimestamp"] = json!("2027-01-15T08:00:30Z");
    lab.stub.put(PODS, terminating);
    lab.stub.put(PODS, pod("marker", "marker", "r"));
    lab.accepted(&lab.token("marker", "marker")).await;
    lab.accepted(&token).await;
    lab.clock.advance(30);
    assert_eq!(lab.refusal(&token).await, ENDED);
    eventually("the end is reported", async || lab.has_ended(&id("r-a0-1", "u1"))).await;
    lab.stub.delete(PODS, "marker");
    lab.refused(&lab.token("marker", "marker"), ENDED).await;
    eventually("the deletion is reported", async || lab.has_ended(&id("marker", "marker"))).await;
}

#[tokio::test]
async fn a_new_pod_of_the_same_name_is_another_pod() {
    let lab = Lab::new().await;
    let old = lab.token("r-a0-1", "u1");
    lab.accepted(&old).await;
    // The deletion may be missed: the watch reports the new pod as a change.
    lab.stub.put(PODS, pod("r-a0-1", "u2", "r"));
    lab.accepted(&lab.token("r-a0-1", "u2")).await;
    assert_eq!(lab.refusal(&old).await, ENDED);
    assert!(lab.has_ended(&id("r-a0-1", "u1")) && !lab.has_ended(&id("r-a0-1", "u2")));
}

#[tokio::test]
async fn rights_end_with_the_task_action() {
    let lab = Lab::new().await;
    let token = lab.token("r-a0-1", "u1");
    lab.accepted(&token).await;
    lab.stub.delete(ACTIONS, "r-a0");
    lab.refused(&token, ENDED).await;
    eventually("its pod is reported", async || lab.has_ended(&id("r-a0-1", "u1"))).await;
    // A new one of the same name has another UID.
    lab.stub.put(ACTIONS, action("q"));
    lab.stub.put(PODS, pod("q-a0-1", "uq", "q"));
    lab.accepted(&lab.token("q-a0-1", "uq")).await;
    let mut again = action("q");
    again["metadata"]["uid"] = json!("another");
    lab.stub.put(ACTIONS, again);
    lab.refused(&lab.token("q-a0-1", "uq"), ENDED).await;
}
