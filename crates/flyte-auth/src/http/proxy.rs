//! Which proxy a request goes through: `admin.httpProxyURL`, else the variables that curl, Go and Python read.

use std::{fmt, net::IpAddr};

use flyte_config::{Environment, parse_proxy};
use ipnet::IpNet;
use url::{Host, Url};

use crate::AuthError;

/// The name of the setting that comes before the variables.
const SETTING: &str = "admin.httpProxyURL";

/// The proxy variables of an environment, as they are written there.
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
    /// Those of `environment`. An empty variable counts as unset.
    #[must_use]
    pub fn of(environment: &Environment) -> Self {
        let first = |names: &[&'static str]| {
            let set = names.iter().find_map(|name| Some((*name, environment.variable(name)?)));
            set.map(|(name, value)| (name, value.to_owned()))
        };
        // In a CGI program HTTP_PROXY is the client's header `Proxy` (CVE-2016-5385).
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
    /// The names only: values may hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |variable: &Option<(&'static str, String)>| variable.as_ref().map(|(name, _)| *name);
        f.debug_struct("ProxyVariables")
            .field("https", &name(&self.https))
            .field("http", &name(&self.http))
            .field("exempt", &self.exempt)
            .finish()
    }
}

/// The proxies in effect, and what goes around them.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    configured: Option<ProxyServer>,
    https: Variable,
    http: Variable,
    exempt: Exempt,
}

/// The proxy of a variable, or why it is none: which matters only to requests that would go through it.
type Variable = Option<Result<ProxyServer, AuthError>>;

/// A proxy and the setting that names it. It is shown without its user name and password.
#[derive(Clone)]
pub struct ProxyServer {
    pub(super) url: Url,
    setting: &'static str,
}

impl ProxyServer {
    /// The setting or variable that names it.
    #[must_use]
    pub fn setting(&self) -> &'static str {
        self.setting
    }

    /// Its host and port.
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
    /// Reads `admin.httpProxyURL`, where it is set, and the variables.
    #[must_use]
    pub fn new(configured: Option<&Url>, variables: &ProxyVariables) -> Self {
        let read = |variable: &Option<(&'static str, String)>| {
            // Not looked at where the configuration names a proxy.
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

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.configured.is_none() && self.https.is_none() && self.http.is_none()
    }

    /// All of them.
    pub(super) fn servers(&self) -> impl Iterator<Item = &ProxyServer> {
        let variables = [&self.https, &self.http].into_iter().flatten().filter_map(|read| read.as_ref().ok());
        self.configured.iter().chain(variables)
    }

    /// The proxy that a request to `url` goes through.
    ///
    /// A variable is for the network: this machine is reached without it. `admin.httpProxyURL` is for every request.
    ///
    /// # Errors
    /// [`AuthError::Proxy`], which names the variable that is no proxy's address, without its value: going around a proxy
    /// that is wanted is no answer to a slip of the pen.
    pub fn of(&self, url: &Url) -> Result<Option<&ProxyServer>, AuthError> {
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

/// Whether a URL is on this machine, by any of its names (RFC 6761 section 6.3) and addresses.
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

/// What `NO_PROXY` names. There is no standard; this reads what curl, Go, Python and Kubernetes' documentation write.
#[derive(Clone, Debug, Default)]
struct Exempt(Vec<(Pattern, Option<u16>)>);

#[derive(Clone, Debug)]
enum Pattern {
    /// Each host.
    All,
    /// The addresses of a network.
    Network(IpNet),
    /// A domain with all below it.
    Domain(String),
    /// Names that fit a text in which each `*` stands for any characters.
    Wildcard(String),
}

impl Exempt {
    fn parse(text: &str) -> Self {
        let entries = text.split([',', ' ', '\t', '\n', ';']).filter(|entry| !entry.is_empty());
        Self(entries.map(|entry| Self::entry(&entry.to_ascii_lowercase())).collect())
    }

    fn entry(entry: &str) -> (Pattern, Option<u16>) {
        // A URL's scheme and path say nothing here.
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

/// Whether the name fits a pattern in which each `*` stands for any characters.
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
        proxies.of(&url.parse().unwrap()).unwrap().map(ToString::to_string)
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
    fn this_machine_is_reached_without_the_variables() {
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
    fn what_is_exempt_goes_around() {
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
    fn a_variable_that_is_no_address_is_named_and_not_repeated() {
        let found = proxies(&[("https_proxy", "http://ada:hunter2@:3128"), ("NO_PROXY", "exempt.example")]);
        let error = found.of(&"https://x.example/".parse().unwrap()).unwrap_err();
        assert!(error.to_string().contains("https_proxy"), "{error}");
        assert!(!format!("{error} {error:?} {found:?}").contains("hunter2"), "{error:?}");
        // It breaks nothing that would not go through it.
        for url in ["https://localhost/", "https://exempt.example/", "http://x.example/"] {
            assert_eq!(through(&found, url), None, "{url}");
        }
        let variables = [("HTTPS_PROXY", "http://ada:hunter2@proxy:3128")];
        let found = proxies(&variables);
        assert!(!format!("{found:?}").contains("hunter2"));
    }
}
