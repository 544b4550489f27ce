//! The periodic tasks of a running server.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
    time::{Interval, MissedTickBehavior},
};

use crate::{
    app::{App, Backend},
    tls::Tls,
};
use flyte_runs::Runs;

/// Revocations of other replicas take effect within a second.
const REVOCATION_INTERVAL: Duration = Duration::from_millis(500);
/// Streams end within a second after their callers lose their rights.
const STREAM_INTERVAL: Duration = Duration::from_millis(500);
/// A new signing key of another replica is found immediately by its unknown `kid`. The removal of a leaked key
/// (`flyte-server rotate-keys --revoke`) must take effect as fast.
const SIGNING_KEY_INTERVAL: Duration = Duration::from_millis(500);
/// How often certificate files are checked.
const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(10);
/// The time of an API key's last use is exact to a minute.
const USAGE_INTERVAL: Duration = Duration::from_secs(30);
/// How often the server looks for users who are due to be confirmed by a provider.
const RECHECK_INTERVAL: Duration = Duration::from_secs(15);
/// How often expired records are deleted.
const CLEAN_UP_INTERVAL: Duration = Duration::from_secs(300);

/// How often conditions without an answer are checked for their time limit.
const RUN_INTERVAL: Duration = Duration::from_secs(1);

/// Starts the tasks; dropping the returned value ends them. After this function has returned, SIGHUP no longer kills
/// the process.
///
/// Work that may write much, or wait for a long write, has its own task, so that reading revocations never waits.
///
/// # Errors
/// SIGHUP cannot be received.
pub(super) fn start(app: Arc<App>, tls: Option<Arc<Tls>>) -> io::Result<JoinSet<()>> {
    let hangup = signal(SignalKind::hangup())?;
    let mut tasks = JoinSet::new();
    tasks.spawn(watch_revocations(Arc::clone(&app)));
    tasks.spawn(watch_streams(Arc::clone(&app)));
    tasks.spawn(watch_keys(Arc::clone(&app)));
    tasks.spawn(watch_certificate(Arc::clone(&app), tls, hangup));
    tasks.spawn(write_usage(Arc::clone(&app)));
    match &app.backend {
        Backend::Embedded(embedded) => {
            tasks.spawn(watch_runs(Arc::clone(&embedded.runs)));
            tasks.spawn(Arc::clone(&embedded.runner).run());
            tasks.spawn(Arc::clone(&embedded.apps).run());
        }
        Backend::Upstream(gateway) => {
            let upkeep = gateway.start_upkeep();
            tasks.spawn(async move {
                std::future::pending::<()>().await;
                drop(upkeep);
            });
        }
    }
    tasks.spawn(recheck_users(Arc::clone(&app)));
    tasks.spawn(clean_up(app));
    Ok(tasks)
}

fn every(period: Duration) -> Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

async fn watch_revocations(app: Arc<App>) {
    let mut interval = every(REVOCATION_INTERVAL);
    loop {
        interval.tick().await;
        if let Err(error) = app.access.maintain().await {
            tracing::error!(%error, "revocations could not be read");
        }
    }
}

async fn watch_streams(app: Arc<App>) {
    let mut interval = every(STREAM_INTERVAL);
    loop {
        interval.tick().await;
        app.access.check_streams().await;
    }
}

async fn watch_keys(app: Arc<App>) {
    let mut interval = every(SIGNING_KEY_INTERVAL);
    loop {
        interval.tick().await;
        if let Err(error) = app.keys.maintain().await {
            tracing::error!(%error, "the signing keys could not be checked");
        }
    }
}

async fn watch_runs(runs: Arc<Runs>) {
    let mut interval = every(RUN_INTERVAL);
    loop {
        interval.tick().await;
        if let Err(error) = runs.maintain().await {
            tracing::error!(%error, "runs could not be checked");
        }
    }
}

async fn watch_certificate(app: Arc<App>, tls: Option<Arc<Tls>>, mut hangup: Signal) {
    let mut interval = every(CERTIFICATE_INTERVAL);
    loop {
        let outcome = tokio::select! {
            _ = interval.tick() => tls.as_deref().map(|tls| tls.maintain(app.clock.now())),
            _ = hangup.recv() => tls.as_deref().map(|tls| tls.reload(app.clock.now())),
        };
        if let Some(Err(error)) = outcome {
            tracing::error!(%error, "the certificate could not be renewed; the one in use is kept");
        }
    }
}

async fn write_usage(app: Arc<App>) {
    let mut interval = every(USAGE_INTERVAL);
    loop {
        interval.tick().await;
        if let Err(error) = app.write_usage().await {
            tracing::error!(%error, "the last uses of API keys and sign-ins could not be written");
        }
    }
}

async fn recheck_users(app: Arc<App>) {
    let mut interval = every(RECHECK_INTERVAL);
    loop {
        interval.tick().await;
        if let Err(error) = flyte_oauth::recheck_outside_users(&app.authorization_server).await {
            tracing::error!(%error, "providers could not be asked about their users again");
        }
    }
}

async fn clean_up(app: Arc<App>) {
    let mut interval = every(CLEAN_UP_INTERVAL);
    loop {
        interval.tick().await;
        remove_expired(&app).await;
        if app.embedded().is_some() {
            renew_authorities(&app).await;
        }
    }
}

/// Writes the authorities for tasks: the system's or the server's own may have changed.
async fn renew_authorities(app: &Arc<App>) {
    let app = Arc::clone(app);
    let written =
        tokio::task::spawn_blocking(move || flyte_runner_local::authorities::install(&app.config)).await;
    if let Err(error) = written.map_err(io::Error::other).flatten() {
        tracing::error!(%error, "the authorities that tasks trust could not be written");
    }
}

async fn remove_expired(app: &App) {
    let now = app.clock.now();
    let removed = async {
        let sessions = app.store.delete_expired_sessions(now).await?;
        let sessions = sessions + app.store.delete_expired_account_links(now).await?;
        let devices = app.store.delete_expired_devices(now).await?;
        let revocations = app.store.delete_expired_revocations(now).await?;
        let revocations = revocations + app.store.delete_expired_assertions(now).await?;
        let grants = app.store.delete_expired_grants(now).await?;
        let sessions = sessions + app.store.delete_unused_outside_sessions(now).await?;
        let kept_since = now.saturating_sub(app.config.audit.retention);
        let results = match app.embedded() {
            Some(embedded) => embedded.runs.clean_up().await?,
            None => 0,
        };
        let forgotten = app.clock.now_millis().saturating_sub(flyte_store::RUN_STARTER_RETENTION);
        let results = results + app.store.delete_run_starters(forgotten).await?;
        let events = app.store.delete_audit_records_before(kept_since).await?;
        Ok::<_, flyte_store::StoreError>((sessions, devices, grants + revocations + results, events))
    };
    match removed.await {
        Ok((0, 0, 0, 0)) => {}
        Ok((sessions, devices, grants, events)) => {
            tracing::debug!(sessions, devices, grants, events, "expired records were removed");
        }
        Err(error) => tracing::error!(%error, "expired records could not be removed"),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use rusqlite::Connection;
    use tokio::time::timeout;

    use super::*;
    use crate::testing::{self, NOW};
    use flyte_access::Caller;
    use flyte_store_sqlite::SqliteStore;

    #[tokio::test]
    async fn streams_end_when_their_tokens_expire() {
        let app = Arc::new(testing::app(|_| {}).await);
        let _upkeep = start(Arc::clone(&app), None).unwrap();
        let mut ada = testing::user("Ada");
        ada.admin = true;
        app.store.create_user(&ada).await.unwrap();
        let mut headers = HeaderMap::new();
        let token = app.keys.sign("at+jwt", &serde_json::json!({})).unwrap();
        headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
        let caller = Caller { subject: ada.id, expires_at: NOW + 60, ..Caller::for_test() };
        let mut stream = app.access.open_stream(&Arc::new(caller), &headers).unwrap();
        let ended = tokio::spawn(async move { stream.ended().await.to_string() });
        app.clock.advance(60);
        let ended = timeout(Duration::from_secs(60), ended).await.expect("it ends by itself").unwrap();
        assert_eq!(ended, "the token has expired");
    }

    #[tokio::test]
    async fn revocations_do_not_wait_for_the_clean_up() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("flyte.db");
        let mut app = testing::app(|_| {}).await;
        app.store = Arc::new(SqliteStore::open(&path).unwrap());
        // Like a backup or another replica: other writers wait for seconds.
        let other = Connection::open(&path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let app = Arc::new(app);
        let _upkeep = start(Arc::clone(&app), None).unwrap();
        for now in [NOW, NOW + 1] {
            let read = async {
                while app.access.revocations_read_at() != Some(now) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            timeout(Duration::from_secs(3), read).await.expect("revocations are read all the time");
            app.clock.advance(1);
        }
    }
}
