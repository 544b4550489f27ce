//! CI systems whose tokens we know.

use std::collections::BTreeMap;

/// A CI system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    GitHub,
    GitLab,
    Kubernetes,
}

impl Known {
    /// Its issuer; `None` where each installation has its own.
    pub(super) fn issuer(self) -> Option<&'static str> {
        match self {
            Self::GitHub => Some("https://token.actions.githubusercontent.com"),
            Self::GitLab => Some("https://gitlab.com"),
            Self::Kubernetes => None,
        }
    }

    /// The claims of jobs of a repository, project or service account.
    ///
    /// Where there is a claim for just that, it is taken rather than `sub`, whose form GitHub lets each organization change.
    pub(super) fn claims(
        self,
        path: &str,
        git_ref: Option<&str>,
        environment: Option<&str>,
    ) -> BTreeMap<String, String> {
        let (owner, name) = path.split_once('/').unwrap_or((path, ""));
        let (claim, pattern, ref_claim) = match self {
            Self::GitHub => ("repository", path.to_owned(), "ref"),
            // GitLab's `ref` is the branch's bare name, which a tag may have too.
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

    /// What remains to be done at the CI system.
    pub(super) fn next_step(self) -> &'static str {
        match self {
            Self::GitHub => "In the workflow, let the job have a token:  permissions: { id-token: write }",
            Self::GitLab => {
                "In .gitlab-ci.yml, let the job have a token:  id_tokens: with aud: the rule's audience"
            }
            Self::Kubernetes => {
                "In the pod, mount a token:  a projected serviceAccountToken volume with the rule's audience"
            }
        }
    }
}
