//! CI systems with known claims.

use std::collections::BTreeMap;

/// A CI system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    GitHub,
    GitLab,
    Kubernetes,
}

impl Known {
    /// The issuer of the CI system; `None` if each installation has its own.
    pub(super) fn issuer(self) -> Option<&'static str> {
        match self {
            Self::GitHub => Some("https://token.actions.githubusercontent.com"),
            Self::GitLab => Some("https://gitlab.com"),
            Self::Kubernetes => None,
        }
    }

    /// The claims that identify jobs of a repository, project or service account.
    ///
    /// Uses a specific claim if there is one, rather than `sub`, because at GitHub each organization can change the form of `sub`.
    pub(super) fn claims(
        self,
        path: &str,
        git_ref: Option<&str>,
        environment: Option<&str>,
    ) -> BTreeMap<String, String> {
        let (owner, name) = path.split_once('/').unwrap_or((path, ""));
        let (claim, pattern, ref_claim) = match self {
            Self::GitHub => ("repository", path.to_owned(), "ref"),
            // GitLab's `ref` is the name of the branch without a prefix, which a tag can also have.
            Self::GitLab => ("project_path", path.to_owned(), "ref_path"),
            Self::Kubernetes => ("sub", format!("system:serviceaccount:{owner}:{name}"), "ref"),
        };
        let mut claims = BTreeMap::from([(claim.to_owned(), pattern)]);
        for (name, pattern) in [(ref_claim, git_ref), ("environment", environment)] {
            if let Some(pattern) = pattern {
                claims.insert(name.to_owned(), pattern.to_owned());
            }
        }
        claims
    }

    /// The remaining steps at the CI system, for a rule with this audience.
    pub(super) fn next_step(self, endpoint: &str, audience: &str) -> String {
        let endpoint = endpoint.strip_prefix("https://").unwrap_or(endpoint);
        let step = match self {
            Self::GitHub => {
                "In the workflow, allow the job to get a token:  permissions: { id-token: write }".to_owned()
            }
            Self::GitLab => format!(
                "In .gitlab-ci.yml, request a token for the job:  id_tokens: {{ FLYTE_ID_TOKEN: {{ aud: {audience} }} }}"
            ),
            Self::Kubernetes => format!(
                "In the pod, mount a token as /var/run/secrets/flyte/token (or set FLYTE_ID_TOKEN_FILE to its file):  \
                 a projected volume with serviceAccountToken: {{ path: token, audience: {audience} }}"
            ),
        };
        format!("{step}\nAnd set the address of the server:  FLYTE_ADMIN_ENDPOINT={endpoint}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_step_names_the_variables_of_the_job() {
        let step = |known: Known| known.next_step("https://flyte.example.com", "https://login.example.com");
        for (known, parts) in [
            (Known::GitHub, &["id-token: write"][..]),
            (Known::GitLab, &["FLYTE_ID_TOKEN: { aud: https://login.example.com }"]),
            (
                Known::Kubernetes,
                &[
                    "/var/run/secrets/flyte/token",
                    "FLYTE_ID_TOKEN_FILE",
                    "audience: https://login.example.com",
                ],
            ),
        ] {
            for part in parts.iter().chain(&["FLYTE_ADMIN_ENDPOINT=flyte.example.com"]) {
                assert!(step(known).contains(part), "{part}: {}", step(known));
            }
        }
    }
}
