//! The hosts of apps, and where their requests go.

use url::Url;

use super::{
    cluster::{ClusterUrl, MAIN_BACKEND, check_url, is_host},
    value::{Form, Value},
};

/// A wildcard of hosts of apps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppHosts {
    /// What the hosts end with, in lower case, for example `apps.example.com`. One label is before it.
    pub suffix: String,
    /// The server that finds the app by the request's host, for example the gateway of Knative.
    pub url: Url,
    /// The cluster whose backend has these apps, by its name in `upstream.clusters`, or [`MAIN_BACKEND`]. `None` is allowed if
    /// there is one backend only.
    pub cluster: Option<String>,
}

impl AppHosts {
    /// The name of the backend that has these apps.
    #[must_use]
    pub fn backend(&self) -> &str {
        self.cluster.as_deref().unwrap_or(MAIN_BACKEND)
    }

    /// Whether this is the host of an app: one label and the suffix, in lower case, without a port.
    #[must_use]
    pub fn has(&self, host: &str) -> bool {
        let label = host.strip_suffix(&self.suffix).and_then(|label| label.strip_suffix('.'));
        label.is_some_and(|label| !label.contains('.') && is_host(label))
    }
}

/// Checks that the backend of each app is known: a backend is asked for the owners of the apps at its hosts, and another one would
/// give a wrong answer.
pub(crate) fn check_backends(apps: &[AppHosts], clusters: &[ClusterUrl]) -> Result<(), String> {
    let is_known = |name: &str| name == MAIN_BACKEND || clusters.iter().any(|cluster| cluster.name == name);
    for AppHosts { suffix, url, cluster } in apps {
        match cluster {
            None if !clusters.is_empty() => {
                return Err(format!(
                    "\"upstream.apps\" does not say which backend has the apps at *.{suffix}: write *.{suffix}@CLUSTER={url} with a \
                     name of \"upstream.clusters\", or with {MAIN_BACKEND} for that of \"upstream.url\""
                ));
            }
            Some(name) if !is_known(name) => {
                return Err(format!(
                    "\"upstream.apps\" says that the apps at *.{suffix} are those of {name:?}, which \"upstream.clusters\" does not \
                     have"
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

impl Value for Vec<AppHosts> {
    const FORM: Form = Form::List;
    const DESCRIPTION: &'static str = "list of `*.HOST=URL` or `*.HOST@CLUSTER=URL`";

    fn parse(text: &str) -> Result<Self, String> {
        let mut hosts: Self = Vec::new();
        for item in <Vec<String> as Value>::parse(text)? {
            let (pattern, url) =
                item.split_once('=').ok_or_else(|| format!("*.HOST=URL is expected, not {item:?}"))?;
            let pattern = pattern.trim().to_ascii_lowercase();
            let (pattern, cluster) = match pattern.split_once('@') {
                Some((pattern, cluster)) if is_host(cluster) => (pattern, Some(cluster.to_owned())),
                Some(_) => return Err(format!("the name of a cluster is expected after @ in {item:?}")),
                None => (pattern.as_str(), None),
            };
            let suffix = pattern.strip_prefix("*.").filter(|suffix| is_host(suffix));
            let suffix = suffix
                .ok_or_else(|| format!("*.HOST is expected before = in {item:?}, e.g. *.apps.example.com"))?;
            if hosts.iter().any(|other| other.suffix == suffix) {
                return Err(format!("{pattern:?} is there twice"));
            }
            let url = <Url as Value>::parse(url.trim())?;
            check_url(&url).map_err(|what| format!("{what}, not {:?}", url.as_str()))?;
            hosts.push(AppHosts { suffix: suffix.to_owned(), url, cluster });
        }
        Ok(hosts)
    }

    fn show(&self) -> String {
        let show = |AppHosts { suffix, url, cluster }: &AppHosts| match cluster {
            Some(cluster) => format!("*.{suffix}@{cluster}={url}"),
            None => format!("*.{suffix}={url}"),
        };
        self.iter().map(show).collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_one_label_before_the_suffix() {
        let hosts =
            <Vec<AppHosts>>::parse("*.Apps.example.com=http://kourier, *.b.example=https://c:8443/").unwrap();
        assert_eq!(hosts.show(), "*.apps.example.com=http://kourier/,*.b.example=https://c:8443/");
        assert_eq!(Value::parse(&hosts.show()), Ok(hosts.clone()));
        for (host, is_app) in [
            ("a.apps.example.com", true),
            ("my-app-1.apps.example.com", true),
            ("apps.example.com", false),
            (".apps.example.com", false),
            ("-a.apps.example.com", false),
            ("a.b.apps.example.com", false),
            ("aapps.example.com", false),
            ("a.apps.example.com.evil.example", false),
        ] {
            assert_eq!(hosts[0].has(host), is_app, "{host}");
        }
        for wrong in [
            "apps.example.com=http://a",
            "*=http://a",
            "*.a b=http://a",
            "*.a",
            "*.a=http://a/p",
            "*.a=http://b,*.A=http://c",
            "*.a@x=http://b,*.a@y=http://c",
            "*.a@=http://b",
            "*.a@x@y=http://b",
            "@x=http://b",
        ] {
            assert!(<Vec<AppHosts>>::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn with_several_backends_each_wildcard_names_its_own() {
        let apps = |text| <Vec<AppHosts>>::parse(text).unwrap();
        let several = "*.a=http://k,*.b@GPU=http://k,*.c@main=http://k,*.d@eu.example.org=http://k";
        let names: Vec<_> = apps(several).iter().map(|one| one.backend().to_owned()).collect();
        assert_eq!(names, ["main", "gpu", "main", "eu.example.org"]);
        assert_eq!(Value::parse(&apps(several).show()), Ok(apps(several)));

        let clusters = <Vec<ClusterUrl>>::parse("gpu=http://g,eu.example.org=http://e").unwrap();
        let without_a = apps(&several["*.a=http://k,".len()..]);
        assert_eq!(check_backends(&without_a, &clusters), Ok(()));
        let error = check_backends(&apps(several), &clusters).unwrap_err();
        assert!(error.contains("*.a@CLUSTER=http://k/") && error.contains("main"), "{error}");
        let error = check_backends(&without_a, &clusters[..1]).unwrap_err();
        assert!(error.contains("\"eu.example.org\""), "{error}");
        assert_eq!(check_backends(&apps("*.a=http://k,*.b@main=http://k"), &[]), Ok(()));
        assert!(check_backends(&apps("*.a@gpu=http://k"), &[]).is_err());
    }
}
