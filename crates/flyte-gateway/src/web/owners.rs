//! To which projects the apps belong: their hosts say it in a way that can be read in several ways.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared, WeakShared},
};
use tokio::time::Instant;

use crate::{
    Gateway,
    namesakes::{AppId, app_with_the_name_of, object_name},
    question::Unanswered,
};
use flyte_access::{Caller, policy};

/// How long an owner counts before the backend is asked again.
const TTL: Duration = Duration::from_secs(10);
/// How long it counts that there is no app.
const NONE_TTL: Duration = Duration::from_secs(3);
/// The most hosts that are remembered.
const MAX_KNOWN: usize = 4096;

/// The owners of apps by their whole hosts: another host with the same first label can be that of another backend.
#[derive(Default)]
pub(super) struct Owners(Mutex<HashMap<String, Entry>>);

/// The owner of the app at a host, if there is an app.
type Owner = Option<AppId>;
type Lookup = BoxFuture<'static, Result<Owner, Unanswered>>;

enum Entry {
    Known(Owner, Instant),
    /// It is being asked, for all who want to know it now.
    Asked(WeakShared<Lookup>),
}

impl Entry {
    fn is_current(&self, now: Instant) -> bool {
        match self {
            Self::Known(owner, asked) => {
                now.duration_since(*asked) < if owner.is_some() { TTL } else { NONE_TTL }
            }
            Self::Asked(lookup) => lookup.upgrade().is_some(),
        }
    }
}

enum Next {
    Known(Owner),
    Wait(Shared<Lookup>),
}

impl Owners {
    /// Whether the app at a host belongs to a project and domain that the caller may see. The backend of this name says to which project
    /// it belongs; what that backend does not have, or has under another name, is not there. It is asked once, also if many
    /// callers want to know.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub(super) async fn may_see(
        &self,
        gateway: &Arc<Gateway>,
        caller: &Caller,
        backend: &str,
        host: &str,
    ) -> Result<bool, Unanswered> {
        let is_visible = |app: &AppId| policy::may_see(caller, &app.project, Some(&app.domain));
        let label = host.split('.').next().unwrap_or_default();
        // All readings are names of the same object, so the backend gives the same answer to each.
        let Some(reading) = readings(label).find(is_visible) else { return Ok(false) };
        let owner = match self.next(host, || ask(gateway, backend, label, reading)) {
            Next::Known(owner) => owner,
            Next::Wait(lookup) => {
                let owner = lookup.await?;
                self.note(host, owner.clone());
                owner
            }
        };
        Ok(owner.as_ref().is_some_and(is_visible))
    }

    fn hosts(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a host, or the question that is asked about it; `begin` asks it if it was not asked yet.
    fn next(&self, host: &str, begin: impl FnOnce() -> Lookup) -> Next {
        let mut hosts = self.hosts();
        match hosts.get(host) {
            Some(entry @ Entry::Known(owner, _)) if entry.is_current(Instant::now()) => {
                return Next::Known(owner.clone());
            }
            Some(Entry::Asked(lookup)) => {
                if let Some(lookup) = lookup.upgrade() {
                    return Next::Wait(lookup);
                }
            }
            _ => {}
        }
        let lookup = begin().shared();
        if let Some(weak) = lookup.downgrade() {
            put(&mut hosts, host, Entry::Asked(weak));
        }
        Next::Wait(lookup)
    }

    fn note(&self, host: &str, owner: Owner) {
        let mut hosts = self.hosts();
        // The first one who waited has noted it already.
        if !matches!(hosts.get(host), Some(entry @ Entry::Known(..)) if entry.is_current(Instant::now())) {
            put(&mut hosts, host, Entry::Known(owner, Instant::now()));
        }
    }
}

fn put(hosts: &mut HashMap<String, Entry>, host: &str, entry: Entry) {
    if hosts.len() >= MAX_KNOWN && !hosts.contains_key(host) {
        let now = Instant::now();
        hosts.retain(|_, entry| entry.is_current(now));
    }
    if hosts.len() >= MAX_KNOWN && !hosts.contains_key(host) {
        // Hosts that are made up do not displace those of apps.
        hosts.retain(|_, entry| !matches!(entry, Entry::Known(None, _)));
    }
    if hosts.len() < MAX_KNOWN || hosts.contains_key(host) {
        hosts.insert(host.to_owned(), entry);
    }
}

fn ask(gateway: &Arc<Gateway>, backend: &str, label: &str, reading: AppId) -> Lookup {
    let (gateway, label) = (Arc::clone(gateway), label.to_owned());
    let name = backend.to_owned();
    async move {
        let Some(upstream) = gateway.upstreams().find(|upstream| upstream.name() == name) else {
            return Err(Unanswered::unknown(&name));
        };
        let owner = app_with_the_name_of(upstream, &gateway.parts.config.org, &reading).await?;
        Ok(owner.filter(|owner| object_name(owner) == label))
    }
    .boxed()
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
