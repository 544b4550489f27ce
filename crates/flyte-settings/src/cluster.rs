//! The backends of clusters.

use url::Url;

use super::value::{Form, Value};

/// The name of the backend of `upstream.url`, which gets the calls for no cluster.
pub const MAIN_BACKEND: &str = "main";

/// The backend of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterUrl {
    /// The cluster's name: a host, or its first label.
    pub name: String,
    /// The backend's URL, without a path.
    pub url: Url,
}

impl ClusterUrl {
    /// Returns the host of the calls that are for this cluster. `own` is the host of the server's public URL.
    #[must_use]
    pub fn host(&self, own: &str) -> String {
        if self.name.contains('.') { self.name.clone() } else { format!("{}.{own}", self.name) }
    }
}

/// Checks that a URL is that of a server, without a path.
pub(crate) fn check_url(url: &Url) -> Result<(), String> {
    let is_origin = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if is_origin {
        return Ok(());
    }
    Err("http:// or https:// with a host and perhaps a port is expected, for example http://flyte-binary-http.flyte:8090"
        .to_owned())
}

pub(crate) fn is_host(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

impl Value for Vec<ClusterUrl> {
    const FORM: Form = Form::List;
    const DESCRIPTION: &'static str = "list of `NAME=URL`";

    fn parse(text: &str) -> Result<Self, String> {
        let mut clusters: Self = Vec::new();
        for item in <Vec<String> as Value>::parse(text)? {
            let (name, url) =
                item.split_once('=').ok_or_else(|| format!("NAME=URL is expected, not {item:?}"))?;
            let name = name.trim().to_ascii_lowercase();
            if !is_host(&name) {
                return Err(format!(
                    "a name of letters, digits and hyphens is expected before = in {item:?}"
                ));
            }
            if name == MAIN_BACKEND {
                return Err(format!(
                    "{name:?} is the name of the backend of \"upstream.url\": write the whole host of the cluster before ="
                ));
            }
            if clusters.iter().any(|other| other.name == name) {
                return Err(format!("{name:?} is there twice"));
            }
            let url = <Url as Value>::parse(url.trim())?;
            check_url(&url).map_err(|what| format!("{what}, not {:?}", url.as_str()))?;
            clusters.push(ClusterUrl { name, url });
        }
        Ok(clusters)
    }

    fn show(&self) -> String {
        self.iter().map(|cluster| format!("{}={}", cluster.name, cluster.url)).collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_have_names_and_urls() {
        let clusters = <Vec<ClusterUrl>>::parse("GPU=http://a:8090, eu.example.org=https://b/").unwrap();
        assert_eq!(clusters.show(), "gpu=http://a:8090/,eu.example.org=https://b/");
        assert_eq!(Value::parse(&clusters.show()), Ok(clusters));
        for wrong in [
            "http://a",
            "=http://a",
            "a b=http://a",
            "-a=http://a",
            "a..b=http://a",
            "a=ftp://a",
            "a=http://a/path",
            "a=http://u:p@a/",
            "a=http://a/?q=1",
            "a=b",
            "a=http://x,A=http://y",
            "main=http://a",
        ] {
            assert!(<Vec<ClusterUrl>>::parse(wrong).is_err(), "{wrong}");
        }
    }
}
