//! The person at the browser.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use url::Url;

use super::Served;
use crate::Interaction;

/// A person whose browser is an HTTP client: it follows the redirects of a sign-in.
#[derive(Debug)]
pub(super) struct Person {
    browser: reqwest::Client,
    habit: Habit,
    /// The last page's status and text.
    page: Mutex<Option<(u16, String)>>,
    /// The number of times that the person was asked.
    pub(super) asked: AtomicUsize,
    pub(super) complaints: Mutex<Vec<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Habit {
    SignsIn,
    LooksAway,
    /// Pastes a wrong address first, then the address of the browser's last page.
    Pastes,
}

impl Person {
    pub(super) fn new(served: &Served, habit: Habit) -> Arc<Self> {
        Self::trusting(&served.ca_file(), habit)
    }

    /// Creates a person whose browser trusts the authority in this file.
    pub(super) fn trusting(ca_file: &std::path::Path, habit: Habit) -> Arc<Self> {
        let ca = reqwest::Certificate::from_pem(&std::fs::read(ca_file).unwrap()).unwrap();
        let mut browser = reqwest::Client::builder().no_proxy().tls_certs_only([ca]);
        if habit == Habit::Pastes {
            browser = browser.redirect(reqwest::redirect::Policy::none());
        }
        Arc::new(Self {
            browser: browser.build().unwrap(),
            habit,
            page: Mutex::default(),
            asked: AtomicUsize::new(0),
            complaints: Mutex::default(),
        })
    }

    /// Waits for the browser's last page.
    pub(super) async fn page(&self) -> (u16, String) {
        for _ in 0..200 {
            if let Some(page) = self.page.lock().unwrap().clone() {
                return page;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the browser never got a page");
    }
}

/// The [`Interaction`] of a [`Person`].
#[derive(Debug)]
pub(super) struct AtTheScreen(Arc<Person>, Mutex<Vec<String>>);

impl AtTheScreen {
    pub(super) fn new(person: &Arc<Person>) -> Arc<Self> {
        Arc::new(Self(Arc::clone(person), Mutex::default()))
    }
}

#[async_trait]
impl Interaction for AtTheScreen {
    fn is_interactive(&self) -> bool {
        true
    }

    async fn open_browser(&self, url: &Url) -> bool {
        let person = Arc::clone(&self.0);
        person.asked.fetch_add(1, Ordering::SeqCst);
        match person.habit {
            Habit::LooksAway => {}
            Habit::Pastes => {
                let ended = person.browser.get(url.clone()).send().await.unwrap();
                let ended = ended.headers()["location"].to_str().unwrap().to_owned();
                *self.1.lock().unwrap() = vec![ended, "https://example.com/?state=1".to_owned()];
                return false;
            }
            Habit::SignsIn => {
                let url = url.clone();
                tokio::spawn(async move {
                    let response = person.browser.get(url).send().await.unwrap();
                    let status = response.status().as_u16();
                    let text = response.text().await.unwrap();
                    *person.page.lock().unwrap() = Some((status, text));
                });
            }
        }
        true
    }

    fn authorize_url(&self, _: &Url, _: bool) {}
    fn waiting(&self, _: Option<&crate::Holder>) {}
    fn done(&self) {}

    fn next_step(&self, _: &crate::AuthError) -> Option<String> {
        Some("Try again.".to_owned())
    }

    fn unusable_paste(&self, error: &crate::AuthError) {
        self.0.complaints.lock().unwrap().push(error.to_string());
    }

    async fn pasted_url(&self) -> String {
        let pasted = self.1.lock().unwrap().pop();
        match pasted {
            Some(url) => url,
            None => std::future::pending().await,
        }
    }
}
