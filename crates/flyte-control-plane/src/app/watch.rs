//! The stream of changes of apps.

use std::{collections::BTreeMap, sync::Arc};

use buffa::MessageField;
use connectrpc::ConnectError;
use flyte_idl::flyteidl2::app::{
    CreateEvent, DeleteEvent, UpdateEvent, WatchResponse, watch_response::Event,
};
use futures_util::{Stream, StreamExt as _, stream};

use super::{super::store_error, message::Messages};
use crate::{ControlPlane, visible::Visible};
use flyte_runs::Watcher;
use flyte_store::{AppId, AppQuery, AppRecord};

/// The number of apps that are read at a time.
const PAGE_SIZE: u32 = 1000;

/// The apps to watch.
pub(super) enum Watched {
    App(AppId),
    Visible(Visible),
}

impl Watched {
    async fn read(&self, plane: &ControlPlane) -> Result<BTreeMap<AppId, AppRecord>, ConnectError> {
        let mut found = BTreeMap::new();
        match self {
            Self::App(id) => {
                let record = plane.store.app_by_id(id).await.map_err(store_error)?;
                found.extend(record.map(|record| (id.clone(), record)));
            }
            Self::Visible(Visible { project, domain, only_in }) => {
                let mut query = AppQuery {
                    only_in: only_in.clone(),
                    project: project.clone(),
                    domain: domain.clone(),
                    limit: PAGE_SIZE,
                    ..AppQuery::default()
                };
                loop {
                    let (page, token) = plane.store.list_apps(&query).await.map_err(store_error)?;
                    found.extend(page.into_iter().map(|record| (record.id.clone(), record)));
                    if token.is_empty() {
                        break;
                    }
                    query.page_token = token;
                }
            }
        }
        Ok(found)
    }
}

struct Watch {
    plane: Arc<ControlPlane>,
    watched: Watched,
    watcher: Watcher,
    /// The apps as they were last sent; `None` before the first message.
    known: Option<BTreeMap<AppId, AppRecord>>,
}

/// Sends an update for each existing app, and then each change. Ends when the server stops.
pub(super) fn events(
    plane: Arc<ControlPlane>,
    watched: Watched,
) -> impl Stream<Item = Result<WatchResponse, ConnectError>> + Send + use<> {
    // The watcher starts before the first read, so no later change is missed.
    let watcher = plane.apps.watch();
    let watch = Watch { plane, watched, watcher, known: None };
    stream::try_unfold(watch, async |mut watch: Watch| {
        loop {
            if watch.known.is_some() {
                tokio::select! {
                    () = watch.plane.stopping.stopped() => return Ok(None),
                    () = watch.watcher.changed() => {}
                }
            }
            let now = watch.watched.read(&watch.plane).await?;
            let events = differences(&watch.plane, watch.known.as_ref(), &now).await?;
            watch.known = Some(now);
            if !events.is_empty() {
                return Ok(Some((stream::iter(events.into_iter().map(Ok)), watch)));
            }
        }
    })
    .map(|events: Result<_, ConnectError>| match events {
        Ok(events) => events.left_stream(),
        Err(error) => stream::once(async { Err(error) }).right_stream(),
    })
    .flatten()
}

async fn differences(
    plane: &ControlPlane,
    before: Option<&BTreeMap<AppId, AppRecord>>,
    now: &BTreeMap<AppId, AppRecord>,
) -> Result<Vec<WatchResponse>, ConnectError> {
    let mut messages = Messages::new(plane);
    let mut events = Vec::new();
    for (id, record) in now {
        let old = match before {
            None => Some(record),
            Some(before) => before.get(id),
        };
        let event = match old {
            Some(old) if before.is_some() && old == record => continue,
            Some(old) => Event::from(UpdateEvent {
                updated_app: MessageField::some(messages.message(record).await?),
                old_app: MessageField::some(messages.message(old).await?),
                ..UpdateEvent::default()
            }),
            None => Event::from(CreateEvent {
                app: MessageField::some(messages.message(record).await?),
                ..CreateEvent::default()
            }),
        };
        events.push(event);
    }
    for (id, record) in before.into_iter().flatten() {
        if !now.contains_key(id) {
            let app = MessageField::some(messages.message(record).await?);
            events.push(Event::from(DeleteEvent { app, ..DeleteEvent::default() }));
        }
    }
    Ok(events
        .into_iter()
        .map(|event| WatchResponse { event: Some(event), ..WatchResponse::default() })
        .collect())
}
