//! To which projects the apps belong: their hosts say it in a way that can be read in several ways.

use std::{collections::HashMap, sync::Mutex, sync::PoisonError, time::Duration};

use tokio::time::Instant;

use crate::{
    Gateway,
    namesakes::{AppId, app_with_the_name_of, object_name},
    question::Unanswered,
};
use flyte_access::{Caller, policy};

/// How long an owner counts before the backend is asked again.
const TTL: Duration = Duration::from_secs(10);
/// The most owners that are remembered.
const MAX_KNOWN: usize = 4096;
/// The most readings of a host that the backend is asked about.
const MAX_READINGS: usize = 8;

/// The owners of apps by the first label of their hosts, which is the name of the app's object.
#[derive(Debug, Default)]
pub(super) struct Owners(Mutex<HashMap<String, (AppId, Instant)>>);

impl Owners {
    /// Whether the app at a host belongs to a project and domain that the caller may see. The backend says to which project it belongs;
    /// what it does not have, or has under another name, is not there.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub(super) async fn may_see(
        &self,
        gateway: &Gateway,
        caller: &Caller,
        label: &str,
    ) -> Result<bool, Unanswered> {
        let is_visible = |app: &AppId| policy::may_see(caller, &app.project, Some(&app.domain));
        let now = Instant::now();
        if let Some(owner) = self.known(label, now) {
            return Ok(is_visible(&owner));
        }
        let organization = &gateway.parts.config.org;
        for reading in readings(label).filter(is_visible).take(MAX_READINGS) {
            for upstream in gateway.upstreams() {
                let owner = app_with_the_name_of(upstream, organization, &reading).await?;
                if let Some(owner) = owner.filter(|owner| object_name(owner) == label) {
                    let is_visible = is_visible(&owner);
                    self.note(label, owner, now);
                    return Ok(is_visible);
                }
            }
        }
        Ok(false)
    }

    fn known(&self, label: &str, now: Instant) -> Option<AppId> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(label).filter(|(_, asked)| now.duration_since(*asked) < TTL).map(|(owner, _)| owner.clone())
    }

    fn note(&self, label: &str, owner: AppId, now: Instant) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_KNOWN {
            known.retain(|_, (_, asked)| now.duration_since(*asked) < TTL);
        }
        if known.len() < MAX_KNOWN {
            known.insert(label.to_owned(), (owner, now));
        }
    }
}

/// The apps whose objects have this name.
fn readings(label: &str) -> impl Iterator<Item = AppId> {
    let dashes = || label.match_indices('-').map(|(at, _)| at);
    let pairs = dashes().flat_map(move |first| {
        dashes().filter(move |second| *second > first + 1).map(move |second| (first, second))
    });
    pairs.filter_map(|(first, second)| {
        let (name, project, domain) = (&label[..first], &label[first + 1..second], &label[second + 1..]);
        let is_whole = !name.is_empty() && !domain.is_empty();
        let owned = |text: &str| text.to_owned();
        is_whole.then(|| AppId { project: owned(project), domain: owned(domain), name: owned(name) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_in_every_way() {
        let read = |label| {
            let apps =
                readings(label).map(|AppId { project, domain, name }| format!("{name}/{project}/{domain}"));
            apps.collect::<Vec<_>>()
        };
        assert_eq!(read("x-a-b-dev"), ["x/a/b-dev", "x/a-b/dev", "x-a/b/dev"]);
        for none in ["x", "x-a", "-a-b", "x-a-", "x--b", ""] {
            assert_eq!(read(none), [""; 0], "{none}");
        }
        for app in readings("x-a-b-dev") {
            assert_eq!(object_name(&app), "x-a-b-dev");
        }
    }
}
