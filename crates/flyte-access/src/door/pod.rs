//! What the specification of a pod asks for, and what plugins' specifications ask for that have pods in them.
//!
//! The specification is searched at any depth by the names of members, so that one inside of another kind of object, or of a newer
//! version of Kubernetes, counts as well. Names match as Go's reader of JSON matches them: in any case.

use std::borrow::Cow;

use flyte_settings::PodSecurity::{Baseline, Restricted};

use super::{rules::Ask, tree::Tree};

/// Capabilities that the level "baseline" allows to add.
const CAPABILITIES: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Parameters of the kernel that the level "baseline" allows to set.
const SYSCTLS: &[&str] = &[
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
];

/// Types of `SELinux` that the level "baseline" allows.
const SELINUX_TYPES: &[&str] = &["container_t", "container_init_t", "container_kvm_t", "container_engine_t"];

/// Kinds of volumes that the level "restricted" allows, and the member that is not a kind.
const VOLUMES: &[&str] = &[
    "configmap",
    "csi",
    "downwardapi",
    "emptydir",
    "ephemeral",
    "name",
    "persistentvolumeclaim",
    "projected",
    "secret",
];

/// Members that are lists of containers.
const CONTAINERS: &[&str] = &["containers", "initcontainers", "ephemeralcontainers"];

/// Words in names of Spark's settings that change pods in ways which the other rules do not see.
const SPARK_WORDS: &[&str] =
    &["authenticate", "hostpath", "podtemplatefile", "secret", "serviceaccount", ".volumes."];

/// Receives what is found: what is asked for, which, and the name of the member.
pub(super) trait Asked<E> {
    /// Something that is asked for.
    fn ask(&mut self, ask: Ask, value: &str, member: &str) -> Result<(), E>;
}

impl<E, F: FnMut(Ask, &str, &str) -> Result<(), E>> Asked<E> for F {
    fn ask(&mut self, ask: Ask, value: &str, member: &str) -> Result<(), E> {
        self(ask, value, member)
    }
}

/// Finds all that a specification asks for.
///
/// # Errors
/// The first error of `asked`.
pub(super) fn search<E>(tree: &Tree<'_>, asked: &mut impl Asked<E>) -> Result<(), E> {
    match tree {
        Tree::List(items) => items.iter().try_for_each(|item| search(item, asked)),
        Tree::Object(members) => {
            let mut names = Vec::with_capacity(members.len());
            for (name, value) in members {
                let folded = fold(name);
                if names.contains(&folded) && is_known(&folded) {
                    // A reader takes one of them, and another reader the other.
                    asked.ask(Ask::Never, &format!("{name:?} twice"), name)?;
                }
                member(&folded, name, value, asked)?;
                search(value, asked)?;
                names.push(folded);
            }
            require_restricted(tree, asked)
        }
        Tree::Null | Tree::Bool(_) | Tree::Number(_) | Tree::Text(_) => Ok(()),
    }
}

/// The name as Go's reader of JSON compares it: without regard to case, which two letters outside of ASCII fold into, and for
/// messages of plugins without underscores.
fn fold(name: &str) -> Cow<'_, str> {
    if name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
        return Cow::Borrowed(name);
    }
    let folded = name.chars().filter(|c| *c != '_').map(|c| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    });
    Cow::Owned(folded.collect())
}

/// Whether a name means something here, so that it must not come twice. Labels, for example, can differ in case alone.
fn is_known(folded: &str) -> bool {
    CONTAINERS.contains(&folded)
        || matches!(
            folded,
            "add"
                | "allowprivilegeescalation"
                | "annotations"
                | "apparmorprofile"
                | "audience"
                | "capabilities"
                | "claimname"
                | "configmap"
                | "configmapkeyref"
                | "configmapref"
                | "drop"
                | "env"
                | "envfrom"
                | "hostipc"
                | "hostnetwork"
                | "hostpath"
                | "hostpid"
                | "hostport"
                | "hostprocess"
                | "image"
                | "imagepullsecrets"
                | "podspec"
                | "privileged"
                | "procmount"
                | "projected"
                | "runasnonroot"
                | "runasuser"
                | "seccompprofile"
                | "secret"
                | "secretkeyref"
                | "secretname"
                | "secretref"
                | "securitycontext"
                | "selinuxoptions"
                | "serviceaccount"
                | "serviceaccountname"
                | "serviceaccounttoken"
                | "sources"
                | "spec"
                | "sysctls"
                | "type"
                | "valuefrom"
                | "volumes"
                | "windowsoptions"
        )
}

/// The members of an object with this folded name.
fn each<'t, 'm>(tree: &'t Tree<'m>, folded: &'static str) -> impl Iterator<Item = &'t Tree<'m>> {
    let members = if let Tree::Object(members) = tree { members.as_slice() } else { &[] };
    members.iter().filter(move |(name, _)| fold(name) == folded).map(|(_, value)| value)
}

/// The texts of the members with this name, of an object or of the objects in a list.
fn texts<'t>(tree: &'t Tree<'_>, folded: &'static str) -> Vec<&'t str> {
    let items = if let Tree::List(items) = tree { items.iter().collect() } else { vec![tree] };
    let values = items.into_iter().flat_map(|item| each(item, folded));
    values.filter_map(|value| if let Tree::Text(text) = value { Some(text.as_ref()) } else { None }).collect()
}

fn is_set(tree: &Tree<'_>) -> bool {
    !matches!(tree, Tree::Null | Tree::Bool(false))
}

fn member<E>(folded: &str, name: &str, value: &Tree<'_>, asked: &mut impl Asked<E>) -> Result<(), E> {
    let mut named = |ask: Ask, names: Vec<&str>| {
        names.into_iter().filter(|value| !value.is_empty()).try_for_each(|value| asked.ask(ask, value, name))
    };
    match (folded, value) {
        ("hostnetwork" | "hostpid" | "hostipc" | "privileged" | "hostprocess", value) if is_set(value) => {
            asked.ask(Ask::Security(Baseline), name, name)
        }
        ("hostpath", value) if is_set(value) => {
            asked.ask(Ask::Security(Baseline), "a volume of the host", name)
        }
        ("hostport", value) if is_set(value) && *value != Tree::Number(0.0) => {
            asked.ask(Ask::Security(Baseline), "a port of the host", name)
        }
        ("procmount", Tree::Text(text)) if !matches!(text.as_ref(), "" | "Default") => {
            asked.ask(Ask::Security(Baseline), "another mount of /proc", name)
        }
        ("capabilities", value) => capabilities(value, name, asked),
        ("apparmorprofile", value) => confined("AppArmor", value, name, asked),
        ("seccompprofile", value) => confined("seccomp", value, name, asked),
        ("selinuxoptions", value) => {
            let types = texts(value, "type");
            let is_other = types.iter().any(|kind| !kind.is_empty() && !SELINUX_TYPES.contains(kind));
            let names_user = ["user", "role"]
                .into_iter()
                .flat_map(|field| texts(value, field))
                .any(|text| !text.is_empty());
            if is_other || names_user {
                asked.ask(Ask::Security(Baseline), "other options of SELinux", name)?;
            }
            Ok(())
        }
        ("sysctls", value) => {
            let mut unsafe_ones = texts(value, "name").into_iter().filter(|sysctl| !SYSCTLS.contains(sysctl));
            unsafe_ones.try_for_each(|sysctl| {
                asked.ask(Ask::Security(Baseline), &format!("the sysctl {sysctl:?}"), name)
            })
        }
        ("httpget" | "tcpsocket", value) if texts(value, "host").iter().any(|host| !host.is_empty()) => {
            asked.ask(Ask::Security(Baseline), "a probe of another host", name)
        }
        ("allowprivilegeescalation", Tree::Bool(true)) => {
            asked.ask(Ask::Security(Restricted), "privilege escalation", name)
        }
        ("runasnonroot", Tree::Bool(false)) => asked.ask(Ask::Security(Restricted), "to run as root", name),
        ("runasuser", value) if *value == Tree::Number(0.0) => {
            asked.ask(Ask::Security(Restricted), "to run as root", name)
        }
        ("volumes", Tree::List(volumes)) => {
            let kinds = volumes.iter().filter_map(|volume| match volume {
                Tree::Object(members) => Some(members.iter().filter(|(_, value)| *value != Tree::Null)),
                _ => None,
            });
            let mut others = kinds.flatten().filter(|(kind, _)| !VOLUMES.contains(&fold(kind).as_ref()));
            others.try_for_each(|(kind, _)| {
                asked.ask(Ask::Security(Restricted), &format!("a volume of the kind {kind:?}"), name)
            })
        }
        ("serviceaccountname" | "serviceaccount", Tree::Text(account)) => {
            named(Ask::ServiceAccount, vec![account.as_ref()])
        }
        ("podtemplatename" | "podtemplate", Tree::Text(template)) => {
            named(Ask::PodTemplate, vec![template.as_ref()])
        }
        ("secretname" | "secretproviderclass", Tree::Text(secret)) => {
            named(Ask::Secret, vec![secret.as_ref()])
        }
        ("secret" | "imagepullsecrets", value) => named(Ask::Secret, texts(value, "name")),
        (reference, value) if reference.ends_with("secretref") || reference.ends_with("secretkeyref") => {
            named(Ask::Secret, texts(value, "name"))
        }
        ("configmap" | "configmapref" | "configmapkeyref", value) => {
            named(Ask::ConfigMap, texts(value, "name"))
        }
        ("persistentvolumeclaim", value) => named(Ask::VolumeClaim, texts(value, "claimname")),
        ("serviceaccounttoken", value) if is_set(value) => {
            let audiences = texts(value, "audience");
            match audiences.as_slice() {
                // Without an audience, the token is for the API server of the cluster.
                [] => asked.ask(Ask::TokenAudience, "", name),
                audiences => {
                    audiences.iter().try_for_each(|audience| asked.ask(Ask::TokenAudience, audience, name))
                }
            }
        }
        ("image", Tree::Text(image)) => named(Ask::Image, vec![image.as_ref()]),
        ("image", value) => named(Ask::Image, texts(value, "reference")),
        ("annotations", Tree::Object(annotations)) => annotations.iter().try_for_each(|(key, value)| {
            let value = if let Tree::Text(text) = value { text.as_ref() } else { "" };
            annotation(key, value, asked)
        }),
        (setting, value)
            if setting.starts_with("spark.kubernetes.")
                && is_set(value)
                && SPARK_WORDS.iter().any(|word| setting.contains(word)) =>
        {
            asked.ask(Ask::Security(Baseline), &format!("the setting {name:?}"), name)
        }
        _ => Ok(()),
    }
}

fn capabilities<E>(value: &Tree<'_>, name: &str, asked: &mut impl Asked<E>) -> Result<(), E> {
    for added in each(value, "add") {
        let Tree::List(added) = added else {
            if is_set(added) {
                asked.ask(Ask::Security(Baseline), "capabilities", name)?;
            }
            continue;
        };
        for capability in added {
            let Tree::Text(capability) = capability else { continue };
            if !CAPABILITIES.contains(&capability.as_ref()) {
                asked.ask(Ask::Security(Baseline), &format!("the capability {capability:?}"), name)?;
            } else if capability != "NET_BIND_SERVICE" {
                asked.ask(Ask::Security(Restricted), &format!("the capability {capability:?}"), name)?;
            }
        }
    }
    Ok(())
}

/// A profile of a kernel module that confines processes.
fn confined<E>(module: &str, value: &Tree<'_>, name: &str, asked: &mut impl Asked<E>) -> Result<(), E> {
    if texts(value, "type").iter().any(|kind| !matches!(*kind, "" | "RuntimeDefault" | "Localhost")) {
        asked.ask(Ask::Security(Baseline), &format!("a profile of {module} that confines nothing"), name)?;
    }
    Ok(())
}

/// What an annotation of a pod asks for.
///
/// # Errors
/// The error of `asked`.
pub(super) fn annotation<E>(key: &str, value: &str, asked: &mut impl Asked<E>) -> Result<(), E> {
    // The backend writes the secrets of a task into annotations of its pod, and reads them there.
    if key.starts_with("flyte.secrets/") {
        return asked.ask(Ask::Never, "a secret by an annotation", key);
    }
    let is_confined =
        matches!(value, "" | "runtime/default" | "docker/default") || value.starts_with("localhost/");
    if (key.starts_with("container.apparmor.security.beta.kubernetes.io/")
        || key.starts_with("seccomp.security.alpha.kubernetes.io/")
        || key.starts_with("container.seccomp.security.alpha.kubernetes.io/"))
        && !is_confined
    {
        return asked.ask(Ask::Security(Baseline), &format!("the profile {value:?}"), key);
    }
    // kube2iam and kiam: a role of the cloud.
    if key == "iam.amazonaws.com/role" && !value.is_empty() {
        return asked.ask(Ask::ServiceAccount, value, key);
    }
    Ok(())
}

/// What the level "restricted" requires of the containers in an object.
fn require_restricted<E>(pod: &Tree<'_>, asked: &mut impl Asked<E>) -> Result<(), E> {
    let has = |context: Option<&Tree<'_>>, field: &'static str, wanted: bool| {
        context.is_some_and(|context| each(context, field).any(|value| *value == Tree::Bool(wanted)))
    };
    let is_confined = |context: Option<&Tree<'_>>| {
        context.is_some_and(|context| {
            each(context, "seccompprofile").any(|profile| !texts(profile, "type").is_empty())
        })
    };
    let of_pod = each(pod, "securitycontext").next();
    let lists = CONTAINERS.iter().flat_map(|list| each(pod, list).map(move |containers| (*list, containers)));
    for (list, containers) in lists {
        let Tree::List(containers) = containers else { continue };
        for container in containers {
            let own = each(container, "securitycontext").next();
            let drops_all = own.is_some_and(|own| {
                each(own, "capabilities").flat_map(|value| each(value, "drop")).any(
                    |dropped| matches!(dropped, Tree::List(items) if items.contains(&Tree::Text(Cow::Borrowed("ALL")))),
                )
            });
            let missing = if !has(own, "allowprivilegeescalation", false) {
                "a container without `allowPrivilegeEscalation: false`"
            } else if !drops_all {
                "a container that does not drop all capabilities"
            } else if !has(own, "runasnonroot", true) && !has(of_pod, "runasnonroot", true) {
                "a container without `runAsNonRoot: true`"
            } else if !is_confined(own) && !is_confined(of_pod) {
                "a container without a profile of seccomp"
            } else {
                continue;
            };
            asked.ask(Ask::Security(Restricted), missing, list)?;
        }
    }
    Ok(())
}
