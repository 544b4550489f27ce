//! The hosts of apps, and where their requests go.

use url::Url;

use super::{
    cluster::{check_url, is_host},
    value::{Form, Value},
};

/// A wildcard of hosts of apps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppHosts {
    /// What the hosts end with, in lower case, for example `apps.example.com`. One label is before it.
    pub suffix: String,
    /// The server that finds the app by the request's host, for example the gateway of Knative.
    pub url: Url,
}

impl AppHosts {
    /// Whether this is the host of an app: one label and the suffix, in lower case, without a port.
    #[must_use]
    pub fn has(&self, host: &str) -> bool {
        let label = host.strip_suffix(&self.suffix).and_then(|label| label.strip_suffix('.'));
        label.is_some_and(|label| !label.contains('.') && is_host(label))
    }
}

impl Value for Vec<AppHosts> {
    const FORM: Form = Form::List;
    const DESCRIPTION: &'static str = "list of `*.HOST=URL`";

    fn parse(text: &str) -> Result<Self, String> {
        let mut hosts: Self = Vec::new();
        for item in <Vec<String> as Value>::parse(text)? {
            let (pattern, url) =
                item.split_once('=').ok_or_else(|| format!("*.HOST=URL is expected, not {item:?}"))?;
            let pattern = pattern.trim().to_ascii_lowercase();
            let suffix = pattern.strip_prefix("*.").filter(|suffix| is_host(suffix));
            let suffix = suffix
                .ok_or_else(|| format!("*.HOST is expected before = in {item:?}, e.g. *.apps.example.com"))?;
            if hosts.iter().any(|other| other.suffix == suffix) {
                return Err(format!("{pattern:?} is there twice"));
            }
            let url = <Url as Value>::parse(url.trim())?;
            check_url(&url).map_err(|what| format!("{what}, not {:?}", url.as_str()))?;
            hosts.push(AppHosts { suffix: suffix.to_owned(), url });
        }
        Ok(hosts)
    }

    fn show(&self) -> String {
        self.iter().map(|hosts| format!("*.{}={}", hosts.suffix, hosts.url)).collect::<Vec<_>>().join(",")
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
        ] {
            assert!(<Vec<AppHosts>>::parse(wrong).is_err(), "{wrong}");
        }
    }
}
