//! Which address gets a call, and when a call is sent again.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::Request;
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use super::{Outbound, Upstream, UpstreamError};
use crate::{
    options::{HealthOptions, UpstreamOptions},
    tests::{PATIENCE, backend::Backend},
};

/// An upstream whose name has the addresses that a test sets.
fn upstream(
    addresses: &[SocketAddr],
    change: impl FnOnce(&mut UpstreamOptions),
) -> (Upstream, Arc<Mutex<Vec<SocketAddr>>>) {
    let addresses = Arc::new(Mutex::new(addresses.to_vec()));
    let mut options = UpstreamOptions::new("backend", "http://backend.example.com".parse().unwrap());
    options.connect_timeout = Duration::from_millis(500);
    change(&mut options);
    let found = Arc::clone(&addresses);
    let look = move |_| {
        let found = found.lock().unwrap().clone();
        async move { Ok(found) }.boxed()
    };
    (Upstream::resolved_by(options, Box::new(look)), addresses)
}

fn request() -> Request<()> {
    Request::post("http://backend.example.com/a.B/C")
        .header("content-type", "application/proto")
        .body(())
        .unwrap()
}

/// The body of the answer.
async fn call(upstream: &Upstream) -> Result<Bytes, UpstreamError> {
    let outbound = Outbound::whole(Bytes::from_static(b"request"));
    let answer = timeout(PATIENCE, upstream.send(request(), outbound)).await.expect("an end")?;
    Ok(answer.into_body().collect().await?.to_bytes())
}

/// A backend that answers with its name.
async fn named(name: &'static str) -> Backend {
    Backend::new(move |mut exchange| async move {
        let _ = exchange.read().await;
        super::super::tests::backend::answer(&mut exchange, Bytes::from_static(name.as_bytes()));
    })
    .await
}

/// An address where nothing listens.
async fn nowhere() -> SocketAddr {
    let backend = named("gone").await;
    backend.kill();
    // The port is free again when the listener is.
    while tokio::net::TcpStream::connect(backend.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    backend.address
}

#[tokio::test]
async fn calls_go_to_the_addresses_that_work() {
    let (one, two) = (named("one").await, named("two").await);
    let (upstream, _) = upstream(&[nowhere().await, one.address, two.address], |_| {});
    for _ in 0..10 {
        assert!(call(&upstream).await.is_ok());
    }
    one.kill();
    for _ in 0..10 {
        // A call that is on its way while the connection breaks may fail; later ones may not.
        let _ = call(&upstream).await;
    }
    assert_eq!(call(&upstream).await.unwrap(), "two");
}

#[tokio::test]
async fn open_calls_are_spread() {
    let hold = || async {
        Backend::new(|mut exchange| async move {
            let _stream = exchange.head("application/proto");
            std::future::pending::<()>().await;
        })
        .await
    };
    let (one, two) = (hold().await, hold().await);
    let (upstream, _) = upstream(&[one.address, two.address], |_| {});
    let mut open = Vec::new();
    for _ in 0..10 {
        let outbound = Outbound::whole(Bytes::from_static(b"request"));
        open.push(upstream.send(request(), outbound).await.unwrap());
    }
    assert_eq!((one.received().len(), two.received().len()), (5, 5));
}

#[tokio::test]
async fn new_addresses_are_used_when_the_old_ones_are_gone() {
    let old = named("old").await;
    let (upstream, addresses) = upstream(&[old.address], |_| {});
    assert_eq!(call(&upstream).await.unwrap(), "old");
    let new = named("new").await;
    *addresses.lock().unwrap() = vec![new.address];
    upstream.maintain().await;
    assert_eq!(upstream.addresses(), [new.address]);
    assert_eq!(call(&upstream).await.unwrap(), "new");
    // Also without waiting for the next interval.
    let newest = named("newest").await;
    *addresses.lock().unwrap() = vec![newest.address];
    new.kill();
    upstream.resolved.lock().await.take();
    timeout(PATIENCE, async { while call(&upstream).await.ok().is_none_or(|name| name != "newest") {} })
        .await
        .unwrap();
}

#[tokio::test]
async fn an_address_that_fails_gets_no_calls_for_a_while_and_then_again() {
    let broken = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let is_broken = Arc::clone(&broken);
    let bad = Backend::new(move |mut exchange| {
        let is_broken = is_broken.load(Ordering::SeqCst);
        async move {
            if is_broken {
                return exchange.respond.send_reset(h2::Reason::INTERNAL_ERROR);
            }
            super::super::tests::backend::answer(&mut exchange, Bytes::from_static(b"bad"));
        }
    })
    .await;
    let good = named("good").await;
    let addresses = [bad.address, good.address];
    let with = |eject_for| {
        upstream(&addresses, |options| (options.eject_after, options.eject_for) = (3, eject_for)).0
    };
    let for_long = with(Duration::from_secs(3600));
    let mut failures = 0;
    for _ in 0..20 {
        failures += usize::from(call(&for_long).await.is_err());
    }
    assert_eq!((failures, bad.received().len()), (3, 3), "three failures, and then no more calls");
    let for_a_moment = with(Duration::from_millis(1));
    while call(&for_a_moment).await.is_err() {}
    broken.store(false, Ordering::SeqCst);
    timeout(PATIENCE, async { while call(&for_a_moment).await.unwrap() != "bad" {} })
        .await
        .expect("it is back");
}

#[tokio::test]
async fn the_only_address_is_never_left_out() {
    let backend = Backend::new(|mut exchange| async move {
        exchange.respond.send_reset(h2::Reason::INTERNAL_ERROR);
    })
    .await;
    let (upstream, _) = upstream(&[backend.address], |options| options.eject_after = 1);
    for _ in 0..5 {
        assert!(matches!(call(&upstream).await, Err(UpstreamError::Broken)));
    }
    assert_eq!(backend.received().len(), 5, "each call was tried once");
}

#[tokio::test]
async fn health_checks_decide_which_addresses_get_calls() {
    let is_healthy = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let for_backend = Arc::clone(&is_healthy);
    let sick = Backend::new(move |mut exchange| {
        let is_healthy = for_backend.load(Ordering::SeqCst);
        async move {
            if exchange.head.uri.path() == "/healthz" {
                let status = if is_healthy { 200 } else { 503 };
                let head = http::Response::builder().status(status).body(()).unwrap();
                exchange.respond.send_response(head, true).unwrap();
            } else {
                super::super::tests::backend::answer(&mut exchange, Bytes::from_static(b"sick"));
            }
        }
    })
    .await;
    let (upstream, addresses) = upstream(&[sick.address], |options| {
        options.health = Some(HealthOptions {
            path: "/healthz".to_owned(),
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(5),
        });
    });
    upstream.check_health().await;
    assert_eq!(call(&upstream).await.unwrap(), "sick", "the only address is tried all the same");
    let fit = Backend::new(|mut exchange| async move {
        let head = http::Response::builder().header("content-type", "application/proto").body(()).unwrap();
        let mut stream = exchange.respond.send_response(head, false).unwrap();
        stream.send_data(Bytes::from_static(b"fit"), true).unwrap();
    })
    .await;
    addresses.lock().unwrap().push(fit.address);
    upstream.maintain().await;
    upstream.check_health().await;
    for _ in 0..5 {
        assert_eq!(call(&upstream).await.unwrap(), "fit");
    }
    is_healthy.store(true, Ordering::SeqCst);
    fit.kill();
    upstream.check_health().await;
    assert_eq!(call(&upstream).await.unwrap(), "sick");
}

#[tokio::test]
async fn only_a_call_that_was_not_begun_is_sent_again() {
    let calls = Arc::new(AtomicUsize::new(0));
    for (reason, is_repeated) in [
        (h2::Reason::REFUSED_STREAM, true),
        (h2::Reason::INTERNAL_ERROR, false),
        (h2::Reason::CANCEL, false),
        (h2::Reason::ENHANCE_YOUR_CALM, false),
    ] {
        calls.store(0, Ordering::SeqCst);
        let for_backend = Arc::clone(&calls);
        let backend = Backend::new(move |mut exchange| {
            let call = for_backend.fetch_add(1, Ordering::SeqCst);
            async move {
                if call == 0 {
                    return exchange.respond.send_reset(reason);
                }
                let _ = exchange.read().await;
                super::super::tests::backend::answer(&mut exchange, Bytes::from_static(b"done"));
            }
        })
        .await;
        let (upstream, _) = upstream(&[backend.address], |_| {});
        let got = call(&upstream).await;
        let expected = if is_repeated { 2 } else { 1 };
        assert_eq!(
            (got.is_ok(), calls.load(Ordering::SeqCst)),
            (is_repeated, expected),
            "{reason:?}: {got:?}"
        );
    }
}

#[tokio::test]
async fn a_connection_that_goes_away_loses_no_call() {
    // Each connection takes one call, and then says that it goes.
    let backend = Backend::raw(|tcp| async move {
        let mut connection = h2::server::handshake(tcp).await.unwrap();
        if let Some(Ok((request, respond))) = connection.accept().await {
            connection.graceful_shutdown();
            let (head, body) = request.into_parts();
            let mut exchange = crate::tests::backend::Exchange { head, body, respond };
            tokio::spawn(async move {
                let _ = exchange.read().await;
                crate::tests::backend::answer(&mut exchange, Bytes::from_static(b"done"));
            });
        }
        while let Some(Ok(_)) = connection.accept().await {}
    })
    .await;
    let (upstream, _) = upstream(&[backend.address], |_| {});
    for _ in 0..5 {
        assert_eq!(call(&upstream).await.unwrap(), "done");
    }
}

#[tokio::test]
async fn more_connections_are_opened_when_streams_run_out() {
    let backend = Backend::with_streams(Some(10), |mut exchange| async move {
        let _stream = exchange.head("application/proto");
        std::future::pending::<()>().await;
    })
    .await;
    let (upstream, _) = upstream(&[backend.address], |options| options.max_connections = 3);
    let mut open = Vec::new();
    for _ in 0..30 {
        let outbound = Outbound::whole(Bytes::from_static(b"request"));
        let answer = timeout(PATIENCE, upstream.send(request(), outbound)).await.expect("a stream").unwrap();
        open.push(answer);
    }
    assert_eq!(backend.connections.load(Ordering::SeqCst), 3);
    let outbound = Outbound::whole(Bytes::from_static(b"request"));
    let one_more = upstream.send(request(), outbound).await;
    assert!(matches!(one_more, Err(UpstreamError::Full)), "{one_more:?}");
    drop(open.pop());
    let outbound = Outbound::whole(Bytes::from_static(b"request"));
    assert!(timeout(PATIENCE, upstream.send(request(), outbound)).await.expect("a stream").is_ok());
}

#[tokio::test]
async fn many_calls_at_once_share_the_attempt_to_connect() {
    let backend = named("one").await;
    let (upstream, _) = upstream(&[backend.address], |_| {});
    let calls = (0..50).map(|_| call(&upstream));
    for got in futures_util::future::join_all(calls).await {
        assert_eq!(got.unwrap(), "one");
    }
    assert_eq!(backend.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_address_that_does_not_answer_is_left_in_time() {
    // Its connections are accepted by the kernel, and by nothing else.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (alone, _) = upstream(&[silent.local_addr().unwrap()], |options| {
        options.connect_timeout = Duration::from_millis(100);
    });
    assert!(matches!(call(&alone).await, Err(UpstreamError::ConnectTimeout)));
    let good = named("good").await;
    let (upstream, _) = upstream(&[silent.local_addr().unwrap(), good.address], |options| {
        options.connect_timeout = Duration::from_millis(100);
    });
    for _ in 0..3 {
        assert_eq!(call(&upstream).await.unwrap(), "good");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_at_its_start_does_not_make_a_backend_one_of_http1() {
    let connections = AtomicUsize::new(0);
    let backend = Backend::raw(move |tcp| {
        let connection = connections.fetch_add(1, Ordering::SeqCst);
        async move {
            if connection < 2 {
                return drop(tcp);
            }
            let mut connection = h2::server::handshake(tcp).await.unwrap();
            while let Some(Ok((request, respond))) = connection.accept().await {
                let (head, body) = request.into_parts();
                let mut exchange = crate::tests::backend::Exchange { head, body, respond };
                tokio::spawn(async move {
                    let _ = exchange.read().await;
                    crate::tests::backend::answer(&mut exchange, Bytes::from_static(b"done"));
                });
            }
        }
    })
    .await;
    let (upstream, _) = upstream(&[backend.address], |_| {});
    for _ in 0..2 {
        assert!(matches!(call(&upstream).await, Err(UpstreamError::Connect(_))));
    }
    assert_eq!(call(&upstream).await.unwrap(), "done");
}

#[tokio::test]
async fn a_backend_that_closes_every_connection_is_not_asked_for_ever() {
    let backend = Backend::raw(|tcp| async move {
        // Proves that it speaks HTTP/2, and goes away.
        let mut connection =
            h2::server::Builder::new().max_concurrent_streams(0).handshake::<_, Bytes>(tcp).await.unwrap();
        while let Some(Ok(_)) = connection.accept().await {}
    })
    .await;
    let (upstream, _) = upstream(&[backend.address], |options| options.max_connections = 3);
    let error = call(&upstream).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Full | UpstreamError::Refused), "{error:?}");
}
