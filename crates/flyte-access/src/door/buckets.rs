//! Which project and domain an object of a Flyte 2 backend belongs to.
//!
//! A backend keeps all projects' objects in one bucket, below prefixes of its settings (`runs.storagePrefix`, and
//! `dataproxy.upload.storagePrefix` in `storage.metadataContainer`):
//!
//! | objects | path below the prefix |
//! |---|---|
//! | inputs of runs | `PROJECT/DOMAIN/RUN/inputs/` |
//! | outputs of actions | `PROJECT/DOMAIN/RUN/ACTION/ATTEMPT/`, with two letters or digits between the bucket and the prefix |
//! | uploads: code bundles, files | `uploads/PROJECT/DOMAIN/DIRECTORY/` |
//! | inputs that clients upload | `uploads/PROJECT/DOMAIN/offloaded-inputs/HASH/`, or `uploads/ORGANIZATION/PROJECT/...` |
//!
//! The same object has many spellings, and each program that reads URIs normalizes them in its own way. Whatever the scheme, a URI
//! with the name of the bucket is taken for one in it. If its path is not in the plain form above, its place is unclear.

use super::storage::{Location, Storage, is_name, is_plain, locate_parts};

/// The directory of uploads below a prefix: the default of `dataproxy.upload.storagePrefix`.
const UPLOADS: &str = "uploads";
/// The directory of the inputs that clients upload.
const OFFLOADED_INPUTS: &str = "offloaded-inputs";
/// The longest name of a scheme that is looked for.
const MAX_SCHEME: usize = 16;

/// The prefixes below which a backend keeps objects.
#[derive(Clone, Debug, Default)]
pub struct Buckets(Vec<Prefix>);

/// Why a text is not a prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the URL of a bucket or of a prefix in it is expected, for example s3://bucket/prefix")]
pub struct NotPrefix;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Prefix {
    /// Whether it is a directory, and the bucket the first part of its path.
    is_directory: bool,
    bucket: String,
    path: Vec<String>,
}

impl Prefix {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = scheme(text.as_bytes())?;
        let rest = std::str::from_utf8(rest).ok()?.trim_matches('/');
        let is_directory = scheme.eq_ignore_ascii_case(b"file");
        let rest = if is_directory { rest.strip_prefix("localhost/").unwrap_or(rest) } else { rest };
        let mut parts = rest.split('/').map(str::to_owned);
        let bucket = parts.next()?;
        let path: Vec<_> = parts.collect();
        let is_plain = |part: &String| {
            !matches!(part.as_str(), "" | "." | "..")
                && !part.contains(|c: char| c.is_control() || "\\%?#".contains(c))
        };
        if !is_plain(&bucket) || !path.iter().all(is_plain) {
            return None;
        }
        Some(Self { is_directory, bucket, path })
    }

    /// Whether the authority of a URI names the bucket, perhaps with a user, a port, another case, or as a container of Azure.
    fn is_named_by(&self, authority: &str) -> bool {
        let names = |text: &str| {
            let (user, host) = text.rsplit_once('@').unwrap_or((text, text));
            let host = host.split(':').next().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
            [text.to_ascii_lowercase(), user.to_ascii_lowercase(), host]
        };
        let own = names(&self.bucket);
        names(authority).iter().any(|name| own.contains(name))
    }
}

impl Storage for Buckets {
    fn locate<'u>(&self, uri: &'u [u8]) -> Location<'u> {
        self.find(uri)
    }

    fn has_others(&self) -> bool {
        true
    }
}

impl Buckets {
    /// The buckets with these prefixes, e.g. `s3://bucket/prefix`.
    ///
    /// # Errors
    /// [`NotPrefix`].
    pub fn new<'p>(prefixes: impl IntoIterator<Item = &'p str>) -> Result<Self, NotPrefix> {
        let parsed = prefixes.into_iter().map(|text| Prefix::parse(text).ok_or(NotPrefix));
        let mut prefixes = parsed.collect::<Result<Vec<_>, _>>()?;
        // If one is inside of another, the longer one counts.
        prefixes.sort_by_key(|prefix| std::cmp::Reverse(prefix.path.len()));
        Ok(Self(prefixes))
    }

    fn find<'u>(&self, uri: &'u [u8]) -> Location<'u> {
        let uri = uri.trim_ascii_start();
        if uri.first() == Some(&b'/') && self.0.iter().any(|prefix| prefix.is_directory) {
            return self.locate_path(b"file", uri);
        }
        match scheme(uri) {
            Some((scheme, rest)) => self.locate_path(scheme, rest),
            None => Location::Outside,
        }
    }

    fn locate_path<'u>(&self, scheme: &[u8], rest: &'u [u8]) -> Location<'u> {
        let rest = &rest[rest.iter().take_while(|byte| **byte == b'/').count()..];
        let end = rest.iter().position(|byte| b"/?#\\".contains(byte)).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let Ok(authority) = std::str::from_utf8(authority) else { return self.unclear_if_contained(rest) };
        let is_file = scheme.eq_ignore_ascii_case(b"file");
        if is_file && authority.eq_ignore_ascii_case("localhost") {
            return self.locate_path(scheme, path);
        }
        let is_web = scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https");
        let mut location = Location::Outside;
        for prefix in self.0.iter().filter(|prefix| !prefix.is_directory || is_file) {
            let found = if authority.eq_ignore_ascii_case(&prefix.bucket)
                || (is_web && is_virtual_host(authority, &prefix.bucket))
            {
                prefix.place(path)
            } else if prefix.is_named_by(authority) || authority.contains('%') {
                Location::Unclear
            } else if is_web && is_store_host(authority) {
                prefix.place_by_path(path)
            } else {
                Location::Outside
            };
            match found {
                Location::Inside { .. } | Location::Root => return found,
                Location::Unclear => location = found,
                Location::Outside => {}
            }
        }
        location
    }

    /// The location of a text that is not valid UTF-8.
    fn unclear_if_contained<'u>(&self, rest: &[u8]) -> Location<'u> {
        let names = |prefix: &Prefix| {
            rest.windows(prefix.bucket.len()).any(|part| part.eq_ignore_ascii_case(prefix.bucket.as_bytes()))
        };
        if self.0.iter().any(names) { Location::Unclear } else { Location::Outside }
    }
}

impl Prefix {
    /// The location of a path in the bucket, which begins with its slash.
    fn place<'u>(&self, path: &'u [u8]) -> Location<'u> {
        let Ok(path) = std::str::from_utf8(path) else { return Location::Unclear };
        let Some(path) = path.strip_prefix('/') else {
            return if path.is_empty() && self.path.is_empty() { Location::Root } else { Location::Unclear };
        };
        let parts: Vec<&str> = path.split('/').collect();
        let elsewhere = if self.is_directory && parts.iter().all(|part| is_plain(part)) {
            Location::Outside
        } else {
            Location::Unclear
        };
        let below = |parts: &[&'u str]| {
            let (head, rest) = parts.split_at_checked(self.path.len())?;
            head.iter().zip(&self.path).all(|(part, own)| part == own).then(|| rest.to_vec())
        };
        let is_shard = |part: &str| {
            part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        // Two letters or digits are never taken for a project.
        match parts.split_first() {
            Some((first, rest)) if is_shard(first) && below(rest).is_some() => {
                below(rest).map_or(elsewhere, |rest| Self::place_below(&rest, true))
            }
            _ => below(&parts).map_or(elsewhere, |rest| Self::place_below(&rest, false)),
        }
    }

    /// The location of a URL whose path begins with the name of the bucket.
    fn place_by_path<'u>(&self, path: &'u [u8]) -> Location<'u> {
        let start = path.iter().take_while(|byte| **byte == b'/').count();
        let path = &path[start..];
        let end = path.iter().position(|byte| b"/?#\\".contains(byte)).unwrap_or(path.len());
        let (first, rest) = path.split_at(end);
        if first.eq_ignore_ascii_case(self.bucket.as_bytes()) {
            return if start == 1 { self.place(rest) } else { Location::Unclear };
        }
        if first.contains(&b'%') { Location::Unclear } else { Location::Outside }
    }

    fn place_below<'u>(parts: &[&'u str], is_sharded: bool) -> Location<'u> {
        let parts = match parts.split_first() {
            Some((&UPLOADS, rest)) if !is_sharded => rest,
            _ => parts,
        };
        if parts.iter().all(|part| part.is_empty()) && parts.len() < 2 {
            return if is_sharded { Location::Unclear } else { Location::Root };
        }
        match *parts {
            [organization, _, _, OFFLOADED_INPUTS, hash, ..] if is_name(organization) && is_name(hash) => {
                locate_parts(parts[1..].iter().copied())
            }
            _ => locate_parts(parts.iter().copied()),
        }
    }
}

/// The scheme of a URI, and what follows its colon.
fn scheme(text: &[u8]) -> Option<(&[u8], &[u8])> {
    if !text.first()?.is_ascii_alphabetic() {
        return None;
    }
    let end = text
        .iter()
        .take(MAX_SCHEME)
        .position(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'+' | b'-' | b'.'))?;
    let rest = text[end..].strip_prefix(b":")?;
    // An ARN of AWS: `arn:aws:s3:::bucket/key`.
    if text[..end].eq_ignore_ascii_case(b"arn") {
        let last = rest.iter().take_while(|byte| **byte != b'/').collect::<Vec<_>>();
        let start = last.iter().rposition(|byte| **byte == b':')? + 1;
        return Some((&text[..end], &rest[start..]));
    }
    rest.starts_with(b"/").then_some((&text[..end], rest))
}

/// Whether a host is a bucket's, e.g. `bucket.s3.amazonaws.com`.
fn is_virtual_host(authority: &str, bucket: &str) -> bool {
    authority.get(..bucket.len()).is_some_and(|head| head.eq_ignore_ascii_case(bucket))
        && authority[bucket.len()..].starts_with('.')
}

/// Whether a host sounds like a store of objects, whose URLs have the bucket in their path.
fn is_store_host(authority: &str) -> bool {
    let host = authority.rsplit('@').next().unwrap_or_default().to_ascii_lowercase();
    host.contains(':')
        || !host.contains('.')
        || host.split(['.', '-']).any(|word| {
            matches!(word, "s3" | "storage" | "minio" | "rustfs" | "blob" | "objects" | "ceph" | "r2" | "obs")
        })
        || host.parse::<std::net::Ipv4Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn located(uri: &str) -> String {
        let buckets = Buckets::new(["s3://flyte-data", "gs://other/pre/fix"]).unwrap();
        match buckets.locate(uri.as_bytes()) {
            Location::Inside { project, domain } => format!("{project}/{domain}"),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn the_layout_of_a_backend_is_understood() {
        for (uri, expected) in [
            ("s3://flyte-data/p/d/run/inputs/inputs.pb", "p/d"),
            ("s3://flyte-data/p/d/run/", "p/d"),
            ("s3://flyte-data/p/d", "p/d"),
            ("s3://flyte-data/a7/p/d/run/a0/1/outputs.pb", "p/d"),
            ("s3://flyte-data/uploads/p/d/ABCDEF/code.tar.gz", "p/d"),
            ("s3://flyte-data/uploads/p/d/offloaded-inputs/h-_1/inputs.pb", "p/d"),
            ("s3://flyte-data/uploads/acme/p/d/offloaded-inputs/h/inputs.pb", "p/d"),
            ("s3://flyte-data/acme/p/d/offloaded-inputs/h", "p/d"),
            ("gs://other/pre/fix/p/d/run/inputs", "p/d"),
            ("gs://other/zz/pre/fix/p/d/run/a0/1", "p/d"),
            ("gs://other/pre/fix/uploads/p/d/x/a%20file.txt", "p/d"),
            ("s3://flyte-data/p/d//x", "p/d"),
            ("s3://flyte-data", "Root"),
            ("s3://flyte-data/", "Root"),
            ("gs://other/pre/fix/", "Root"),
            ("s3://flyte-data/uploads", "Root"),
            ("gs://other/pre", "Unclear"),
            ("gs://other/p/d/run", "Unclear"),
            ("s3://flyte-data/p", "Unclear"),
            ("s3://flyte-data/a7", "Unclear"),
            ("s3://flyte-data/a7/p", "Unclear"),
        ] {
            assert_eq!(located(uri), expected, "{uri}");
        }
    }

    #[test]
    fn every_spelling_of_the_bucket_is_found() {
        for uri in [
            "S3://flyte-data/q/d/x",
            "s3://FLYTE-DATA/q/d/x",
            "s3a://flyte-data/q/d/x",
            "s3n://flyte-data/q/d/x",
            "gs://flyte-data/q/d/x",
            "https://flyte-data/q/d/x",
            "s3:///flyte-data/q/d/x",
            "s3:/flyte-data/q/d/x",
            " s3://flyte-data/q/d/x",
            "\t\ns3://flyte-data/q/d/x",
            "https://flyte-data.s3.amazonaws.com/q/d/x",
            "https://flyte-data.s3.eu-central-1.amazonaws.com/q/d/x?versionId=1",
            "HTTPS://Flyte-Data.S3.amazonaws.com/q/d/x",
            "https://s3.amazonaws.com/flyte-data/q/d/x",
            "https://s3-eu-west-1.amazonaws.com/flyte-data/q/d/x",
            "http://minio.flyte:9000/flyte-data/q/d/x",
            "http://127.0.0.1/flyte-data/q/d/x",
            "https://storage.googleapis.com/flyte-data/q/d/x",
            "arn:aws:s3:::flyte-data/q/d/x",
        ] {
            assert_eq!(located(uri), "q/d", "{uri:?}");
        }
    }

    #[test]
    fn a_path_in_another_form_is_unclear() {
        for uri in [
            "s3://flyte-data/p/d/../../q/d/x",
            "s3://flyte-data/p/d/x/..",
            "s3://flyte-data/p/d/..?x",
            "s3://flyte-data/p/d/..#x",
            "s3://flyte-data/p/d/./x",
            "s3://flyte-data/p/%64/x",
            "s3://flyte-data/%70/d/x",
            "s3://flyte-data/p/d/%2e%2e/%2E%2e/q/d",
            "s3://flyte-data/p/d/.%2e/x",
            "s3://flyte-data/p/d/x%2fy",
            "s3://flyte-data/p/d/x%5cy",
            "s3://flyte-data/p/d/%252e%252e/x",
            "s3://flyte-data/p/d/%00",
            "s3://flyte-data/p/d/%zz",
            "s3://flyte-data/p/d/%",
            "s3://flyte-data/p/d\\..\\..\\q\\d",
            "s3://flyte-data\\q\\d\\x",
            "s3://flyte-data//p/d/x",
            "s3://flyte-data/uploads//p/d/x",
            "s3://flyte-data/p//d/x",
            "s3://flyte-data?/q/d",
            "s3://flyte-data#/q/d",
            "s3://flyte-data/?p/d/x",
            "s3://user@flyte-data/q/d/x",
            "s3://user:pass@flyte-data/q/d/x",
            "s3://flyte-data:443/q/d/x",
            "s3://flyte-data./q/d/x",
            "s3://flyte%2ddata/q/d/x",
            "https://s3.amazonaws.com/flyte%2ddata/q/d/x",
            "https://s3.amazonaws.com//flyte-data/q/d/x",
            "abfss://flyte-data@account.dfs.core.windows.net/q/d/x",
            "s3://flyte-data/p/d/a\nb",
        ] {
            assert_eq!(located(uri), "Unclear", "{uri:?}");
        }
        let buckets = Buckets::new(["s3://flyte-data"]).unwrap();
        assert_eq!(buckets.locate(b"s3://flyte-data/p/d/\xff"), Location::Unclear);
        assert_eq!(buckets.locate(b"s3://flyte-data\xff/p/d"), Location::Unclear);
    }

    #[test]
    fn what_is_elsewhere_is_outside() {
        for uri in [
            "",
            "main",
            "p/d/x",
            "s3",
            "s3:",
            "s3:flyte-data/q/d",
            "docker:flyte",
            "s3://flyte-data2/q/d/x",
            "s3://flyte/q/d/x",
            "https://github.com/flyte-data/q/d/x",
            "https://flyte-databases.s3.amazonaws.com/q/d",
            "{{.input}}",
            "ghcr.io/flyteorg/flyte:py3.13",
            "/etc/passwd",
        ] {
            assert_eq!(located(uri), "Outside", "{uri:?}");
        }
    }

    #[test]
    fn a_directory_is_a_bucket_too() {
        let buckets = Buckets::new(["file:///tmp/flyte/data"]).unwrap();
        for uri in
            ["file:///tmp/flyte/data/q/d/x", "/tmp/flyte/data/q/d/x", "file://localhost/tmp/flyte/data/q/d/x"]
        {
            assert_eq!(
                buckets.locate(uri.as_bytes()),
                Location::Inside { project: "q", domain: "d" },
                "{uri}"
            );
        }
        for uri in ["/tmp/other", "/etc/passwd", "s3://tmp/flyte/data/q/d/x"] {
            assert_eq!(buckets.locate(uri.as_bytes()), Location::Outside, "{uri}");
        }
        assert_eq!(buckets.locate(b"/tmp/flyte/../flyte/data/q/d"), Location::Unclear);
        for wrong in ["", "bucket", "s3://", "s3://b/../c", "s3://b/a//c", "s3://b/%61", "s3:b"] {
            assert_eq!(Buckets::new([wrong]).err(), Some(NotPrefix), "{wrong:?}");
        }
    }

    #[test]
    fn objects_of_a_longer_prefix_are_placed_by_it() {
        let buckets = Buckets::new(["s3://b", "s3://b/runs/v2"]).unwrap();
        assert_eq!(buckets.locate(b"s3://b/runs/v2/p/d/x"), Location::Inside { project: "p", domain: "d" });
        assert_eq!(buckets.locate(b"s3://b/runs/v2"), Location::Root);
        assert_eq!(buckets.locate(b"s3://b/q/d/x"), Location::Inside { project: "q", domain: "d" });
    }
}
