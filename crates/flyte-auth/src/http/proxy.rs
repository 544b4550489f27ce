//! Selects the proxy of a request: `admin.httpProxyURL`, otherwise the variables that curl, Go and Python read.

use std::{fmt, net::IpAddr};

use flyte_config::{Environment, parse_proxy};
use ipnet::IpNet;
use url::{Host, Url};

use crate::AuthError;

/// The setting that takes precedence over the variables.
const SETTING: &str = "admin.httpProxyURL";

/// The proxy variables of an environment, not parsed yet.
#[derive(Clone, Default)]
pub struct ProxyVariables {
    /// For `https` URLs: the variable's name and its value.
    https: Option<(&'static str, String)>,
    /// For `http` URLs.
    http: Option<(&'static str, String)>,
    /// `NO_PROXY`.
    exempt: String,
}

impl ProxyVariables {
    /// Reads the variables of `environment`. An empty variable counts as unset.
    #[must_use]
    pub fn of(environment: &Environment) -> Self {
        let first = |names: &[&'static str]| {
            let set = names.iter().find_map(|name| Some((*name, environment.variable(name)?)));
            set.map(|(name, value)| (name, value.to_owned()))
        };
        // In a CGI program, HTTP_PROXY holds the client's `Proxy` header (CVE-2016-5385).
        let is_cgi = environment.variable("REQUEST_METHOD").is_some();
        let http: &[_] = if is_cgi { &["http_proxy"] } else { &["HTTP_PROXY", "http_proxy"] };
        let all = || first(&["ALL_PROXY", "all_proxy"]);
        Self {
            https: first(&["HTTPS_PROXY", "https_proxy"]).or_else(all),
            http: first(http).or_else(all),
            exempt: first(&["NO_PROXY", "no_proxy"]).map(|(_, value)| value).unwrap_or_default(),
        }
    }
}

impl fmt::Debug for ProxyVariables {
    /// Shows the names only, because values may hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |variable: &Option<(&'static str, String)>| variable.as_ref().map(|(name, _)| *name);
        f.debug_struct("ProxyVariables")
            .field("https", &name(&self.https))
            .field("http", &name(&self.http))
            .field("exempt", &self.exempt)
            .finish()
    }
}

/// The proxies in effect, and the hosts that are reached without them.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    configured: Option<ProxyServer>,
    https: Variable,
    http: Variable,
    exempt: Exempt,
}

/// The proxy of a variable, or why its value is not valid. An error matters only to requests that would use the proxy.
type Variable = Option<Result<ProxyServer, AuthError>>;

/// A proxy and the setting that names it. [`Display`](fmt::Display) leaves out its user name and password.
#[derive(Clone)]
pub struct ProxyServer {
    pub(super) url: Url,
    setting: &'static str,
}

impl ProxyServer {
    /// The setting or variable that names the proxy.
    #[must_use]
    pub fn setting(&self) -> &'static str {
        self.setting
    }

    /// The proxy's host and port.
    #[must_use]
    pub fn address(&self) -> (String, u16) {
        let default = if self.url.scheme().starts_with("socks") { 1080 } else { 80 };
        let host = self.url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        (host.to_owned(), self.url.port_or_known_default().unwrap_or(default))
    }
}

impl fmt::Display for ProxyServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = self.address();
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        write!(f, "{host}:{port} ({})", self.setting)
    }
}

impl fmt::Debug for ProxyServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Proxies {
    /// Reads `admin.httpProxyURL`, if it is set, and the variables.
    #[must_use]
    pub fn new(configured: Option<&Url>, variables: &ProxyVariables) -> Self {
        let read = |variable: &Option<(&'static str, String)>| {
            // If the configuration names a proxy, the variables are ignored.
            let (setting, value) = variable.as_ref().filter(|_| configured.is_none())?;
            let read = parse_proxy(value)
                .map(|url| ProxyServer { url, setting })
                .map_err(|reason| AuthError::Proxy { setting, reason });
            Some(read)
        };
        Self {
            configured: configured.map(|url| ProxyServer { url: url.clone(), setting: SETTING }),
            https: read(&variables.https),
            http: read(&variables.http),
            exempt: Exempt::parse(&variables.exempt),
        }
    }

    /// Whether there is no proxy.
    pub(super) fn is_empty(&self) -> bool {
        self.configured.is_none() && self.https.is_none() && self.http.is_none()
    }

    /// All proxies with a valid address.
    pub(super) fn servers(&self) -> impl Iterator<Item = &ProxyServer> {
        let variables = [&self.https, &self.http].into_iter().flatten().filter_map(|read| read.as_ref().ok());
        self.configured.iter().chain(variables)
    }

    /// Selects the proxy for a request to `url`; `None` if the request goes directly to the server.
    ///
    /// A proxy of a variable is not used to reach this machine itself; `admin.httpProxyURL` is used for every host.
    ///
    /// # Errors
    /// [`AuthError::Proxy`] if the variable's value is not a proxy address. The error names the variable, without its value. A
    /// request never bypasses a proxy because of a typing error.
    pub fn select(&self, url: &Url) -> Result<Option<&ProxyServer>, AuthError> {
        if self.exempt.matches(url) {
            return Ok(None);
        }
        if self.configured.is_some() {
            return Ok(self.configured.as_ref());
        }
        if is_this_machine(url) {
            return Ok(None);
        }
        let variable = match url.scheme() {
            "https" => &self.https,
            "http" => &self.http,
            _ => &None,
        };
        variable.as_ref().map(|read| read.as_ref().map_err(Clone::clone)).transpose()
    }
}

/// Whether a URL's host is this machine, by name (RFC 6761 section 6.3) or address.
fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_unspecified(),
        Some(Host::Ipv6(address)) => {
            let address = address.to_canonical();
            address.is_loopback() || address.is_unspecified()
        }
        None => false,
    }
}

/// The hosts of `NO_PROXY`. There is no standard: this accepts the forms of curl, Go, Python and the Kubernetes documentation.
#[derive(Clone, Debug, Default)]
struct Exempt(Vec<(Pattern, Option<u16>)>);

#[derive(Clone, Debug)]
enum Pattern {
    /// Every host.
    All,
    /// The addresses of a network.
    Network(IpNet),
    /// A domain and its subdomains.
    Domain(String),
    /// Host names that match a text in which `*` matches any characters.
    Wildcard(String),
}

impl Exempt {
    fn parse(text: &str) -> Self {
        let entries = text.split([',', ' ', '\t', '\n', ';']).filter(|entry| !entry.is_empty());
        Self(entries.map(|entry| Self::entry(&entry.to_ascii_lowercase())).collect())
    }

    fn entry(entry: &str) -> (Pattern, Option<u16>) {
        // The scheme and the path of a URL are ignored.
        let entry = entry.split_once("://").map_or(entry, |(_, rest)| rest);
        let network = entry.replace(['[', ']'], "");
        if let Ok(network) = network.parse() {
            return (Pattern::Network(network), None);
        }
        let entry = entry.split('/').next().unwrap_or_default();
        let address = |text: &str| text.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        if let Some(address) = address(entry) {
            return (Pattern::Network(address.into()), None);
        }
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) => match port.parse() {
                Ok(port) => (host, Some(port)),
                Err(_) => (entry, None),
            },
            None => (entry, None),
        };
        let pattern = match address(host) {
            Some(address) => Pattern::Network(address.into()),
            None if host == "*" => Pattern::All,
            None if host.contains('*') => Pattern::Wildcard(host.trim_end_matches('.').to_owned()),
            None => Pattern::Domain(host.trim_matches('.').to_owned()),
        };
        (pattern, port)
    }

    fn matches(&self, url: &Url) -> bool {
        let (name, address) = match url.host() {
            Some(Host::Domain(name)) => (name.trim_end_matches('.').to_ascii_lowercase(), None),
            Some(Host::Ipv4(address)) => (address.to_string(), Some(IpAddr::V4(address))),
            Some(Host::Ipv6(address)) => (address.to_string(), Some(IpAddr::V6(address).to_canonical())),
            None => return false,
        };
        self.0.iter().any(|(pattern, port)| {
            let fits = match pattern {
                Pattern::All => true,
                Pattern::Network(network) => address.is_some_and(|address| network.contains(&address)),
                Pattern::Domain(domain) => {
                    !domain.is_empty()
                        && name
                            .strip_suffix(domain.as_str())
                            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
                }
                Pattern::Wildcard(pattern) => is_like(&name, pattern),
            };
            fits && port.is_none_or(|port| url.port_or_known_default() == Some(port))
        })
    }
}

/// Whether the name matches a pattern in which `*` matches any characters.
fn is_like(name: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        let variables =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let environment = Environment { variables, ..Environment::default() };
        Proxies::new(None, &ProxyVariables::of(&environment))
    }

    fn through(proxies: &Proxies, url: &str) -> Option<String> {
        proxies.select(&url.parse().unwrap()).unwrap().map(ToString::to_string)
    }

    #[test]
    fn each_scheme_has_its_variable() {
        let found = proxies(&[("HTTPS_PROXY", "s:1"), ("http_proxy", "h"), ("ALL_PROXY", "socks5://a")]);
        assert_eq!(through(&found, "https://x.example/").as_deref(), Some("s:1 (HTTPS_PROXY)"));
        assert_eq!(through(&found, "http://x.example/").as_deref(), Some("h:80 (http_proxy)"));
        let found = proxies(&[("HTTPS_PROXY", ""), ("https_proxy", "s:1"), ("all_proxy", "socks5://a")]);
        assert_eq!(through(&found, "https://x.example/").as_deref(), Some("s:1 (https_proxy)"));
        assert_eq!(through(&found, "http://x.example/").as_deref(), Some("a:1080 (all_proxy)"));
        let cgi = proxies(&[("HTTP_PROXY", "evil"), ("REQUEST_METHOD", "GET")]);
        assert_eq!(through(&cgi, "http://x.example/"), None);
    }

    #[test]
    fn variables_do_not_apply_to_this_machine() {
        let found = proxies(&[("HTTPS_PROXY", "s:1"), ("HTTP_PROXY", "h:1")]);
        for url in [
            "https://localhost:8443/",
            "http://127.0.0.1/",
            "https://127.1.2.3/",
            "https://[::1]:1/",
            "https://app.localhost/",
            "https://LOCALHOST./",
            "https://[::ffff:127.0.0.1]/",
            "http://0.0.0.0:1/",
        ] {
            assert_eq!(through(&found, url), None, "{url}");
        }
        let configured: Url = "http://proxy:3128".parse().unwrap();
        let found = Proxies::new(Some(&configured), &ProxyVariables::default());
        assert_eq!(through(&found, "https://localhost/").as_deref(), Some("proxy:3128 (admin.httpProxyURL)"));
    }

    #[test]
    fn exempt_hosts_bypass_the_proxy() {
        for (exempt, url, around) in [
            ("example.com", "https://example.com/", true),
            ("example.com", "https://flyte.EXAMPLE.com:8443/", true),
            ("example.com", "https://notexample.com/", false),
            (".example.com", "https://flyte.example.com/", true),
            (".example.com", "https://example.com./", true),
            ("*.example.com", "https://flyte.example.com/", true),
            ("*.example.com", "https://a.b.example.com:1/", true),
            ("*.example.com", "https://notexample.com/", false),
            ("*.example.com:8443", "https://flyte.example.com:8443/", true),
            ("*.example.com:8443", "https://flyte.example.com/", false),
            ("flyte.example.com:443", "https://flyte.example.com/", true),
            ("flyte.example.com:443", "http://flyte.example.com/", false),
            ("a.example, flyte.example.com", "https://flyte.example.com/", true),
            ("a.example flyte.example.com", "https://flyte.example.com/", true),
            ("*", "https://flyte.example.com/", true),
            ("10.0.0.0/8", "https://10.1.2.3/", true),
            ("10.0.0.0/8", "https://11.1.2.3/", false),
            ("10.1.2.3:8443", "https://10.1.2.3:8443/", true),
            ("10.1.2.3:8443", "https://10.1.2.3/", false),
            ("10.*", "https://10.1.2.3/", true),
            ("10.0.0.0/8", "https://[::ffff:10.1.2.3]/", true),
            ("fd00::/8", "https://[fd00::1]/", true),
            ("[fd00::1]:8443", "https://[fd00::1]:8443/", true),
            ("fd00::1", "https://[fd00::1]/", true),
            ("[fd00::]/8", "https://[fd12::1]/", true),
            ("10.1.2.3/8", "https://10.9.9.9/", true),
            ("https://flyte.example.com/", "https://flyte.example.com/", true),
            (",,", "https://flyte.example.com/", false),
            (".", "https://flyte.example.com/", false),
        ] {
            for name in ["NO_PROXY", "no_proxy"] {
                let found = proxies(&[("HTTPS_PROXY", "s:1"), ("HTTP_PROXY", "h:1"), (name, exempt)]);
                assert_eq!(through(&found, url).is_none(), around, "{exempt} {url}");
            }
        }
    }

    #[test]
    fn an_invalid_variable_is_named_without_its_value() {
        let found = proxies(&[("https_proxy", "http://ada:hunter2@:3128"), ("NO_PROXY", "exempt.example")]);
        let error = found.select(&"https://x.example/".parse().unwrap()).unwrap_err();
        assert!(error.to_string().contains("https_proxy"), "{error}");
        assert!(!format!("{error} {error:?} {found:?}").contains("hunter2"), "{error:?}");
        // Requests that would not use that proxy still work.
        for url in ["https://localhost/", "https://exempt.example/", "http://x.example/"] {
            assert_eq!(through(&found, url), None, "{url}");
        }
        let variables = [("HTTPS_PROXY", "http://ada:hunter2@proxy:3128")];
        let found = proxies(&variables);
        assert!(!format!("{found:?}").contains("hunter2"));
    }
}
