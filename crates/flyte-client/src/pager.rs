//! Paginated listings.

use std::collections::VecDeque;

use crate::error::ClientError;

/// The most items of a page. The published client requests as many.
const MAX_PAGE_ITEMS: u32 = 100;

/// One page of a listing.
#[derive(Debug)]
pub struct Page<I> {
    /// The items of the page.
    pub items: Vec<I>,
    /// Token of the next page; empty after the last page.
    pub next: String,
}

/// The source of a listing's pages.
pub trait Source {
    /// The type of the listed items.
    type Item;

    /// Fetches the page of `token`, with at most `limit` items. An empty token means the first page.
    fn page(&self, limit: u32, token: &str) -> impl Future<Output = Result<Page<Self::Item>, ClientError>>;
}

/// A listing that fetches each page when the previous one is used up.
#[derive(Debug)]
pub struct Pager<S: Source> {
    source: S,
    /// The number of items that may still be returned; `None` for no limit.
    remaining: Option<u32>,
    page: VecDeque<S::Item>,
    /// Token of the next page; `None` after the last page.
    next: Option<String>,
}

impl<S: Source> Pager<S> {
    pub(crate) fn new(source: S, limit: Option<u32>) -> Self {
        Self { source, remaining: limit, page: VecDeque::new(), next: Some(String::new()) }
    }

    /// The next item; `None` after the last.
    ///
    /// # Errors
    /// The errors of a call. After an error, the next call requests the same page again.
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

    /// All remaining items.
    ///
    /// # Errors
    /// The errors of a call.
    pub async fn collect(mut self) -> Result<Vec<S::Item>, ClientError> {
        let mut all = Vec::new();
        while let Some(item) = self.next().await? {
            all.push(item);
        }
        Ok(all)
    }

    async fn fetch(&mut self, token: &str) -> Result<(), ClientError> {
        let limit = self.remaining.map_or(MAX_PAGE_ITEMS, |remaining| remaining.min(MAX_PAGE_ITEMS));
        let page = self.source.page(limit, token).await?;
        if !page.next.is_empty() && page.next == token {
            // The server would return the same page forever.
            let message = "the server's next page is the page itself".to_owned();
            return Err(ClientError::Server { code: "internal", message });
        }
        self.page = page.items.into();
        self.next = Some(page.next).filter(|token| !token.is_empty());
        Ok(())
    }
}
