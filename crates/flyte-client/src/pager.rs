//! Listings that come in pages.

use std::collections::VecDeque;

use crate::error::ClientError;

/// Items in a page when more are wanted; the published client asks for as many.
const PAGE: u32 = 100;

/// One page of a listing.
#[derive(Debug)]
pub struct Page<I> {
    /// What is on it.
    pub items: Vec<I>,
    /// Token of the next page; empty where this is the last.
    pub next: String,
}

/// Where the pages of a listing come from.
pub trait Source {
    /// What is listed.
    type Item;

    /// At most `limit` items of the page that `token` leads to; an empty token leads to the first.
    fn page(&self, limit: u32, token: &str) -> impl Future<Output = Result<Page<Self::Item>, ClientError>>;
}

/// A listing that fetches a page when the one before is used up.
#[derive(Debug)]
pub struct Pager<S: Source> {
    source: S,
    /// How many may still be returned.
    remaining: Option<u32>,
    page: VecDeque<S::Item>,
    /// Token of the next page; `None` after the last.
    next: Option<String>,
}

impl<S: Source> Pager<S> {
    pub(crate) fn new(source: S, limit: Option<u32>) -> Self {
        Self { source, remaining: limit, page: VecDeque::new(), next: Some(String::new()) }
    }

    /// The next item; `None` after the last.
    ///
    /// # Errors
    /// Those of a call. Asking again after an error asks for the same page again.
    pub async fn next(&mut self) -> Result<Option<S::Item>, ClientError> {
        while self.page.is_empty() && self.remaining != Some(0) {
            let Some(token) = self.next.clone() else { return Ok(None) };
            self.fetch(&token).await?;
        }
        if self.remaining == Some(0) {
            return Ok(None);
        }
        self.remaining = self.remaining.map(|remaining| remaining - 1);
        Ok(self.page.pop_front())
    }

    /// All that remain.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn collect(mut self) -> Result<Vec<S::Item>, ClientError> {
        let mut all = Vec::new();
        while let Some(item) = self.next().await? {
            all.push(item);
        }
        Ok(all)
    }

    async fn fetch(&mut self, token: &str) -> Result<(), ClientError> {
        let limit = self.remaining.map_or(PAGE, |remaining| remaining.min(PAGE));
        let page = self.source.page(limit, token).await?;
        if !page.next.is_empty() && page.next == token {
            // It would answer the same page for ever.
            let message = "the server's next page is the page itself".to_owned();
            return Err(ClientError::Server { code: "internal", message });
        }
        self.page = page.items.into();
        self.next = Some(page.next).filter(|token| !token.is_empty());
        Ok(())
    }
}
